"""Images of another size than is wanted: refused, cropped or padded, about their centre."""

from typing import Literal

import numpy as np
import numpy.typing as npt

Fit = Literal["refuse", "crop", "pad"]


def can_fit(height: int, width: int, size_px: int, fit: Fit) -> bool:
    """Whether an image of this shape gives a cutout of side `size_px`."""
    if fit == "refuse":
        return height == width == size_px
    least = size_px if fit == "crop" else (size_px + 1) // 2
    return min(height, width) >= least


def wanted(size_px: int, fit: Fit) -> str:
    """Which shapes fit, in words."""
    least = {"refuse": size_px, "crop": size_px, "pad": (size_px + 1) // 2}[fit]
    return f"{least} x {least}" + ("" if fit == "refuse" else " or more")


def fitted(image: npt.NDArray[np.float64], size_px: int) -> npt.NDArray[np.float64]:
    """Crop or pad an image about its centre.

    Parameters
    ----------
    image : ndarray of float64, shape (height, width)
        Axes (y, x). Where the difference to `size_px` is odd, one pixel more is cut or added at
        the upper end.
    size_px : int
        Side of the result. What is added has the median of the image's finite pixels, NaN if there are none.

    Returns
    -------
    ndarray of float64, shape (size_px, size_px)
        The image itself if it has this size.
    """
    if image.shape == (size_px, size_px):
        return image
    cut = image[
        tuple(
            slice((n - size_px) // 2, (n - size_px) // 2 + size_px) if n > size_px else slice(None)
            for n in image.shape
        )
    ]
    if cut.shape == (size_px, size_px):
        return cut.copy()
    finite = image[np.isfinite(image)]
    padded = np.full((size_px, size_px), np.median(finite) if finite.size else np.nan)
    rows, columns = (slice((size_px - n) // 2, (size_px - n) // 2 + n) for n in cut.shape)
    padded[rows, columns] = cut
    return padded
