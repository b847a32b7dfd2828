"""The fine grid and the pixels it is summed to have one centre."""

import numpy as np
import pytest

from stronglens.simulation.grid import (
    MARGIN_PX,
    N_FINE,
    OVERSAMPLING,
    PIXEL_ARCSEC,
    SIZE_PX,
    bin_to_pixels,
    fine_axis,
    pixel_axis,
)
from stronglens.simulation.light import ZERO_POINT, Light, Sersic, render
from stronglens.simulation.spectra import N_BANDS


def test_pixels_hold_the_light_of_their_fine_pixels() -> None:
    """A disc well within the cutout loses nothing, and stays where it is."""
    image = render([Light(Sersic(1.0, -0.6, 0.3, 1.0, 1.0, 0.0), np.full(N_BANDS, ZERO_POINT))])
    pixels = bin_to_pixels(image)
    assert pixels.shape == (N_BANDS, SIZE_PX, SIZE_PX)
    assert pixels.sum() == pytest.approx(image.sum(), rel=1e-3)
    # 1 arcsec is 5 pixels from the middle, 20; -0.6 arcsec 3 to the other side.
    assert np.unravel_index(pixels[0].argmax(), pixels[0].shape) == (17, 25)


def test_both_axes_are_centred_on_the_cutout() -> None:
    # 165 fine pixels of 1/15 arcsec.
    assert fine_axis()[[0, -1]].tolist() == pytest.approx([-82 / 15, 82 / 15])
    assert pixel_axis()[[0, 20, -1]].tolist() == pytest.approx([-4, 0, 4])
    assert np.diff(pixel_axis()) == pytest.approx(PIXEL_ARCSEC)
    # Each pixel's centre is that of its fine pixels.
    inner = fine_axis()[MARGIN_PX * OVERSAMPLING : (MARGIN_PX + SIZE_PX) * OVERSAMPLING]
    assert inner.reshape(SIZE_PX, OVERSAMPLING).mean(axis=1) == pytest.approx(pixel_axis())
    assert len(fine_axis()) == N_FINE


def test_axes_are_shared_and_cannot_be_changed() -> None:
    for axis in (fine_axis(), pixel_axis()):
        with pytest.raises(ValueError, match="read-only"):
            axis[0] = 0
    assert fine_axis() is fine_axis()


def test_x_stays_x() -> None:
    fine = np.zeros((2, N_FINE, N_FINE))
    first = MARGIN_PX * OVERSAMPLING
    fine[1, first, first + 4 * OVERSAMPLING] = 3.0
    fine[1, first - 1, first] = 7.0  # in the margin
    pixels = bin_to_pixels(fine)
    assert pixels[1, 0, 4] == pixels.sum() == 3.0
