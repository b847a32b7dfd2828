"""Pictures of a packed data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stronglens.formats.figures import BLUE, GREEN, ORANGE, PURPLE, save_figure
from stronglens.formats.inspection_files import ContactSheet, Histogram, Histograms
from stronglens.inspecting.cutout_statistics import SIGMA_PER_MAD

BAND_STYLES = (
    (BLUE, "-"),
    (GREEN, "--"),
    ("#E69F00", "-."),
    (ORANGE, ":"),
    (PURPLE, (0, (4, 1, 1, 1, 1, 1))),
)
"""Colours that people with any colour vision can tell apart (Okabe & Ito 2008), and dashes for grey print."""

GAP_PX = 2
"""Between two cutouts of the contact sheet."""


def save_contact_sheet(sheet: ContactSheet, path: Path) -> None:
    """Draw some objects of each bucket, a row an object and a column a band.

    Each cutout is stretched by itself: the inverse hyperbolic sine of its counts above the median, in units
    of its noise, so that faint arcs and bright cores are both seen. A missing band stays white.

    Parameters
    ----------
    sheet : ContactSheet
        What to draw.
    path : Path
        A PNG file; a PDF file is written beside it.
    """
    bands = sheet.bands
    n_across = min(2, len(sheet.objects))
    n_down = -(-len(sheet.objects) // n_across)
    width, height = 0.9 * len(bands) + 1.2, 0.9 * sheet.n_most + 0.5
    figure = Figure(figsize=(max(width * n_across, 4), height * n_down + 0.4), layout="constrained")
    figure.suptitle(f"{sheet.dataset}: {sheet.n_cutouts:,} cutouts of {sheet.n_objects:,} objects")
    panels = figure.subplots(n_down, n_across, squeeze=False)
    for axes, (bucket, objects) in zip(panels.flat, sheet.objects.items(), strict=False):
        picture = arrange_cutouts(sheet, objects, bands)
        axes.imshow(picture, cmap="gray", origin="lower", interpolation="nearest", vmin=0, vmax=1)
        size = sheet.cutouts.shape[1]
        middle = (size - 1) / 2 + (size + GAP_PX) * np.arange(max(len(objects), len(bands)))
        axes.set_xticks(middle[: len(bands)], bands)
        axes.set_yticks(middle[: len(objects)], [name.rpartition("/")[2][-14:] for name in reversed(objects)])
        axes.tick_params(length=0, labelsize="x-small")
        axes.xaxis.tick_top()
        axes.spines[:].set_visible(False)
        axes.set_title(bucket)
    save_figure(figure, path)


def arrange_cutouts(
    sheet: ContactSheet, objects: Sequence[str], bands: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Lay cutouts side by side: an object a line, the first at the top, and a band a column.

    Parameters
    ----------
    sheet : ContactSheet
        Where they are taken from.
    objects, bands : sequence of str
        What to lay where.

    Returns
    -------
    ndarray of float64, shape (height, width)
        Axes (y, x), y upwards: each cutout from 0 to 1, NaN where there is none.
    """
    size = sheet.cutouts.shape[1]
    step = size + GAP_PX
    shape = (max(len(objects), 1) * step - GAP_PX, len(bands) * step - GAP_PX)
    picture = np.full(shape, np.nan)
    for (name, band), cutout in zip(sheet.cutout_keys, sheet.cutouts, strict=True):
        if name in objects and band in bands:
            y = (len(objects) - 1 - objects.index(name)) * step
            x = bands.index(band) * step
            picture[y : y + size, x : x + size] = _stretch(cutout)
    return picture


def _stretch(cutout: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    above = cutout.astype(np.float64) - np.median(cutout)
    noise = SIGMA_PER_MAD * np.median(np.abs(above))
    curved = np.arcsinh(above / noise if noise > 0 else above)
    stretched: npt.NDArray[np.float64] = (curved - curved.min()) / np.ptp(curved)
    return stretched


def save_histograms(counted: Histograms, path: Path) -> None:
    """Draw how often each pixel value occurs, a panel a bucket and a line a band.

    Parameters
    ----------
    counted : Histograms
        What to draw.
    path : Path
        A PNG file; a PDF file is written beside it.
    """
    by_bucket: dict[str, list[Histogram]] = {}
    for histogram in counted.histograms:
        by_bucket.setdefault(histogram.bucket, []).append(histogram)
    buckets = list(by_bucket) or [""]
    n_across = min(2, len(buckets))
    n_down = -(-len(buckets) // n_across)
    figure = Figure(figsize=(5 * n_across, 3.2 * n_down), layout="constrained")
    panels = figure.subplots(n_down, n_across, sharex=True, sharey=True, squeeze=False)
    for axes, bucket in zip(panels.flat, buckets, strict=False):
        _draw_histograms(axes, by_bucket.get(bucket, []), counted)
        axes.set_title(bucket, fontsize="medium")
    n_cutouts = sum(histogram.n_cutouts for histogram in counted.histograms)
    figure.suptitle(f"Pixel values of {n_cutouts:,} cutouts")
    for axes in panels[-1]:
        axes.set_xlabel("pixel value (counts)")
    for axes in panels[:, 0]:
        axes.set_ylabel("share of pixels per count")
    save_figure(figure, path)


def _draw_histograms(axes: Axes, histograms: Sequence[Histogram], counted: Histograms) -> None:
    axes.set_xscale("symlog", linthresh=counted.linear_counts)
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    edges = np.asarray(counted.edges)
    for number, histogram in enumerate(histograms):
        counts = np.asarray(histogram.counts)
        density = counts / np.diff(edges) / counts.sum()
        colour, dashes = BAND_STYLES[number % len(BAND_STYLES)]
        density[density == 0] = np.nan  # no line down to minus infinity and back
        axes.stairs(
            density,
            edges,
            baseline=None,
            color=colour,
            linestyle=dashes,
            label=f"{histogram.band} ({histogram.n_cutouts} cutouts)",
        )
    if histograms:
        axes.legend(fontsize="x-small")
