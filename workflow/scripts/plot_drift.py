"""Draw how a blind set differs from the training set: rule `plot_drift`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import Command, run


class PlotDrift(Command):
    """Draw what compare_data.py compared, as a heat map and cumulative distributions, as PNG and
    PDF.
    """

    drift: Path
    """drift.json, from compare_data.py; drift_values.parquet is in the same folder."""
    title: str = ""
    """What is compared, for the title."""
    out: Path
    """PNG file; a PDF file of the same name is written beside it."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(PlotDrift, _plot, argv)


def _plot(options: PlotDrift) -> None:
    # --help need not wait for matplotlib.
    from stronglens.comparing.drift_plots import save_drift  # noqa: PLC0415
    from stronglens.formats.drift_files import read_compared  # noqa: PLC0415

    save_drift(read_compared(options.drift), options.out, options.title)


if __name__ == "__main__":
    sys.exit(main())
