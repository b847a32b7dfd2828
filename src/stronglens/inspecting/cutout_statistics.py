"""Numbers that describe a cutout: its sky, its noise, its light, and what processing has left in it."""

import numpy as np
import numpy.typing as npt

BORDER_PX = 3
"""Width of the frame in which sky and noise are measured: the object lies in the middle."""

SIGMA_PER_MAD = 1.4826
"""Standard deviation of a normal distribution whose median absolute deviation is 1: the inverse of the
standard one's quantile at 3/4, to the digits of Rousseeuw & Croux (1993), JASA 88, 1273."""

CORNER_PX = 3
"""Side of a corner. Turned by more than a few degrees, a square leaves none of these covered."""


def frame_sky(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The median of each cutout's frame of `BORDER_PX` pixels, in counts.

    Parameters
    ----------
    cutouts : ndarray of float32, shape (n_cutouts, size_px, size_px)
        Axes (cutout, y, x), in counts.

    Returns
    -------
    ndarray of float64, shape (n_cutouts,)
    """
    sky: npt.NDArray[np.float64] = np.median(cutouts[:, _frame(cutouts)], axis=1).astype(np.float64)
    return sky


def frame_noise(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """1.4826 times the median absolute deviation in each cutout's frame, in counts.

    That is the standard deviation, were the noise Gaussian. Shapes as in `frame_sky`.
    """
    frames = cutouts[:, _frame(cutouts)]
    deviations = np.abs(frames - np.median(frames, axis=1, keepdims=True))
    noise: npt.NDArray[np.float64] = SIGMA_PER_MAD * np.median(deviations, axis=1).astype(np.float64)
    return noise


def noise_correlation(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Correlation of neighbouring pixels in each cutout's frame, from -1 to 1; 0 where there is no noise.

    Resampling (turning, shifting, stretching) mixes neighbours, and so raises it. Pixels more than 3 times
    the noise away from the sky are taken to be that far: light of a neighbour counts little. Shapes as in
    `frame_sky`.
    """
    sky, noise = frame_sky(cutouts)[:, None, None], frame_noise(cutouts)[:, None, None]
    inside = _frame(cutouts)
    rest = np.where(inside, np.clip(cutouts - sky, -3 * noise, 3 * noise), 0)
    pairs = (inside[:, 1:] & inside[:, :-1]).sum() + (inside[1:] & inside[:-1]).sum()
    products = (rest[:, :, 1:] * rest[:, :, :-1]).sum(axis=(1, 2))
    products += (rest[:, 1:] * rest[:, :-1]).sum(axis=(1, 2))
    squares = (rest**2).sum(axis=(1, 2)) / inside.sum()
    found: npt.NDArray[np.float64] = np.divide(
        products / pairs, squares, out=np.zeros(len(cutouts)), where=squares > 0
    )
    return found


def peak(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The brightest pixel of each cutout above its sky, in counts. Shapes as in `frame_sky`."""
    brightest: npt.NDArray[np.float64] = cutouts.max(axis=(1, 2)).astype(np.float64)
    return brightest - frame_sky(cutouts)


def flux(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The sum of each cutout above its sky, in counts. Shapes as in `frame_sky`."""
    n_pixels = cutouts.shape[1] * cutouts.shape[2]
    total: npt.NDArray[np.float64] = cutouts.sum(axis=(1, 2), dtype=np.float64) - n_pixels * frame_sky(
        cutouts
    )
    return total


def size(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Mean distance from the centre of each cutout's light, in pixels; 0 where there is none.

    Light is what lies more than twice the noise above the sky. Shapes as in `frame_sky`.
    """
    sky, noise = frame_sky(cutouts)[:, None, None], frame_noise(cutouts)[:, None, None]
    above = cutouts - sky
    light = np.where(above > 2 * noise, above, 0).astype(np.float64)
    y, x = (np.arange(n) - (n - 1) / 2 for n in cutouts.shape[1:])
    distance = np.hypot(y[:, None], x)
    total = light.sum(axis=(1, 2))
    found: npt.NDArray[np.float64] = np.divide(
        (light * distance).sum(axis=(1, 2)), total, out=np.zeros(len(cutouts)), where=total > 0
    )
    return found


def constant_corners(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """How many of each cutout's four corners of `CORNER_PX` pixels hold one value throughout.

    None does in a picture of the sky; an image that was turned has nothing to put there. Shapes as in
    `frame_sky`.
    """
    n = CORNER_PX
    corners = np.stack(
        [cutouts[:, :n, :n], cutouts[:, :n, -n:], cutouts[:, -n:, :n], cutouts[:, -n:, -n:]], axis=1
    )
    flat = corners.reshape(len(cutouts), 4, n * n)
    return np.asarray((flat == flat[:, :, :1]).all(axis=2).sum(axis=1), dtype=np.float64)


def image_correlation(
    cutouts: npt.NDArray[np.float32], next_bands: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Correlation of two bands of the same objects, pixel by pixel; 0 where one is constant.

    Parameters
    ----------
    cutouts, next_bands : ndarray of float32, shape (n_cutouts, size_px, size_px)
        Axes (cutout, y, x), in counts.

    Returns
    -------
    ndarray of float64, shape (n_cutouts,)
        From -1 to 1. Bands turned against each other agree less.
    """
    one, other = (
        image.reshape(len(image), -1).astype(np.float64) - image.mean(axis=(1, 2), dtype=np.float64)[:, None]
        for image in (cutouts, next_bands)
    )
    scale = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    found: npt.NDArray[np.float64] = np.divide(
        (one * other).sum(axis=1), scale, out=np.zeros(len(cutouts)), where=scale > 0
    )
    return found


def _frame(cutouts: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    frame = np.ones(cutouts.shape[1:], dtype=bool)
    frame[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    return frame
