"""From raw pixels to what a network sees: smoothing, normalisation, padding, for many cutouts at once."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from stronglens.settings.preprocess import PreprocessSettings

Domains = Sequence[str] | npt.NDArray[np.object_]

FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))
"""Full width at half maximum of a gaussian of standard deviation 1."""

BACKGROUND_QUANTILE = 0.1
"""The background of a cutout is the pixel of this rank."""

SIGMA_PER_MAD = 1.4826
"""Standard deviation of a normal distribution whose median absolute deviation is 1."""

SCALE_FLOOR = 1e-6
"""Added to the scale of a cutout in counts, so that a constant cutout becomes 0."""

TRUNCATE_SIGMAS = 3
"""Smoothing kernels end at this many standard deviations, rounded up to whole pixels."""

CHUNK_ON_CPU, CHUNK_ON_GPU = 512, 8192
"""Cutouts handled at once: a few MB stay in a CPU's cache, a GPU wants enough to be busy."""


def preprocess(
    images: Tensor,
    settings: PreprocessSettings,
    domains: Sequence[str] | npt.NDArray[np.object_] | None = None,
) -> Tensor:
    """Smooth, normalise and pad, in this order, each as the settings say.

    Every cutout is treated for itself: the result does not depend on the others in the batch.

    Parameters
    ----------
    images : Tensor of float32, shape (n, height, width)
        Axes (cutout, y, x), in counts, finite (checked when the cutouts were packed); on any device.
    settings : PreprocessSettings
        What is done.
    domains : sequence of str, length n, optional
        Domain of each cutout; needed where smoothing is `psf`.

    Returns
    -------
    Tensor of float32, shape (n, height, width), or (n, pad_to_px, pad_to_px) where larger
        In units of each cutout's scale if normalised (0 everywhere for a cutout that is constant after
        smoothing), else in counts.

    Raises
    ------
    ValueError
        Smoothing is `psf` and `domains` is missing.
    """
    smoothed = _smooth(images, settings, domains)
    normalised = normalise(smoothed, settings) if settings.normalise else smoothed
    return normalised if settings.pad_to_px is None else pad_centred(normalised, settings.pad_to_px)


def preprocess_all(
    cutouts: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    settings: PreprocessSettings,
    domains: Domains,
    device: torch.device,
    chunk: int | None = None,
    out_dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Preprocess some rows of a packed set, chunk by chunk: only the result grows with their number.

    Parameters
    ----------
    cutouts : ndarray of float32, shape (n_cutouts, height, width)
        Axes (cutout, y, x), in counts; may be a memory map.
    rows : ndarray of int64, shape (n,)
        Which cutouts, in the order of the result.
    settings : PreprocessSettings
        What is done.
    domains : sequence of str, length n_cutouts
        Domain of every packed cutout.
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
    all_domains = np.asarray(domains, dtype=object)
    result = torch.empty((len(rows), max(height, side), max(width, side)), dtype=out_dtype, device=device)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        images = torch.from_numpy(np.ascontiguousarray(cutouts[some], dtype=np.float32)).to(device)
        result[start : start + step] = preprocess(images, settings, all_domains[some])
    return result


def _smooth(images: Tensor, settings: PreprocessSettings, domains: Domains | None) -> Tensor:
    if settings.smoothing == "gaussian":
        return smooth_gaussian(images, settings.gaussian_sigma_px)
    if settings.smoothing == "guided":
        return smooth_guided(images, settings.guided_radius_px, settings.guided_eps)
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


def smooth_guided(images: Tensor, radius_px: int, eps: float) -> Tensor:
    """Smooth where the variance is well below `eps` and keep edges where it is well above.

    Parameters
    ----------
    images : Tensor of float32, shape (n, height, width)
        Axes (cutout, y, x), in counts; each guides itself.
    radius_px : int
        Half-width of the square window, in pixels.
    eps : float
        Regularisation, in squared counts.

    Notes
    -----
    He, Sun & Tang 2013, IEEE TPAMI 35, 1397, equations 5, 6 and 8 with the image as its own guide. At the
    borders, means run over that part of the window which lies inside the image.
    """
    # A constant passes unchanged; without it a flat image stays exactly flat, and fewer digits cancel below.
    constant = images.amin(dim=(1, 2), keepdim=True)
    images = images - constant
    ones = [1.0] * (radius_px + 1)
    n_inside = _convolve(torch.ones_like(images[:1]), ones)
    mean = _convolve(images, ones) / n_inside
    # A variance; rounding makes it negative where a bright region is flat.
    variance = (_convolve(images * images, ones) / n_inside - mean * mean).clamp_(min=0)
    slope = variance / (variance + eps)
    offset = mean - slope * mean
    return (_convolve(slope, ones) / n_inside) * images + _convolve(offset, ones) / n_inside + constant


def _smooth_to_psf(images: Tensor, settings: PreprocessSettings, domains: npt.NDArray[np.object_]) -> Tensor:
    """Bring the seeing of each domain to the target; what is as wide already, or unknown, stays as it is."""
    target = settings.psf_target_fwhm_px or 0.0
    smoothed = images
    for domain, fwhm_px in settings.psf_input_fwhm_px.items():
        chosen = torch.from_numpy(domains == domain).to(images.device)
        if fwhm_px < target and bool(chosen.any()):
            sigma_px = math.sqrt(target**2 - fwhm_px**2) / FWHM_PER_SIGMA
            smoothed = smoothed.clone() if smoothed is images else smoothed
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


def normalise(images: Tensor, settings: PreprocessSettings) -> Tensor:
    """Subtract the background, clip bright (and dark) pixels, and scale, each cutout by itself.

    Parameters
    ----------
    images : Tensor of float32, shape (n, height, width)
        Axes (cutout, y, x), in counts.
    settings : PreprocessSettings
        `clip_quantile`, `low_clip_quantile` and `scale`.

    Returns
    -------
    Tensor of float32, shape (n, height, width)
        Of mean 0 and standard deviation 1, or of median 0 and median absolute deviation 1 / 1.4826. Where
        more than half of the pixels are equal, the latter is 0; the standard deviation stands in for it.

    Notes
    -----
    Centring would take the background away as well. It goes first because only then the rounding is that of
    the original pipeline: at a hundred times the median absolute deviation float32 has steps of 1e-5.
    """
    pixels = images.flatten(1)
    background = 1 + round(BACKGROUND_QUANTILE * (pixels.shape[1] - 1))
    pixels = pixels - _kth_smallest(pixels, background)
    low = None if settings.low_clip_quantile is None else quantile(pixels, settings.low_clip_quantile)
    high = None if settings.clip_quantile is None else quantile(pixels, settings.clip_quantile)
    if low is not None or high is not None:
        pixels = pixels.clamp_(low, high)
    centre = pixels.mean(dim=1, keepdim=True)
    scale = (pixels - centre).square_().mean(dim=1, keepdim=True).sqrt_()
    if settings.scale == "mad":
        centre = _median(pixels)
        deviation = _median((pixels - centre).abs_())
        scale = torch.where(deviation > 0, SIGMA_PER_MAD * deviation, scale)
    return pixels.sub_(centre).div_(scale + SCALE_FLOOR).view_as(images)


def _median(pixels: Tensor) -> Tensor:
    """Median of each row; of an even number of pixels, the lower of the two in the middle."""
    return _kth_smallest(pixels, (pixels.shape[1] + 1) // 2)


def _kth_smallest(pixels: Tensor, k: int) -> Tensor:
    """The k-th smallest value of each row, k from 1; shape (n, 1).

    NumPy's vector instructions find it on a CPU five times faster (measured: one AVX2 core, rows of 1681:
    339,000 rows/s against 62,000 with `torch.kthvalue`).
    """
    if pixels.device.type != "cpu":
        return pixels.kthvalue(k, dim=1, keepdim=True).values
    return torch.from_numpy(np.partition(pixels.numpy(), k - 1, axis=1)[:, k - 1 : k])


def quantile(pixels: Tensor, q: float) -> Tensor:
    """The q-quantile of each row, with linear interpolation; the same bits as `torch.quantile`.

    Parameters
    ----------
    pixels : Tensor of float32, shape (n, n_pixels)
        Finite.
    q : float
        0 to 1.

    Returns
    -------
    Tensor of float32, shape (n, 1)

    Notes
    -----
    Only the tail beyond the quantile is sorted, for q = 0.997 of 1681 pixels seven values (measured: two
    AVX-512 cores: 430,000 cutouts/s against 66,000 with `torch.quantile`). Like there, q is rounded to
    float32 first: in a bright core that is seen in the fifth decimal.
    """
    last = pixels.shape[1] - 1
    rank = torch.tensor(q, dtype=torch.float32).item() * last
    below = math.floor(rank)
    above = min(below + 1, last)
    if q > 0.5:
        descending = pixels.topk(last - below + 1, dim=1).values
        pair = descending[:, last - below], descending[:, last - above]
    else:
        ascending = pixels.topk(above + 1, dim=1, largest=False).values
        pair = ascending[:, below], ascending[:, above]
    return torch.lerp(*pair, rank - below)[:, None]


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
