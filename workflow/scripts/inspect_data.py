"""Describe a packed data set in numbers: rule `inspect_data`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.inspecting.inspection import inspect_data
from stronglens.running.cli import Command, run


class InspectData(Command):
    """Describe a packed data set in numbers, summary.json, and choose what plot_data.py draws of it:
    contact_sheet.json and .npy, histograms.json.
    """

    packed: Path
    """Folder of the packed data, from build_buckets."""
    splits: Path | None = None
    """Folder of the split, from split_objects; its counts are given too."""
    out_dir: Path
    """Folder for the files."""
    cutouts: int = Field(5000, ge=1)
    """Cutouts of each bucket and band from which pixel values are taken."""
    objects: int = Field(6, ge=1, le=50)
    """Objects of each bucket in the contact sheet."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(InspectData, _inspect_data, argv)


def _inspect_data(options: InspectData) -> None:
    inspect_data(
        options.packed,
        options.out_dir,
        splits_folder=options.splits,
        n_cutouts=options.cutouts,
        n_objects=options.objects,
    )


if __name__ == "__main__":
    sys.exit(main())
