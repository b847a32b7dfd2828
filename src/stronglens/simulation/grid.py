"""The pixels of a cutout, and the finer ones in which light is computed before it is observed."""

from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SIZE_PX = 41
"""Side of a cutout in pixels."""
PIXEL_ARCSEC = 0.2
"""Side of a pixel in arcsec: that of LSST's coadds and of the challenge."""
MARGIN_PX = 7
"""Pixels around the cutout whose light the seeing can carry into it."""
OVERSAMPLING = 3
"""Fine pixels along the side of a pixel."""
N_FINE = (SIZE_PX + 2 * MARGIN_PX) * OVERSAMPLING
"""Side of the fine grid in fine pixels: 165, whose factors 3, 5 and 11 suit the Fourier transform."""
FINE_ARCSEC = PIXEL_ARCSEC / OVERSAMPLING
"""Side of a fine pixel in arcsec."""


@cache
def fine_axis() -> Floats:
    """Centres of the fine pixels along one axis, shape (N_FINE,), in arcsec from the cutout's centre."""
    axis: Floats = (np.arange(N_FINE, dtype=np.float64) - (N_FINE - 1) / 2) * FINE_ARCSEC
    axis.flags.writeable = False
    return axis


@cache
def pixel_axis() -> Floats:
    """Centres of the cutout's pixels along one axis: float64, shape (SIZE_PX,), in arcsec from its centre."""
    axis: Floats = (np.arange(SIZE_PX, dtype=np.float64) - (SIZE_PX - 1) / 2) * PIXEL_ARCSEC
    axis.flags.writeable = False
    return axis


def bin_to_pixels(fine: Floats) -> Floats:
    """Sum fine pixels to pixels and cut the margin off.

    Parameters
    ----------
    fine : ndarray of float64, shape (..., N_FINE, N_FINE)
        Axes (..., y, x), flux in each fine pixel.

    Returns
    -------
    ndarray of float64, shape (..., SIZE_PX, SIZE_PX)
        Axes (..., y, x), flux in each pixel.
    """
    n_px = N_FINE // OVERSAMPLING
    coarse = fine.reshape(*fine.shape[:-2], n_px, OVERSAMPLING, n_px, OVERSAMPLING).sum(axis=(-3, -1))
    inner = slice(MARGIN_PX, MARGIN_PX + SIZE_PX)
    cut: Floats = coarse[..., inner, inner]
    return cut
