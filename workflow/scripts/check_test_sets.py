"""Refuse labelled test sets of objects that networks learn from: rule `check_test_sets`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.splitting.overlap import check_test_sets


class CheckTestSets(Command):
    """Refuse labelled test sets that share images or ids with the training or the validation split."""

    labelled: Path
    """Folder of the packed labelled data, from build_buckets."""
    splits: Path
    """Folder of their split, from split_objects."""
    tests: list[str] = Field([], examples=["mine=results/buckets/mine/part_0"])
    """Name and folder of each part of each labelled test set: NAME=FOLDER."""
    out: Path
    """JSON file for what was compared."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(CheckTestSets, _check_test_sets, argv)


def _check_test_sets(options: CheckTestSets) -> None:
    test_sets: dict[str, list[Path]] = {}
    for test in options.tests:
        name, _, folder = test.partition("=")
        test_sets.setdefault(name, []).append(Path(folder))
    check_test_sets(options.labelled, options.splits, test_sets, options.out)


if __name__ == "__main__":
    sys.exit(main())
