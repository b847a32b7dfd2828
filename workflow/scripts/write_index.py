"""Write the first page of a run's results: rule `write_index`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run


class WriteIndex(Command):
    """Write a page of links to the pages and figures of a run, which a browser opens from disk."""

    overviews: dict[str, Path]
    """overview.html of each ensemble: NAME=FILE."""
    data: Path
    """data.html."""
    candidates: Path
    """The page of candidates."""
    figures: dict[str, list[Path]] = Field(default_factory=dict)
    """PNG files by the heading above them."""
    simulated: bool = False
    """Say that the data are simulated."""
    out: Path
    """HTML file."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(WriteIndex, _write, argv)


def _write(options: WriteIndex) -> None:
    from stronglens.reporting.index import write_index  # noqa: PLC0415 - --help need not wait for jinja2

    write_index(
        options.out,
        options.overviews,
        options.data,
        options.candidates,
        options.figures,
        simulated=options.simulated,
    )


if __name__ == "__main__":
    sys.exit(main())
