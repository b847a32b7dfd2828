"""Pictures of a packed data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stronglens.figures import save_figure
from stronglens.packing.packed import PackedSet

BAND_STYLES = (
    ("#0072B2", "-"),
    ("#009E73", "--"),
    ("#E69F00", "-."),
    ("#D55E00", ":"),
    ("#CC79A7", (0, (4, 1, 1, 1, 1, 1))),
)
"""Colours that people with any colour vision can tell apart (Okabe & Ito 2008), and dashes for grey print."""

GAP_PX = 2
"""Between two cutouts of the contact sheet."""

N_BINS = 120
LINEAR_COUNTS = 0.1
"""Pixel values are drawn linearly up to this, about the noise of one year of LSST, logarithmically beyond."""


def save_contact_sheet(packed: PackedSet, path: Path, n_objects: int) -> None:
    """Draw some objects of each bucket, a row an object and a column a band.

    Each cutout is stretched by itself: the inverse hyperbolic sine of its counts above the median, in units
    of its noise, so that faint arcs and bright cores are both seen. A missing band stays white.

    Parameters
    ----------
    packed : PackedSet
        The data set.
    path : Path
        A PNG file; a PDF file is written beside it.
    n_objects : int
        Objects of each bucket, evenly spaced.
    """
    index = packed.index
    buckets = index["bucket"].unique().tolist() or [""]
    bands = index["band"].unique().tolist() or [""]
    n_across = min(2, len(buckets))
    n_down = -(-len(buckets) // n_across)
    width, height = 0.9 * len(bands) + 1.2, 0.9 * n_objects + 0.5
    figure = Figure(figsize=(max(width * n_across, 4), height * n_down + 0.4), layout="constrained")
    figure.suptitle(
        f"{packed.summary['dataset']}: {len(index)} cutouts of {index['object'].nunique()} objects"
    )
    panels = figure.subplots(n_down, n_across, squeeze=False)
    for axes, bucket in zip(panels.flat, buckets, strict=False):
        inside = index[index["bucket"] == bucket]
        objects = inside["object"].unique()
        objects = objects[np.linspace(0, len(objects) - 1, min(n_objects, len(objects))).astype(int)].tolist()
        picture = arrange_cutouts(packed, inside, objects, bands)
        axes.imshow(picture, cmap="gray", origin="lower", interpolation="nearest", vmin=0, vmax=1)
        size = packed.cutouts.shape[1]
        middle = (size - 1) / 2 + (size + GAP_PX) * np.arange(max(len(objects), len(bands)))
        axes.set_xticks(middle[: len(bands)], bands)
        axes.set_yticks(middle[: len(objects)], [name.rpartition("/")[2][-14:] for name in reversed(objects)])
        axes.tick_params(length=0, labelsize="x-small")
        axes.xaxis.tick_top()
        axes.spines[:].set_visible(False)
        axes.set_title(bucket)
    save_figure(figure, path)


def arrange_cutouts(
    packed: PackedSet, rows: pd.DataFrame, objects: Sequence[str], bands: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Lay cutouts side by side: an object a line, the first at the top, and a band a column.

    Parameters
    ----------
    packed : PackedSet
        The data set.
    rows : DataFrame
        Rows of its index that hold these objects.
    objects, bands : sequence of str
        What to lay where.

    Returns
    -------
    ndarray of float64, shape (height, width)
        Axes (y, x), y upwards: each cutout from 0 to 1, NaN where there is none.
    """
    size = packed.cutouts.shape[1]
    step = size + GAP_PX
    shape = (max(len(objects), 1) * step - GAP_PX, len(bands) * step - GAP_PX)
    picture = np.full(shape, np.nan)
    chosen = rows[rows["object"].isin(objects) & rows["band"].isin(bands)]
    for row, name, band in zip(chosen.index, chosen["object"], chosen["band"], strict=True):
        y = (len(objects) - 1 - objects.index(name)) * step
        x = bands.index(band) * step
        picture[y : y + size, x : x + size] = _stretch(packed.cutouts[row])
    return picture


def _stretch(cutout: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    above = cutout.astype(np.float64) - np.median(cutout)
    noise = 1.4826 * np.median(np.abs(above))
    curved = np.arcsinh(above / noise if noise > 0 else above)
    stretched: npt.NDArray[np.float64] = (curved - curved.min()) / np.ptp(curved)
    return stretched


def save_histograms(
    packed: PackedSet, chosen: Mapping[str, Mapping[str, npt.NDArray[np.int64]]], path: Path
) -> None:
    """Draw how often each pixel value occurs, a panel a bucket and a line a band.

    Parameters
    ----------
    packed : PackedSet
        The data set.
    chosen : mapping
        Rows of the cutouts to take, by bucket and band.
    path : Path
        A PNG file; a PDF file is written beside it.
    """
    buckets = list(chosen) or [""]
    n_across = min(2, len(buckets))
    n_down = -(-len(buckets) // n_across)
    figure = Figure(figsize=(5 * n_across, 3.2 * n_down), layout="constrained")
    panels = figure.subplots(n_down, n_across, sharex=True, sharey=True, squeeze=False)
    extremes = [
        value
        for bands in chosen.values()
        for rows in bands.values()
        for value in (packed.cutouts[rows].min(), packed.cutouts[rows].max())
    ]
    low, high = min(extremes, default=-1.0), max(extremes, default=1.0)
    # asinh, too, is linear near 0 and logarithmic far away: bins of about one width on the axis.
    low, high = (float(np.arcsinh(end / LINEAR_COUNTS)) for end in (low, high))
    edges = LINEAR_COUNTS * np.sinh(np.linspace(low, high, N_BINS + 1))
    for axes, bucket in zip(panels.flat, buckets, strict=False):
        _draw_histograms(axes, packed, chosen.get(bucket, {}), edges)
        axes.set_title(bucket, fontsize="medium")
    for axes in panels[-1]:
        axes.set_xlabel("pixel value (counts)")
    for axes in panels[:, 0]:
        axes.set_ylabel("share of pixels per count")
    save_figure(figure, path)


def _draw_histograms(
    axes: Axes, packed: PackedSet, bands: Mapping[str, npt.NDArray[np.int64]], edges: npt.NDArray[np.float64]
) -> None:
    axes.set_xscale("symlog", linthresh=LINEAR_COUNTS)
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    for number, (band, rows) in enumerate(bands.items()):
        density, _ = np.histogram(packed.cutouts[rows], bins=edges, density=True)
        colour, dashes = BAND_STYLES[number % len(BAND_STYLES)]
        density[density == 0] = np.nan  # no line down to minus infinity and back
        axes.stairs(
            density,
            edges,
            baseline=None,
            color=colour,
            linestyle=dashes,
            label=f"{band} ({len(rows)} cutouts)",
        )
    if bands:
        axes.legend(fontsize="x-small")
