"""Pixels in memory, as packing would take them: cutouts one by one, those that it would reject left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from stronglens.finder.result import Flag
from stronglens.running.errors import InputError
from stronglens.sources.checked import LARGEST_VALUE
from stronglens.sources.names import NO_BAND

if TYPE_CHECKING:
    import torch

    Images = npt.NDArray[Any] | torch.Tensor

Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Pixels:
    """Cutouts of objects, one by one.

    Attributes
    ----------
    cutouts : ndarray of float32, shape (n_cutouts, size_px, size_px)
        Axes (cutout, y, x), in counts; finite. May be a memory map.
    objects : ndarray of int64, shape (n_cutouts,)
        Number of each cutout's object, ascending from 0; numbers without a cutout are objects without any.
    bands, domains : ndarray of str, shape (n_cutouts,)
        Band and domain of each cutout.
    flags : ndarray of int64, shape (n_objects,)
        Sums of `Flag`.
    """

    cutouts: npt.NDArray[np.float32]
    objects: npt.NDArray[np.int64]
    bands: Texts
    domains: Texts
    flags: npt.NDArray[np.int64]


def in_order_of(bands: str | Sequence[str] | None, known: Sequence[str], n_channels: int) -> list[str]:
    """The bands of channels, each one of those that are known, or a channel of no stated band by itself.

    Raises
    ------
    InputError
        A band is unknown or named twice, or there are more or fewer than channels; or they have no order.
    """
    if isinstance(bands, set | frozenset):
        raise InputError(
            f"bands: expected them in the order of channels, found a set, which has no order; for example "
            f"{list(known)}"
        )
    if bands is None:
        wanted = list(known)
    elif isinstance(bands, str):
        # Letters, where the capsule's bands are letters; else one name.
        wanted = [bands] if bands in known or bands == NO_BAND else list(bands)
    else:
        wanted = list(bands)
    unknown = [band for band in wanted if band not in known and [band] != [NO_BAND]]
    if unknown or len(set(wanted)) < len(wanted) or (NO_BAND in wanted and len(wanted) > 1):
        raise InputError(
            f"bands: expected some of {', '.join(known)}, each once, or {NO_BAND} alone where an object has "
            f"one image of no stated band, found {', '.join(wanted)}"
        )
    if len(wanted) != n_channels:
        raise InputError(
            f"images: expected a channel for each of the bands {', '.join(wanted)}, shape (n, {len(wanted)}, "
            f"y, x), found {n_channels} channels; missing bands are NaN, or are not named in bands"
        )
    return wanted


def from_images(
    images: "Images",
    bands: str | Sequence[str] | None,
    known_bands: Sequence[str],
    size_px: int,
    non_finite: Literal["reject", "fill"],
    domains: str | Sequence[str],
) -> Pixels:
    """Take images apart into cutouts, and leave out what packing would not take.

    Parameters
    ----------
    images : ndarray or Tensor of numbers, shape (n, n_bands, size_px, size_px)
        Axes (object, band, y, x), in counts. A band of NaN alone is missing. Lists of arrays, and arrays with
        masks, of NumPy or Astropy, are such arrays too.
    bands : str or sequence of str or None
        The band of each channel; None: `known_bands`.
    known_bands : sequence of str
        What bands there are, in the order of packing.
    size_px : int
        Side of a cutout, in pixels.
    non_finite : "reject" or "fill"
        What becomes of cutouts with some pixels that are not finite; see
        `stronglens.settings.data.CutoutSettings`.
    domains : str or sequence of str, length n
        Domain of all objects, or of each.

    Raises
    ------
    InputError
        The images have another shape or are no numbers, or bands or domains do not fit them.
    """
    array = _as_array(images)
    if array.ndim != 4 or array.shape[2:] != (size_px, size_px):
        raise InputError(
            f"images: expected shape (n, n_bands, {size_px}, {size_px}), axes (object, band, y, x), "
            f"found {array.shape}"
        )
    names = in_order_of(bands, known_bands, array.shape[1])
    if not isinstance(domains, str) and len(domains) != len(array):
        raise InputError(f"domains: expected one for each of {len(array)} objects, found {len(domains)}")
    order = sorted(range(len(names)), key=lambda number: [*known_bands, NO_BAND].index(names[number]))
    array = array[:, order]
    n_pixels = size_px * size_px
    pixels = array.reshape(-1, n_pixels).astype(np.float64)
    finite = np.isfinite(pixels)
    n_bad = n_pixels - finite.sum(axis=1)
    # NaN alone is how a missing band is said; packing would not find a file.
    is_there = ~np.isnan(pixels).all(axis=1)
    filled = np.zeros(len(pixels), dtype=bool)
    if non_finite == "fill":
        filled = (n_bad > 0) & (2 * n_bad < n_pixels)
        for row in np.flatnonzero(filled):
            pixels[row, ~finite[row]] = np.median(pixels[row, finite[row]])
        n_bad[filled] = 0
    low, high = pixels.min(axis=1, initial=np.inf), pixels.max(axis=1, initial=-np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        small = pixels.astype(np.float32)
        good = (
            (n_bad == 0)
            & (low >= -LARGEST_VALUE)
            & (high <= LARGEST_VALUE)
            & (low.astype(np.float32) != high.astype(np.float32))
        )
    by_object = (len(array), len(names))
    flags = np.where((is_there & ~good).reshape(by_object).any(axis=1), int(Flag.REJECTED), 0)
    flags |= np.where((filled & good).reshape(by_object).any(axis=1), int(Flag.FILLED), 0)
    rows = np.flatnonzero(good)
    objects = rows // len(names)
    of_objects = np.array([domains] * len(array) if isinstance(domains, str) else list(domains), dtype=object)
    return Pixels(
        small[rows].reshape(-1, size_px, size_px),
        objects,
        np.array([names[number] for number in order], dtype=object)[rows % len(names)],
        of_objects[objects] if len(array) else of_objects,
        flags.astype(np.int64),
    )


def _as_array(images: "Images") -> npt.NDArray[Any]:
    try:
        found = _one_array(images)
    except (TypeError, ValueError, RuntimeError) as error:  # of several shapes, of a sparse tensor
        raise InputError(f"images: expected one array of numbers, found something else ({error})") from error
    if found.dtype.kind not in "iuf":
        raise InputError(f"images: expected real numbers, found {found.dtype}")
    return found


def _one_array(images: Any) -> npt.NDArray[Any]:
    """An array of what may be a list of arrays, each with a mask of its own, which NumPy would drop."""
    if isinstance(images, list | tuple) and images:
        return np.stack([_one_array(one) for one in images])
    if hasattr(images, "detach"):
        images = images.detach()
        # NumPy has no bfloat16.
        images = (images.double() if images.is_floating_point() else images).cpu()
    found = np.asarray(images)
    if found.dtype == object and found.ndim == 1:  # a column of arrays
        return _one_array(found.tolist())
    mask = getattr(images, "mask", None)
    # What the mask hides is not known: as everywhere here, that is NaN. A method of pandas is no mask.
    is_masked = isinstance(mask, np.ndarray) and mask.any()
    return np.where(np.asarray(mask), np.nan, found) if is_masked else found
