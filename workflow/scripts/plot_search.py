"""Draw the trials of a search: rule `plot_search`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.settings.search import Dimension


class PlotSearch(Command):
    """Draw a search from what its trials left, as PNG and PDF.

    Figures are history, learning_curves, slices and importance.
    """

    trials: list[Path] = Field(min_length=1)
    """JSON file of a trial, from run_trial; give it once for each."""
    space: dict[str, Dimension] = Field(default_factory=dict)
    """What was tried."""
    search: str = ""
    """Name of the search, for the titles."""
    out_dir: Path
    """Folder for the pictures."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(PlotSearch, _plot, argv)


def _plot(options: PlotSearch) -> None:
    # --help need not wait for optuna and matplotlib.
    from stronglens.formats.trial_files import read_trials  # noqa: PLC0415
    from stronglens.searching.search_plots import save_search  # noqa: PLC0415

    save_search(read_trials(options.trials), options.space, options.out_dir, options.search)


if __name__ == "__main__":
    sys.exit(main())
