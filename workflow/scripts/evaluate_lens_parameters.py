"""Compare estimated lens parameters with the truth: rule `evaluate_lens`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import run
from stronglens.scoring.estimates_options import EstimatesOptions


class EvaluateLensParameters(EstimatesOptions):
    """Compare an ensemble's estimates of lens parameters with what is known of the lenses.

    Writes lens_parameters.json and .csv, bias, scatter and outliers of each parameter with 95 % confidence
    intervals from resampled objects, for all lenses, those of each domain and those that are found; where
    members give uncertainties, also how many true values these cover.
    plot_lens_parameters.py draws estimates against true values.
    """

    threshold_file: Path
    """File with the threshold t*, threshold.txt: a lens is found if its probability is at least t*."""
    out_dir: Path
    """Folder for the results."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(EvaluateLensParameters, _evaluate, argv)


def _evaluate(options: EvaluateLensParameters) -> None:
    # --help need not wait for scikit-learn.
    from stronglens.formats.threshold_file import read_threshold  # noqa: PLC0415
    from stronglens.scoring.lens_errors import errors_by_block, write_errors  # noqa: PLC0415

    errors = errors_by_block(options.read(), read_threshold(options.threshold_file))
    write_errors(errors, options.out_dir)


if __name__ == "__main__":
    sys.exit(main())
