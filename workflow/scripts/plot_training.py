"""Draw the learning curves of an ensemble's members: rule `plot_training`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run


class PlotTraining(Command):
    """Draw loss, area under the ROC curve and learning rate of members against the epoch, as PNG and PDF."""

    members: list[Path] = Field(default_factory=list)
    """Folder of a member, from train; give it once for each. None draws a figure that says so."""
    ensemble: str = ""
    """Name of the ensemble, for the title."""
    out: Path
    """PNG file; a PDF file of the same name is written beside it."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(PlotTraining, _plot, argv)


def _plot(options: PlotTraining) -> None:
    from stronglens.reporting.training_curves import plot_training  # noqa: PLC0415 - --help need not wait for pandas

    plot_training(options.members, options.out, options.ensemble)


if __name__ == "__main__":
    sys.exit(main())
