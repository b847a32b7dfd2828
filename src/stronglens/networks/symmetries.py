"""The eight symmetries of the square: a lens that is turned or mirrored is as much a lens."""

from torch import Tensor

N_SYMMETRIES = 8


def dihedral(images: Tensor, number: int) -> Tensor:
    """Turn and mirror images by one of the eight symmetries of the square.

    Parameters
    ----------
    images : Tensor, shape (n, n_channels, size_px, size_px)
        Axes (sample, channel, y, x).
    number : int
        Which, from 0 to 7; 0 leaves them as they are. Its bits say: exchange x and y, then flip y, flip x.

    Returns
    -------
    Tensor, same shape
        Contiguous, so that a compiled network meets the memory layout that it was compiled for.
    """
    if not 0 <= number < N_SYMMETRIES:
        raise ValueError(f"expected a number from 0 to {N_SYMMETRIES - 1}, found {number}")
    if number & 1:
        images = images.transpose(2, 3)
    flipped = [axis for axis, bit in ((2, 2), (3, 4)) if number & bit]
    return (images.flip(flipped) if flipped else images).contiguous()
