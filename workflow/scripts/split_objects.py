"""Divide the labelled objects into training, validation and test: rule `split_objects`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import Command, run
from stronglens.settings.data import SplitSettings
from stronglens.splitting.split import split_objects


class SplitObjects(Command):
    """Divide packed, labelled objects into training, validation and test, by group and bucket."""

    packed: Path
    """Folder of the packed labelled data, from build_buckets."""
    out_dir: Path
    """Folder for objects.parquet and objects.json."""
    settings: SplitSettings = SplitSettings()
    """Shares of the splits, and the seed that draws them."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(SplitObjects, _split_objects, argv)


def _split_objects(options: SplitObjects) -> None:
    split_objects(options.packed, options.out_dir, options.settings)


if __name__ == "__main__":
    sys.exit(main())
