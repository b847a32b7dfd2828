"""Measure what networks that learnt from one domain lose in another: rule `measure_transfer`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import Command, run
from stronglens.settings.domains import Domain


class MeasureTransfer(Command):
    """Measure what networks that learnt from one domain lose in another, on held-out objects."""

    csv: Path
    """test_ens_labeled.csv of the ensemble that learnt from the source domain."""
    threshold_file: Path
    """Its t*, threshold.txt."""
    reference_csv: Path
    """test_ens_labeled.csv, of the same objects, of the ensemble that learnt from all domains."""
    reference_threshold_file: Path
    """Its t*, threshold.txt."""
    source: list[Domain]
    """The domains that were learnt from."""
    target: list[Domain]
    """The others."""
    out: Path
    """JSON file for the result."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(MeasureTransfer, _measure, argv)


def _measure(options: MeasureTransfer) -> None:
    # --help need not wait for scikit-learn.
    from stronglens.formats.threshold_file import read_threshold  # noqa: PLC0415
    from stronglens.scoring.scored import read_scored_csv  # noqa: PLC0415
    from stronglens.scoring.transfer import measure_transfer  # noqa: PLC0415

    measure_transfer(
        read_scored_csv(options.csv),
        read_threshold(options.threshold_file),
        read_scored_csv(options.reference_csv),
        read_threshold(options.reference_threshold_file),
        options.out,
        source=options.source,
        target=options.target,
    )


if __name__ == "__main__":
    sys.exit(main())
