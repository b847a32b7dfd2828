"""What figures show, read from what is in them, or from their pixels."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text


def keep_saved_figures(monkeypatch: pytest.MonkeyPatch, *, draw: bool = True) -> dict[str, Figure]:
    """From now on, what is saved as NAME.png under its name; without `draw` files hold no picture."""
    saved: dict[str, Figure] = {}
    savefig = Figure.savefig

    def keep(figure: Figure, target: Path | io.BytesIO, **options: object) -> None:
        if isinstance(target, Path):
            saved[target.stem.removeprefix(".part.")] = figure
        if draw:
            savefig(figure, target, **options)
        elif isinstance(target, Path):
            target.write_bytes(b"not drawn")

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def labels_of(figure: Figure) -> list[Text]:
    """Titles, labels and names in legends, wherever they stand; not the numbers along axes."""
    ticks = {
        label
        for axes in figure.findobj(lambda one: hasattr(one, "get_xticklabels"))
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
    }
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in ticks]
    return [text for text in texts if text.get_visible() and text.get_text()]


def texts_of(figure: Figure) -> set[str]:
    """What `labels_of` say."""
    return {text.get_text() for text in labels_of(figure)}


def data_of(figure: Figure) -> list[list[list[float]]]:
    """The points of all lines, an axis after the other."""
    return [
        [column.tolist() for column in np.asarray(line.get_xydata()).T]
        for axes in figure.axes
        for line in axes.lines
    ]


def pixels_of(figure: Figure) -> npt.NDArray[np.float64]:
    """The figure as it is drawn: axes (y, x, colour), red, green and blue from 0 to 1."""
    file = io.BytesIO()
    # The figure's own from now on, so that where something lies is where it was drawn.
    figure.set_dpi(150)
    figure.savefig(file, format="png", dpi="figure")
    file.seek(0)
    return np.asarray(imread(file), dtype=np.float64)[..., :3]


def count_pixels(pixels: npt.NDArray[np.float64], colour: str) -> int:
    """How many pixels have a colour, up to what 8 bits round off."""
    return int(np.count_nonzero(np.abs(pixels - to_rgb(colour)).max(axis=-1) < 0.004))


def is_picture(path: Path) -> bool:
    """Whether a PNG file shows something on white, to its edges nothing, and a PDF file lies beside it."""
    pixels = imread(path)[..., :3]
    ink = (pixels < 0.9).any(axis=-1)
    edges = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    # Less than a hundredth would be a title at most; all of it, a figure that nothing was laid out in.
    return bool(
        0.01 < ink.mean() < 0.95
        and not edges.any()
        and path.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
    )
