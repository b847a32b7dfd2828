"""Compare a blind set with the training set: rule `compare_data`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.formats.packed import parts_of
from stronglens.running.cli import Command, run


class CompareData(Command):
    """Compare a test set with the training set, and warn where they differ: drift.json, and beside it the
    values that were compared, drift_values.parquet, which plot_drift.py draws.

    Compared are sky, noise, correlation of neighbouring pixels, peak, flux, size, constant corners, agreement
    of bands, and probabilities with those of validation. Shares of lenses and domains may differ: what some
    mixture of the training buckets explains is no drift. A set with labels must not share images with the
    training or the validation split.
    """

    labelled: Path
    """Folder of the packed labelled data."""
    splits: Path
    """Folder of the split."""
    packed: list[Path]
    """Folder of the packed blind set."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which it is cut (`part_0`, `part_1`, …); without it the folder itself is taken."""
    val_csv: Path
    """val_ens.csv of the ensemble."""
    test_csv: Path
    """test_ens.csv of the ensemble."""
    out_dir: Path
    """Folder for the files."""
    cutouts: int = Field(2000, ge=1)
    """Cutouts of each bucket and band that are compared."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(CompareData, _compare_data, argv)


def _compare_data(options: CompareData) -> None:
    from stronglens.comparing.drift import compare_data  # noqa: PLC0415 - --help need not wait for pandas

    compare_data(
        options.labelled,
        options.splits,
        parts_of(options.packed, options.parts),
        options.val_csv,
        options.test_csv,
        options.out_dir,
        n_cutouts=options.cutouts,
    )


if __name__ == "__main__":
    sys.exit(main())
