"""Colours of galaxies by redshift, and sums of magnitudes."""

import numpy as np
import pytest

from stronglens.simulation.cosmology import Z_MAX
from stronglens.simulation.galaxies import draw_ellipticals
from stronglens.simulation.grid import Floats
from stronglens.simulation.light import render
from stronglens.simulation.spectra import BANDS, add_magnitudes, band_magnitudes, share_of

G, R = 0, 1


def colours(population: str, redshift: float, tilt: float = 0.0) -> Floats:
    """Of neighbouring bands: g - r, r - i, i - z, z - y."""
    magnitudes = band_magnitudes(population, np.array([redshift]), np.array([tilt]))[0]
    found: Floats = magnitudes[:-1] - magnitudes[1:]
    return found


@pytest.mark.parametrize(("redshift", "g_r", "r_i"), [(0.01, 0.75, 0.38), (0.5, 1.7, 0.8)])
def test_old_galaxies_have_the_colours_of_ellipticals(redshift: float, g_r: float, r_i: float) -> None:
    """Those that the spectra were laid for: to a tenth, as ellipticals themselves scatter."""
    assert colours("old", redshift)[:2] == pytest.approx([g_r, r_i], abs=0.1)


def test_young_galaxies_are_bluer_than_old_ones_at_every_redshift_of_a_lens() -> None:
    for redshift in np.linspace(0.01, 2, 20):
        assert (colours("young", redshift) < colours("old", redshift)).all()


def test_the_break_of_old_galaxies_moves_through_the_bands() -> None:
    """Two bands differ most while the break, at 397 nm in the rest frame, lies at the edge between them."""
    redshifts = np.linspace(0.01, 1.6, 160)
    reddest = redshifts[np.array([colours("old", redshift) for redshift in redshifts]).argmax(axis=0)]
    # Bands are 100 nm wide and more, 0.25 in redshift, and the spectrum falls on both sides of the break.
    assert reddest == pytest.approx(np.array([552, 691, 818, 936]) / 397 - 1, abs=0.15)


def test_young_galaxies_drop_out_of_g_at_redshift_4_and_of_r_at_5() -> None:
    """The Lyman limit, 91.2 nm, is seen at 456 and 547 nm, Lyman alpha, 121.6 nm, at 608 and 730 nm."""
    assert colours("young", 3.0)[G] < 0.5
    assert colours("young", 4.0)[G] > 0.9
    assert colours("young", 4.0)[R] < 0.5
    assert colours("young", 5.0)[R] > 0.9


def test_a_tilt_is_the_magnitudes_that_a_spectrum_falls_by_tenfold_wavelength() -> None:
    middle = {"g": 477.0, "y": 1000.0}
    redder = band_magnitudes("young", np.array([1.0]), np.array([0.5]))[0]
    plain = band_magnitudes("young", np.array([1.0]), np.zeros(1))[0]
    gained = (redder - plain)[BANDS.index("g")] - (redder - plain)[BANDS.index("y")]
    assert gained == pytest.approx(0.5 * np.log10(middle["y"] / middle["g"]))


def test_galaxies_are_fainter_the_farther_they_are() -> None:
    redshifts = np.linspace(0.05, Z_MAX, 60)
    for population in ("old", "young"):
        magnitudes = band_magnitudes(population, redshifts, np.zeros(60))
        assert (np.diff(magnitudes[:, BANDS.index("z")]) > 0).all()


def test_magnitudes_add_up_and_are_shared_out() -> None:
    magnitudes = np.array([20.0, 21.0, 22.0, 23.0, 24.0])
    # Two of the same give 2.5 lg 2 = 0.7526 mag more.
    assert add_magnitudes(magnitudes, magnitudes) == pytest.approx(magnitudes - 0.752575, abs=1e-6)
    assert share_of(magnitudes, 0.1) == pytest.approx(magnitudes + 2.5)
    parts = add_magnitudes(share_of(magnitudes, 0.3), share_of(magnitudes, 0.7))
    assert parts == pytest.approx(magnitudes)


def test_a_rendered_galaxy_has_the_colours_of_its_magnitudes() -> None:
    """Bulge and halo together, measured from pixels."""
    rng = np.random.default_rng(4)
    galaxies = draw_ellipticals(rng, np.full(8, 0.5), np.full(8, 230.0), halo_chance=0.5)
    assert 0 < np.count_nonzero(galaxies.halo_share) < 8
    for number in range(8):
        one = type(galaxies)(*(column[number] for column in vars(galaxies).values()))
        image = render(one.lights_at(0.02, -0.03))
        measured = -2.5 * np.log10(image.sum(axis=(1, 2)))
        assert np.diff(measured) == pytest.approx(np.diff(one.magnitudes), abs=1e-6)
        # Red, by redshift 0.5, with the tilts' scatter of 0.15 per tenfold wavelength.
        assert measured[G] - measured[R] == pytest.approx(1.78, abs=0.1)
