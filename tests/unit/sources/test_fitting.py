"""Images of another size: cropped and padded about their centre."""

from typing import Any

import numpy as np
import pytest

from stronglens.sources.fitting import can_fit, fitted, wanted


def ramp(height: int, width: int) -> np.ndarray:
    """Ten times the row and the column."""
    return 10.0 * np.arange(height)[:, None] + np.arange(width)


@pytest.mark.parametrize(
    ("shape", "size_px", "first"),
    [((5, 5), 3, 11.0), ((6, 5), 3, 11.0), ((4, 4), 3, 0.0), ((9, 3), 3, 30.0)],
)
def test_the_centre_is_cut_and_one_more_at_the_upper_end(
    shape: tuple[int, int], size_px: int, first: float
) -> None:
    found = fitted(ramp(*shape), size_px)
    np.testing.assert_array_equal(found, first + ramp(size_px, size_px))


def test_what_is_lacking_is_the_median_of_what_is_there() -> None:
    image = ramp(2, 3)
    image[0, 0] = np.nan
    found = fitted(image, 5)
    # Of 1, 2, 10, 11 and 12; one row below and two above, a column on either side.
    np.testing.assert_array_equal(found[1:3, 1:4], image)
    found[1:3, 1:4] = 10
    assert (found == 10).all()
    assert np.isnan(fitted(np.full((2, 2), np.nan), 3)).all()


def test_one_side_may_be_cut_and_the_other_padded() -> None:
    found = fitted(ramp(7, 2), 3)
    np.testing.assert_array_equal(found[:, :2], ramp(7, 2)[2:5])
    assert (found[:, 2] == 30.5).all()


def test_the_right_size_is_the_image_itself_and_a_cut_is_not() -> None:
    image = ramp(3, 3)
    assert fitted(image, 3) is image
    large = ramp(5, 5)
    fitted(large, 3)[:] = 0
    np.testing.assert_array_equal(large, ramp(5, 5))


@pytest.mark.parametrize(
    ("fit", "least", "words"),
    [("refuse", 5, "5 x 5"), ("crop", 5, "5 x 5 or more"), ("pad", 3, "3 x 3 or more")],
)
def test_which_sizes_fit(fit: Any, least: int, words: str) -> None:
    assert wanted(5, fit) == words
    for height, width in ((5, 5), (6, 5), (5, 4), (3, 9), (2, 9)):
        right = (height, width) == (5, 5) if fit == "refuse" else min(height, width) >= least
        assert can_fit(height, width, 5, fit) == right
