"""A picture of how a blind set differs from the training set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stronglens.comparing.compared import Compared
from stronglens.formats.figures import save_figure

BLIND, DRIFT = "#D55E00", "#CC0000"
BUCKETS = (("#0072B2", "-"), ("#0072B2", "--"), ("#009E73", "-"), ("#009E73", "--"))
"""Colour by domain, dashes by label: the buckets come in the order of their names."""


NAMES = {
    "sky": "sky (counts)",
    "noise": "noise (counts)",
    "noise_correlation": "correlation of\nneighbouring pixels",
    "peak": "brightest pixel\nabove sky (counts)",
    "size": "mean distance of light\nfrom the centre (px)",
    "flux": "flux above sky (counts)",
    "constant_corners": "constant corners\n(number of four)",
    "band_correlation": "correlation with\nthe next band",
    "probability": "probability",
}
"""What is compared, with its unit."""

N_CORNERS = 4


def save_drift(compared: Sequence[Compared], path: Path) -> None:
    """Draw cumulative distributions, a row a statistic and a column a band; what drifts is framed.

    Parameters
    ----------
    compared : sequence of Compared
        What to draw.
    path : Path
        A PNG file; a PDF file is written beside it.
    """
    names = list(dict.fromkeys(one.statistic for one in compared))
    bands = list(dict.fromkeys(one.band for one in compared if one.band)) or [""]
    figure = Figure(figsize=(2.6 * len(bands) + 1, 2.2 * len(names) + 1), layout="constrained")
    panels = figure.subplots(len(names), len(bands), squeeze=False)
    for axes in panels.flat:
        axes.set_visible(False)
    for one in compared:
        place = bands.index(one.band) if one.band else 0
        _draw(panels[names.index(one.statistic), place], one)
    for row in panels:
        row[0].set_ylabel("share below", fontsize="small")
    n_drifting = sum(one.drifts for one in compared)
    figure.suptitle(
        f"Blind set against the buckets of the training set: {n_drifting} of {len(compared)} differ"
    )
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize="small")
    save_figure(figure, path, dpi=110)


def _draw(axes: Axes, one: Compared) -> None:
    axes.set_visible(True)
    for (bucket, values), (colour, dashes) in zip(sorted(one.training.items()), BUCKETS, strict=False):
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
    if one.drifts:
        axes.title.set_color(DRIFT)
        axes.spines[:].set(color=DRIFT, linewidth=2.5)


def _steps(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    ordered = np.sort(values)
    return ordered, np.arange(1, len(ordered) + 1) / len(ordered)
