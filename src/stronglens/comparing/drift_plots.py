"""A picture of how a blind set differs from the training set."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stronglens.formats.drift_files import Compared
from stronglens.formats.figures import PURPLE, STYLES, save_figure

BLIND, DRIFT = "black", PURPLE
BUCKETS = tuple((colour, dashes) for colour, _ in STYLES[1:3] + STYLES[:1] for dashes in ("-", "--"))
"""Colour by domain, dashes by label: the buckets come in the order of their names."""

NAMES = {
    "sky": "sky (counts)",
    "noise": "noise (counts)",
    "noise_correlation": "correlation of\nneighbouring pixels",
    "peak": "brightest pixel\nabove sky (counts)",
    "size": "mean distance of light\nfrom the centre (px)",
    "flux": "flux above sky (counts)",
    "constant_corners": "constant corners\n(of four)",
    "band_correlation": "correlation with\nthe next band",
    "probability": "probability",
}
"""What is compared, with its unit."""

N_CORNERS = 4


MOST_DETAILS = 12
N_COLUMNS = 4


def save_drift(compared: Sequence[Compared], path: Path, title: str = "") -> None:
    """Draw all distances as one heat map, and the distributions of what drifts.

    Parameters
    ----------
    compared : sequence of Compared
        What to draw.
    path : Path
        A PNG file; a PDF file is written beside it.
    title : str
        What is compared; empty for no more than that it is a blind set.
    """
    save_figure(draw_drift(compared, title), path, dpi=110)


def draw_drift(compared: Sequence[Compared], title: str = "") -> Figure:
    """Above, a row per statistic and a column per band: the fraction outside, its limit below it, a frame
    where it is over the limit. Below, the distributions of those, the furthest over their limits first, at
    most `MOST_DETAILS`.
    """
    drifting = sorted((one for one in compared if one.drifts), key=lambda one: one.limit / one.distance)
    shown = drifting[:MOST_DETAILS]
    names = list(dict.fromkeys(one.statistic for one in compared))
    n_rows = -(-len(shown) // N_COLUMNS)
    heights = [0.48 * len(names) + 1.3, 2.5 * n_rows + 0.6]
    figure = Figure(figsize=(10, sum(heights) if shown else heights[0]), layout="constrained")
    grid = figure.add_gridspec(2 if shown else 1, 1, height_ratios=heights if shown else heights[:1])
    _draw_overview(figure.add_subfigure(grid[0]).subplots(), compared, names)
    n_values = max((len(one.blind) for one in compared), default=0)
    figure.suptitle(
        f"{title or 'Blind set'} against the training set: {len(drifting)} of {len(compared)} differ"
        f" (up to {n_values:,} values each)"
    )
    if shown:
        details = figure.add_subfigure(grid[1])
        panels = details.subplots(n_rows, N_COLUMNS, squeeze=False)
        for axes in panels.flat[len(shown) :]:
            axes.set_visible(False)
        for axes, one in zip(panels.flat, shown, strict=False):
            _draw(axes, one)
        for row in panels:
            row[0].set_ylabel("fraction below", fontsize="small")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        details.legend(handles, labels, loc="outside lower center", ncols=5, fontsize="small")
        if len(shown) < len(drifting):
            details.suptitle(f"the {len(shown)} furthest over their limits", fontsize="small")
    return figure


def _draw_overview(axes: Axes, compared: Sequence[Compared], names: Sequence[str]) -> None:
    bands = list(dict.fromkeys(one.band for one in compared))
    cells = np.full((len(names), len(bands)), np.nan)
    for one in compared:
        row, column = names.index(one.statistic), bands.index(one.band)
        cells[row, column] = one.distance / one.limit
        axes.text(
            column,
            row,
            f"{one.distance:.2f}\nlimit {one.limit:.2f}",
            ha="center",
            va="center",
            fontsize="x-small",
            color="white" if cells[row, column] > 1 else "black",
        )
        if one.drifts:
            frame = Rectangle(
                (column - 0.48, row - 0.46), 0.96, 0.92, fill=False, edgecolor=DRIFT, linewidth=3
            )
            axes.add_patch(frame)
    image = axes.imshow(cells, cmap="Blues", vmin=0, vmax=1.5, aspect="auto")
    axes.set_xticks(range(len(bands)), [band or "all bands" for band in bands])
    axes.set_yticks(range(len(names)), [NAMES.get(name, name).replace("\n", " ") for name in names])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize="small")
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, extend="max")
    bar.set_label("fraction outside / limit", fontsize="small")


def _draw(axes: Axes, one: Compared) -> None:
    for (bucket, values), (colour, dashes) in zip(sorted(one.training.items()), cycle(BUCKETS), strict=False):
        axes.plot(*_steps(values), color=colour, linestyle=dashes, linewidth=1, label=bucket)
    axes.plot(*_steps(one.blind), color=BLIND, linewidth=2, label="blind set")
    low, high = np.quantile(np.concatenate([one.blind, *one.training.values()]), [0.005, 0.995])
    if one.statistic == "constant_corners":
        axes.set_xlim(-0.3, N_CORNERS + 0.3)
    elif low < high:
        axes.set_xlim(low, high)
    axes.set_xlabel(NAMES.get(one.statistic, one.statistic), fontsize="small")
    axes.tick_params(labelsize="x-small")
    where = f"{one.band}: " if one.band else ""
    axes.set_title(f"{where}{one.distance:.2f} outside (limit {one.limit:.2f})", fontsize="small")


def _steps(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    ordered = np.sort(values)
    return ordered, np.arange(1, len(ordered) + 1) / len(ordered)
