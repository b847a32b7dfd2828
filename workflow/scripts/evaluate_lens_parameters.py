"""Compare estimated lens parameters with the truth: rules `evaluate_lens_val` and `evaluate_lens_test`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.cli import Command, run


class EvaluateLensParameters(Command):
    """Compare an ensemble's estimates of lens parameters with what is known of the lenses.

    Writes lens_parameters.json and .csv, bias, scatter and outliers of each parameter with 95 % confidence
    intervals from resampled objects, for all lenses, those of each domain and those that are found; and
    lens_parameters.png and .pdf, estimates against true values.
    """

    csv: Path
    """val_ens.csv or test_ens_labeled.csv of an ensemble; its description lies beside it."""
    packed: list[Path]
    """Folder of the packed data, with parameters.parquet. May be given several times."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which every folder of `--packed` is cut (`part_0`, `part_1`, …); without it the
    folders themselves are taken."""
    threshold_file: Path
    """File with the threshold t*, threshold.txt: a lens is found if its probability is at least t*."""
    out_dir: Path
    """Folder for the results."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(EvaluateLensParameters, _evaluate, argv)


def _evaluate(options: EvaluateLensParameters) -> None:
    # --help need not wait for scikit-learn and matplotlib.
    from stronglens.ensembling.threshold_file import read_threshold  # noqa: PLC0415
    from stronglens.figures import save_figure  # noqa: PLC0415
    from stronglens.packing.packed_objects import parts_of  # noqa: PLC0415
    from stronglens.scoring.lens_errors import errors_by_block, read_estimates, write_errors  # noqa: PLC0415
    from stronglens.scoring.lens_plots import plot_estimates  # noqa: PLC0415

    found = read_estimates(options.csv, parts_of(options.packed, options.parts))
    errors = errors_by_block(found, read_threshold(options.threshold_file))
    save_figure(plot_estimates(found, errors["global"]), options.out_dir / "lens_parameters.png")
    write_errors(errors, options.out_dir)


if __name__ == "__main__":
    sys.exit(main())
