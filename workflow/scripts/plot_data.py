"""Draw a packed data set: rule `plot_data`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import Command, run


class PlotData(Command):
    """Draw what inspect_data.py chose of a data set, as PNG and PDF: a contact sheet, cutouts, and
    histograms of pixel values, histograms.
    """

    inspection: Path
    """Folder that inspect_data.py wrote."""
    out_dir: Path
    """Folder for the pictures."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(PlotData, _plot, argv)


def _plot(options: PlotData) -> None:
    # --help need not wait for matplotlib.
    from stronglens.formats.inspection_files import HISTOGRAMS, Histograms, read_sheet  # noqa: PLC0415
    from stronglens.inspecting.inspection_plots import save_contact_sheet, save_histograms  # noqa: PLC0415

    save_contact_sheet(read_sheet(options.inspection), options.out_dir / "cutouts.png")
    save_histograms(Histograms.read(options.inspection / HISTOGRAMS), options.out_dir / "histograms.png")


if __name__ == "__main__":
    sys.exit(main())
