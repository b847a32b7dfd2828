"""Gather the trials of a search: rule `conclude_search`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.settings.search import ConclusionSettings


class ConcludeSearch(Command):
    """Write the table and the best setting of a search, from what its trials left.

    plot_search.py draws it.
    """

    trials: list[Path] = Field(min_length=1)
    """JSON file of a trial, from run_trial; give it once for each."""
    search: str = "by_hand"
    """Name of the search."""
    settings: ConclusionSettings = ConclusionSettings()
    """The model, and what was tried on it."""
    out_dir: Path
    """Folder for the results."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(ConcludeSearch, _conclude, argv)


def _conclude(options: ConcludeSearch) -> None:
    from stronglens.searching.conclusion import conclude_search  # noqa: PLC0415 - --help need not wait for pandas

    conclude_search(options.trials, options.out_dir, options.settings, search=options.search)


if __name__ == "__main__":
    sys.exit(main())
