"""What every cutout must be."""

import numpy as np
import numpy.typing as npt
import pytest

from stronglens.sources.checked import LARGEST_VALUE, checked
from stronglens.sources.protocol import Reading
from stronglens.sources.rejected import Rejected

GOOD = np.arange(9.0).reshape(3, 3)


def with_pixels(value: float, n: int = 1) -> npt.NDArray[np.float64]:
    image = GOOD.copy()
    image.flat[:n] = value
    return image


def test_a_good_image_is_kept_and_its_source_left_alone() -> None:
    pixels = GOOD.astype(">f4")
    pixels.flags.writeable = False
    cutout = checked(Reading(pixels), 3)
    np.testing.assert_array_equal(cutout.image, GOOD.astype(np.float32))
    assert cutout.image.dtype == np.float32
    assert (cutout.n_filled, cutout.is_fitted) == (0, False)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (with_pixels(np.nan, 2), r"non-finite pixels \(2\)"),
        (with_pixels(-np.inf), r"non-finite pixels \(1\)"),
        (with_pixels(1.1 * LARGEST_VALUE), r"absurd values \(from 1 to 1\.1e\+18\)"),
        (np.full((3, 3), 7.0), r"constant image \(7 everywhere\)"),
        (7 + 1e-9 * GOOD, r"constant image \(7 everywhere\)"),  # as float32
        (GOOD[:2], r"wrong shape \(expected 3 x 3, found 2 x 3\)"),
    ],
)
def test_what_is_none_is_rejected(image: npt.NDArray[np.float64], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        checked(Reading(image), 3)


@pytest.mark.parametrize("n_bad", [1, 4])
def test_pixels_are_filled_with_the_median_of_the_others(n_bad: int) -> None:
    cutout = checked(Reading(with_pixels(np.nan, n_bad)), 3, "fill")
    assert cutout.n_filled == n_bad
    assert set(cutout.image.flat[:n_bad].tolist()) == {np.median(np.arange(n_bad, 9))}


def test_half_of_the_pixels_are_too_many_to_fill() -> None:
    with pytest.raises(Rejected, match=r"non-finite pixels \(5\)"):
        checked(Reading(with_pixels(np.nan, 5)), 3, "fill")


def test_sentinels_are_compared_as_float32() -> None:
    cutout = checked(Reading(with_pixels(-99.99)), 3, "fill", sentinels=(float(np.float32(-99.99)), -1.0))
    assert cutout.n_filled == 1
    with pytest.raises(Rejected, match="non-finite"):
        checked(Reading(with_pixels(-99.99)), 3, sentinels=(-99.99,))


def test_what_is_cut_away_is_not_counted() -> None:
    image = np.pad(GOOD, 1, constant_values=np.nan)
    cutout = checked(Reading(image), 3, "fill", "crop")
    assert (cutout.n_filled, cutout.is_fitted) == (0, True)
    np.testing.assert_array_equal(cutout.image, GOOD)
