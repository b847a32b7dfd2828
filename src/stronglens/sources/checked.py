"""What every cutout must be, from whichever source: of one size, with finite pixels, and not empty."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from stronglens.sources.fitting import Fit, can_fit, fitted
from stronglens.sources.image_choice import wrong_shape
from stronglens.sources.protocol import Reading
from stronglens.sources.rejected import Rejected

LARGEST_VALUE = 1e18
"""Beyond which a pixel is no measurement in any unit: floats read as integers or in the wrong byte order."""

NonFinite = Literal["reject", "fill"]


class Cutout(NamedTuple):
    """A cutout.

    Attributes
    ----------
    image : ndarray of float32, shape (size_px, size_px)
        Axes (y, x), in counts; finite, and not the same everywhere.
    n_filled : int
        Pixels of the image that were not finite in the source.
    is_fitted : bool
        Whether the image had another size.
    """

    image: npt.NDArray[np.float32]
    n_filled: int
    is_fitted: bool


def checked(
    reading: Reading,
    size_px: int,
    non_finite: NonFinite = "reject",
    fit: Fit = "refuse",
    sentinels: tuple[float, ...] = (),
) -> Cutout:
    """Make a cutout from what a source says.

    Parameters
    ----------
    reading : Reading
        Its pixels stay as they are.
    size_px : int
        Side of every cutout in pixels.
    non_finite : "reject" or "fill"
        What becomes of a cutout with pixels that are not finite; see
        `stronglens.settings.data.CutoutSettings`.
    fit : "refuse", "crop" or "pad"
        What becomes of an image of another size.
    sentinels : tuple of float
        Values that mean that a pixel has none, compared as float32.

    Raises
    ------
    Rejected
        The image does not fit, or has pixels that are not finite (as many as half of them, where they are
        filled) or beyond `LARGEST_VALUE`, or the same value everywhere: such an image holds no light, and its
        object is better judged without it.
    """
    image = np.array(reading.pixels, dtype=np.float64)
    height, width = image.shape
    if not can_fit(height, width, size_px, fit):
        raise wrong_shape(image.shape, size_px, fit)
    for value in sentinels:
        image[image.astype(np.float32) == np.float32(value)] = np.nan
    pixels = fitted(image, size_px)
    n_filled = _fill(pixels) if non_finite == "fill" else 0
    return Cutout(_finite(pixels), n_filled, image.shape != pixels.shape)


def _fill(pixels: npt.NDArray[np.float64]) -> int:
    """Give pixels that are not finite the median of the others, if these are more than half; count them."""
    finite = np.isfinite(pixels)
    n_bad = int(np.count_nonzero(~finite))
    if not n_bad or 2 * n_bad >= pixels.size:
        return 0
    pixels[~finite] = np.median(pixels[finite])
    return n_bad


def _finite(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    low, high = pixels.min(), pixels.max()
    if low >= -LARGEST_VALUE and high <= LARGEST_VALUE:  # false for NaN
        if np.float32(low) == np.float32(high):
            raise Rejected("constant image", f"{low:g} everywhere")
        return pixels.astype(np.float32)
    n_bad = int(np.count_nonzero(~np.isfinite(pixels)))
    if n_bad:
        raise Rejected("non-finite pixels", str(n_bad))
    raise Rejected("absurd values", f"from {low:g} to {high:g}")
