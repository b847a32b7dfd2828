"""From raw pixels to what a network sees: smoothing, normalisation, padding, for many cutouts at once."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from stronglens.formats.joined import AnySet, JoinedCutouts
from stronglens.networks.device import sent
from stronglens.networks.normalise import Texts, noise_of, normalise, power_of_two
from stronglens.settings.preprocess import PreprocessSettings

FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))
"""Full width at half maximum of a gaussian of standard deviation 1."""

TRUNCATE_SIGMAS = 3
"""Smoothing kernels end at this many standard deviations, rounded up to whole pixels."""

CHUNK_ON_CPU, CHUNK_ON_GPU = 256, 8192
"""Cutouts handled at once: a few MB stay in a CPU's cache, a GPU wants enough to be busy."""


def preprocess(
    images: Tensor,
    settings: PreprocessSettings,
    domains: Texts | None = None,
    bands: Texts | None = None,
    objects: npt.NDArray[np.int64] | None = None,
) -> Tensor:
    """Smooth, normalise and pad, in this order, each as the settings say.

    Every cutout is treated for itself, or with those of its object where normalisation is `object`: the
    result does not depend on the others in the batch.

    Parameters
    ----------
    images : Tensor of float32, shape (n, height, width)
        Axes (cutout, y, x), in counts, finite (checked when the cutouts were packed); on any device.
    settings : PreprocessSettings
        What is done.
    domains : sequence of str, length n, optional
        Domain of each cutout; needed where smoothing is `psf`.
    bands : sequence of str, length n, optional
        Band of each cutout; needed where normalisation is `asinh`.
    objects : ndarray of int64, shape (n,), optional
        Number of each cutout's object; needed where normalisation is `object`, and all cutouts of an object
        must be there.

    Returns
    -------
    Tensor of float32, shape (n, height, width), or (n, pad_to_px, pad_to_px) where larger
        In units of each cutout's or object's scale if normalised (0 everywhere for a cutout that is constant
        after smoothing), without unit after `asinh`, in counts if not normalised.

    Raises
    ------
    ValueError
        `domains`, `bands` or `objects` is needed and missing.
    """
    smoothed = _smooth(images, settings, domains)
    normalised = normalise(smoothed, settings, bands, objects) if settings.normalise else smoothed
    return normalised if settings.pad_to_px is None else pad_centred(normalised, settings.pad_to_px)


def preprocess_all(
    cutouts: npt.NDArray[np.float32] | JoinedCutouts,
    rows: npt.NDArray[np.int64],
    settings: PreprocessSettings,
    context: "CutoutContext",
    device: torch.device,
    chunk: int | None = None,
    out_dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Preprocess some rows of a packed set, chunk by chunk: only the result grows with their number.

    Parameters
    ----------
    cutouts : ndarray of float32, or JoinedCutouts, shape (n_cutouts, height, width)
        Axes (cutout, y, x), in counts; may be a memory map, or several.
    rows : ndarray of int64, shape (n,)
        Which cutouts, in the order of the result.
    settings : PreprocessSettings
        What is done.
    context : CutoutContext
        What preprocessing needs of the packed cutouts.
    device : torch.device
        Where the work is done and the result lies.
    chunk : int, optional
        Cutouts handled at once; what suits the device if not given. Changes no result.
    out_dtype : torch.dtype
        Type of the result; computed in float32.

    Returns
    -------
    Tensor of out_dtype, shape as that of `preprocess`
    """
    height, width = cutouts.shape[1:]
    side = settings.pad_to_px or 0
    step = chunk or (CHUNK_ON_CPU if device.type == "cpu" else CHUNK_ON_GPU)
    result = torch.empty((len(rows), max(height, side), max(width, side)), dtype=out_dtype, device=device)

    def fill(start: int) -> None:
        some = rows[start : start + step]
        read = context.needed_for(some, settings)
        images = torch.from_numpy(np.ascontiguousarray(cutouts[read], dtype=np.float32)).to(device)
        result[start : start + step] = context.preprocess(images, read, some, settings)

    starts = range(0, len(rows), step)
    n_threads = min(torch.get_num_threads(), len(starts)) if device.type == "cpu" else 1
    if n_threads > 1:
        _each_in_a_thread(fill, starts, n_threads)
    else:
        for start in starts:
            fill(start)
    return result


def _each_in_a_thread(work: Callable[[int], None], starts: Sequence[int], n_threads: int) -> None:
    """Work on whole chunks side by side, each in one thread.

    Operations on a chunk are too short to share: two threads in each of them are 1.25 times as fast as one,
    two chunks side by side 1.8 times (measured: two AVX-512 cores).
    """
    all_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(n_threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            # As a list: the first error is raised here.
            list(pool.map(work, starts))
    finally:
        torch.set_num_threads(all_threads)  # what the workers were told is also what new threads are


class CutoutContext:
    """What preprocessing needs of packed cutouts beside their pixels.

    Parameters
    ----------
    domains : sequence of str, length n_cutouts, optional
        Domain of every packed cutout; only where smoothing is `psf`.
    bands : sequence of str, length n_cutouts, optional
        Band of every packed cutout; only where normalisation is `asinh`.
    objects : ndarray of int64, shape (n_cutouts,), optional
        Number of every packed cutout's object, ascending; only where normalisation is `object`.
    """

    def __init__(
        self,
        domains: Texts | None = None,
        bands: Texts | None = None,
        objects: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._domains = None if domains is None else np.asarray(domains, dtype=object)
        self._bands = None if bands is None else np.asarray(bands, dtype=object)
        self._objects = objects

    def needed_for(self, rows: npt.NDArray[np.int64], settings: PreprocessSettings) -> npt.NDArray[np.int64]:
        """Rows to be read for some rows: themselves, or all of their objects, ascending."""
        if not (settings.normalise and settings.normalisation == "object"):
            return rows
        if self._objects is None:
            raise ValueError("normalisation is object: expected the object of each cutout, found none")
        wanted = np.unique(self._objects[rows])
        first, end = (np.searchsorted(self._objects, wanted, side) for side in ("left", "right"))
        sizes = end - first
        return np.repeat(first - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())

    def preprocess(
        self,
        images: Tensor,
        read: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        settings: PreprocessSettings,
    ) -> Tensor:
        """Preprocess what was read, shape (len(read), height, width), and give what was asked for.

        Parameters
        ----------
        images : Tensor of float32, shape (len(read), height, width)
            In counts.
        read : ndarray of int64
            Rows of the images, of `needed_for`.
        rows : ndarray of int64
            Rows of the result.
        """
        done = preprocess(
            images,
            settings,
            None if self._domains is None else self._domains[read],
            None if self._bands is None else self._bands[read],
            None if self._objects is None else self._objects[read],
        )
        if read is rows:
            return done
        return done[sent(torch.from_numpy(np.searchsorted(read, rows)), done.device)]


def context_of(packed: AnySet, settings: PreprocessSettings) -> CutoutContext:
    """What some settings need of the cutouts of a packed set beside their pixels.

    Grows with the whole set, however few cutouts are wanted of it: to be asked for once.
    """
    index = packed.index
    return CutoutContext(
        index["domain"].to_numpy(dtype=object) if settings.smoothing == "psf" else None,
        index["band"].to_numpy(dtype=object) if settings.normalisation == "asinh" else None,
        packed.object_numbers if settings.normalisation == "object" else None,
    )


def _smooth(images: Tensor, settings: PreprocessSettings, domains: Texts | None) -> Tensor:
    if settings.smoothing == "gaussian":
        return smooth_gaussian(images, settings.gaussian_sigma_px)
    if settings.smoothing == "guided":
        return smooth_guided(
            images, settings.guided_radius_px, settings.guided_eps, settings.guided_eps_in_noise
        )
    if settings.smoothing == "psf":
        if domains is None:
            raise ValueError("smoothing is psf: expected the domain of each cutout, found none")
        return _smooth_to_psf(images, settings, np.asarray(domains, dtype=object))
    return images


def smooth_gaussian(images: Tensor, sigma_px: float) -> Tensor:
    """Convolve with a gaussian that ends at three standard deviations; outside the image is 0.

    Parameters
    ----------
    images : Tensor of float32, shape (n, height, width)
        Axes (cutout, y, x).
    sigma_px : float
        Standard deviation in pixels.

    Notes
    -----
    The sum of the kernel is 1, so the outermost pixels lose flux to the outside.
    """
    radius = math.ceil(TRUNCATE_SIGMAS * sigma_px)
    weights = [math.exp(-0.5 * (offset / sigma_px) ** 2) for offset in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return _convolve(images, [weight / total for weight in weights])


def smooth_guided(images: Tensor, radius_px: int, eps: float | None, eps_in_noise: float) -> Tensor:
    """Smooth where the variance is well below `eps` and keep edges where it is well above.

    Parameters
    ----------
    images : Tensor of float32, shape (n, height, width)
        Axes (cutout, y, x), in counts; each guides itself.
    radius_px : int
        Half-width of the square window, in pixels.
    eps : float or None
        Regularisation, in squared counts; None: `eps_in_noise`.
    eps_in_noise : float
        Regularisation in units of each cutout's own squared noise, of `noise_of`.

    Notes
    -----
    He, Sun & Tang 2013, IEEE TPAMI 35, 1397, equations 5, 6 and 8 with the image as its own guide. At the
    borders, means run over that part of the window which lies inside the image.
    """
    # A constant passes unchanged; without it a flat image stays exactly flat, and fewer digits cancel below.
    constant = images.amin(dim=(1, 2), keepdim=True)
    images = images - constant
    unit = power_of_two(images.flatten(1))
    images = images / unit[:, :, None]
    level = eps_in_noise * noise_of(images).square() if eps is None else eps / unit / unit
    ones = [1.0] * (radius_px + 1)
    n_inside = _convolve(torch.ones_like(images[:1]), ones)
    mean = _convolve(images, ones) / n_inside
    # A variance; rounding makes it negative where a bright region is flat.
    variance = (_convolve(images * images, ones) / n_inside - mean * mean).clamp_(min=0)
    # 0 / 0 in a flat region of an image without noise: nothing to keep.
    slope = torch.where(variance > 0, variance / (variance + level[:, :, None]), 0)
    offset = mean - slope * mean
    smoothed = (_convolve(slope, ones) / n_inside) * images + _convolve(offset, ones) / n_inside
    return smoothed * unit[:, :, None] + constant


def _smooth_to_psf(images: Tensor, settings: PreprocessSettings, domains: npt.NDArray[np.object_]) -> Tensor:
    """Bring the seeing of each domain to the target; what is as wide already, or unknown, stays as it is."""
    target = settings.psf_target_fwhm_px or 0.0
    smoothed = images
    for domain, fwhm_px in settings.psf_input_fwhm_px.items():
        numbers = np.flatnonzero(domains == domain)  # found here: a GPU would have to be waited for
        if fwhm_px < target and len(numbers):
            sigma_px = math.sqrt(target**2 - fwhm_px**2) / FWHM_PER_SIGMA
            smoothed = smoothed.clone() if smoothed is images else smoothed
            chosen = sent(torch.from_numpy(numbers), images.device)
            smoothed[chosen] = smooth_gaussian(images[chosen], sigma_px)
    return smoothed


def _convolve(images: Tensor, half_kernel: Sequence[float]) -> Tensor:
    """Convolve along y and x with a symmetric kernel, given from its middle outwards; outside is 0.

    Sums of shifted images instead of a convolution or a matrix product, because these lose digits to TF32
    where the caller allows it for the network. Not slower either (measured: two AVX-512 cores, chunks of 512:
    197,000 cutouts/s against 74,000 with products by banded matrices and 10,000 with convolutions).
    """
    for axis in (1, 2):
        length = images.shape[axis]
        total = images * half_kernel[0]
        for distance, weight in enumerate(half_kernel[1:length], start=1):
            rest = length - distance
            total.narrow(axis, distance, rest).add_(images.narrow(axis, 0, rest), alpha=weight)
            total.narrow(axis, 0, rest).add_(images.narrow(axis, distance, rest), alpha=weight)
        images = total
    return images


def pad_centred(images: Tensor, side_px: int) -> Tensor:
    """Surround images with zeros; where the number to add is odd, one more row and column comes after.

    Parameters
    ----------
    images : Tensor, shape (n, height, width)
        Axes (cutout, y, x).
    side_px : int
        Side of the result; an axis that is longer stays as it is.
    """
    y, x = (max(side_px - length, 0) for length in images.shape[1:])
    return pad(images, (x // 2, x - x // 2, y // 2, y - y // 2))
