"""What all figures share: their colours, and the files they are saved in."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from stronglens.formats.artefact import write_aside

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
"""Colours that people with any colour vision can tell apart (Okabe & Ito 2008)."""

STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"))
"""Colour and dashes of curves: they differ in grey print too."""


def save_figure(figure: Figure, path: Path, dpi: float = 150) -> None:
    """Save a figure for the screen and for papers.

    Parameters
    ----------
    figure : Figure
        What to save.
    path : Path
        A PNG file; a PDF file of the same name is written beside it. Equal figures give equal bytes.
    dpi : float
        Pixels an inch, of the PNG file.
    """
    with write_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=dpi)
    # What is laid out stays where it is: doing it again takes as long as drawing.
    figure.set_layout_engine("none")
    # In memory first: on a full disk Matplotlib ends with an error of compression that names no file.
    pdf = io.BytesIO()
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    with write_aside(path.with_suffix(".pdf")) as aside:
        aside.write_bytes(pdf.getvalue())
