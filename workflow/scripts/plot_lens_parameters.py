"""Draw estimated lens parameters against the truth: rule `plot_lens`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import run
from stronglens.scoring.estimates_options import EstimatesOptions


class PlotLensParameters(EstimatesOptions):
    """Draw an ensemble's estimates of lens parameters against true values, as PNG and PDF."""

    errors: Path
    """lens_parameters.json, from evaluate_lens_parameters.py: bias and scatter appear above the panels."""
    title: str = ""
    """The ensemble and the set, for the title."""
    out: Path
    """PNG file; a PDF file of the same name is written beside it."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(PlotLensParameters, _plot, argv)


def _plot(options: PlotLensParameters) -> None:
    # --help need not wait for matplotlib.
    from stronglens.formats.figures import save_figure  # noqa: PLC0415
    from stronglens.formats.score_files import read_errors  # noqa: PLC0415
    from stronglens.scoring.lens_plots import plot_estimates  # noqa: PLC0415

    found = options.read()
    save_figure(plot_estimates(found, read_errors(options.errors, found.names), options.title), options.out)


if __name__ == "__main__":
    sys.exit(main())
