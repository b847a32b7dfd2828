"""Write the report's page on the data: rule `describe_data`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run


class DescribeData(Command):
    """Write what was read, what was not, and how objects are divided, as an HTML page."""

    summary: Path
    """summary.json of the packed labelled data."""
    inspection: Path
    """summary.json of inspect_data."""
    splits: Path
    """objects.json of the split."""
    tests: dict[str, Path] = Field(default_factory=dict)
    """summary.json of a packed test set, or of a part of one: NAME=FILE; give it once for each."""
    out: Path
    """HTML file, which needs nothing beside it."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(DescribeData, _describe, argv)


def _describe(options: DescribeData) -> None:
    from stronglens.reporting.overview import describe_data  # noqa: PLC0415 - --help need not wait for pandas

    describe_data(options.summary, options.inspection, options.splits, options.tests, options.out)


if __name__ == "__main__":
    sys.exit(main())
