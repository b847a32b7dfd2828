"""Pictures of cutouts, by the values of their pixels."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from stronglens.candidates.pictures import (
    Sheet,
    balances,
    band_pictures,
    colour_composites,
    light_ratios,
    save_sheet,
    side_by_side,
    usual_flux,
)

SIDE = 15
Cutouts = npt.NDArray[np.float32]


def objects(*brightness: tuple[float, float, float]) -> Cutouts:
    """Sources in the middle of a sky of 7 counts with a noise of 1, so bright in three bands."""
    noise = np.random.default_rng(1).normal(7, 1, (len(brightness), 3, SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    source = np.exp(-(x**2 + y**2) / 4)
    return (noise + np.array(brightness)[:, :, None, None] * source).astype(np.float32)


ONES = np.ones(3)
PLACES = (2, 1, 0)


def middle(picture: npt.NDArray[np.uint8]) -> list[int]:
    colours: list[int] = picture[SIDE // 2, SIDE // 2].tolist()
    return colours


def test_colours_are_those_of_the_bands() -> None:
    grey, red, blue = colour_composites(
        objects((300, 300, 300), (0, 150, 300), (300, 150, 0)), PLACES, ONES, 5, 8
    )
    assert grey.shape == (SIDE, SIDE, 3)
    assert max(middle(grey)) - min(middle(grey)) < 8
    assert middle(red)[0] > middle(red)[1] > middle(red)[2]
    assert middle(blue)[0] < middle(blue)[1] < middle(blue)[2]


def test_a_usual_object_is_grey() -> None:
    cutouts = objects(*[(100, 200, 400)] * 3)
    usual = usual_flux(cutouts)
    assert usual[1] / usual[0] == pytest.approx(2, rel=0.1)
    picture = colour_composites(cutouts, PLACES, usual, 5, 8)[0]
    assert max(middle(picture)) - min(middle(picture)) < 15


def test_the_first_row_is_at_the_top() -> None:
    cutouts = objects((0, 0, 0))
    cutouts[0, :, 1, 3] += 200  # y is 1, near the lower edge
    picture = colour_composites(cutouts, PLACES, ONES, 5, 8)[0].sum(axis=2)
    assert np.unravel_index(picture.argmax(), picture.shape) == (SIDE - 2, 3)
    bands = band_pictures(cutouts)[0, 0]
    assert np.unravel_index(bands.argmax(), bands.shape) == (SIDE - 2, 3)


def test_missing_bands_are_the_nearest_and_an_object_without_any_is_black() -> None:
    cutouts = objects((300, 100, 50), (300, 100, 50), (300, 100, 50))
    cutouts[1, 1] = cutouts[1, 2] = np.nan
    cutouts[2] = np.nan
    whole, one, none = colour_composites(cutouts, PLACES, ONES, 5, 8)
    assert middle(whole)[2] > middle(whole)[0]
    assert len(set(middle(one))) == 1  # red, green and blue are one band
    assert none.max() == 0


def test_light_is_compared_in_the_middle() -> None:
    cutouts = objects((400, 200, 100), (1, 1, 1), (0, 0, 0), (10, 5000, 5000))
    cutouts[1] = 7  # no light at all
    cutouts[2] = np.nan
    ratios = light_ratios(cutouts, PLACES, ONES)
    assert ratios[0] == pytest.approx([0.5, 2.0], rel=0.05)
    assert ratios[1].tolist() == [1, 1]
    assert ratios[2].tolist() == [1, 1]
    assert ratios[3].tolist() == [pytest.approx(1, rel=0.05), 1 / 8]


def test_balances_turn_one_grey_into_another() -> None:
    cutouts = objects(*[(100, 100, 100)] * 5)
    cutouts[:, 2] = 7 + 4 * (cutouts[:, 2] - 7)  # a noise of 4
    found = balances(cutouts, PLACES, np.array([1.0, 2.0, 4.0]))
    assert found["counts"] == pytest.approx([2, 1, 0.5], abs=1e-3)  # red is the third band
    assert np.prod(found["noise"]) == pytest.approx(1, abs=1e-3)
    # 4/4, 2/1, 1/1 before they are brought to a mean of 1.
    assert found["noise"][1] / found["noise"][0] == pytest.approx(2, rel=0.2)


def test_the_usual_flux_is_that_of_what_is_brighter_than_the_sky() -> None:
    cutouts = objects((100, 0, 0), (300, 0, 0), (200, 0, 0), (0, 0, 0))
    cutouts[:, 1] = np.nan
    cutouts[3, 0] = 14 - cutouts[0, 0]  # darker than the sky
    usual = usual_flux(cutouts)
    # A Gaussian of variance 2 has 4 pi times its height.
    assert usual[0] == pytest.approx(200 * 4 * np.pi, rel=0.1)
    assert usual[1] == 1


def test_bands_are_grey_from_two_noises_below_the_sky_to_their_brightest() -> None:
    cutouts = objects((300, 0, 0))
    cutouts[0, 2] = np.nan
    bands = band_pictures(cutouts)[0]
    assert bands[0].max() == 255
    dark = cutouts[0, 0][::-1] < np.median(cutouts[0, 0]) - 3.5
    assert (bands[0][dark] == 0).all()
    order = np.argsort(cutouts[0, 0][::-1], axis=None)
    assert (np.diff(bands[0].ravel()[order].astype(int)) >= 0).all()
    assert bands[2].max() == 0
    constant = band_pictures(np.full((1, 1, SIDE, SIDE), 3, np.float32))
    assert len(np.unique(constant)) == 1


def test_bands_lie_side_by_side() -> None:
    bands = np.arange(2 * 3 * 2 * 4, dtype=np.uint8).reshape(2, 3, 2, 4)
    laid = side_by_side(bands)
    assert laid.shape == (2, 2, 12)
    for number in range(3):
        np.testing.assert_array_equal(laid[1, :, 4 * number : 4 * number + 4], bands[1, number])


@pytest.mark.parametrize("colours", [(), (3,)])
def test_sheets_are_filled_line_by_line(tmp_path: Path, colours: tuple[int, ...]) -> None:
    pictures = np.random.default_rng(1).integers(1, 255, (5, 4, 6, *colours)).astype(np.uint8)
    sheet = Sheet("colour", 3, 20)
    assert sheet.n_each == 60
    save_sheet(tmp_path, sheet, 7, pictures)
    drawn = np.asarray(Image.open(tmp_path / "colour_7.png"))
    assert drawn.shape == (8, 18, *colours)
    for number, picture in enumerate(pictures):
        y, x = 4 * (number // 3), 6 * (number % 3)
        np.testing.assert_array_equal(drawn[y : y + 4, x : x + 6], picture)
    assert drawn[4:, 12:].max() == 0
