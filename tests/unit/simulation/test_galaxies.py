"""Populations of galaxies follow the distributions of the papers they are taken from."""

import math
from dataclasses import fields

import numpy as np
import pytest
from astropy.modeling.models import Sersic1D
from scipy import integrate, stats

from stronglens.simulation.cosmology import arcsec_per_kpc
from stronglens.simulation.galaxies import (
    SMALLEST_BLUE_ARCSEC,
    BlueGalaxies,
    Ellipticals,
    draw_blue_galaxies,
    draw_blue_redshifts,
    draw_count_magnitudes,
    draw_ellipticals,
    draw_field,
    pick,
    redshift_scale,
)
from stronglens.simulation.grid import PIXEL_ARCSEC, SIZE_PX
from stronglens.simulation.light import Light, Sersic, counts_of
from stronglens.simulation.spectra import BANDS, add_magnitudes, band_magnitudes

I_BAND = BANDS.index("i")
N = 4000


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def some_ellipticals(n: int = N, dispersion_km_s: float = 230.0, halo_chance: float = 0.3) -> Ellipticals:
    return draw_ellipticals(generator(), np.full(n, 0.5), np.full(n, dispersion_km_s), halo_chance)


def some_blue(n: int = N, i: float = 22.0, redshift: float = 1.0, old: float = 0.0) -> BlueGalaxies:
    return draw_blue_galaxies(generator(), np.full(n, i), np.full(n, redshift), np.full(n, old))


@pytest.mark.parametrize("index", [2.5, 4.0, 6.0])
def test_brightness_is_sersic_s_and_adds_up_to_one(index: float) -> None:
    one = np.array(1.0)
    galaxy = Ellipticals(one, one, np.full(5, 20.0), 0.8 * one, index * one, one, one, 0 * one)
    radii = np.geomspace(0.01, 8, 40)
    theirs = Sersic1D(amplitude=1, r_eff=0.8, n=index)(radii)
    ours = galaxy.brightness_at(radii)
    assert ours / theirs == pytest.approx(ours[0] / theirs[0], rel=0.01)

    def of_ring(log_radius: float) -> float:
        radius = math.exp(log_radius)
        return 2 * math.pi * radius**2 * float(galaxy.brightness_at(np.array(radius)))

    within, whole = (integrate.quad(of_ring, -20, math.log(edge), limit=200)[0] for edge in (0.8, 1e4))
    assert whole == pytest.approx(1, abs=2e-3)
    assert within == pytest.approx(0.5, abs=2e-3)


def test_a_halo_takes_its_share_and_lies_farther_out() -> None:
    galaxies = some_ellipticals(200, halo_chance=0.5)
    with_halo = galaxies.halo_share > 0
    assert 0.4 < with_halo.mean() < 0.6
    assert galaxies.halo_share[with_halo].min() >= 0.1
    assert galaxies.halo_share.max() <= 0.4
    one = pick(galaxies, int(np.flatnonzero(with_halo)[0]))
    bulge, halo = one.lights_at(0.3, -0.2)
    assert isinstance(bulge.shape, Sersic)
    assert isinstance(halo.shape, Sersic)
    assert (halo.shape.half_light_arcsec, halo.shape.index) == (2.5 * bulge.shape.half_light_arcsec, 1)
    assert [(light.shape.x_arcsec, light.shape.y_arcsec) for light in (bulge, halo)] == [(0.3, -0.2)] * 2
    share = counts_of(halo.magnitudes) / counts_of(one.magnitudes)
    assert share == pytest.approx(one.halo_share)
    assert add_magnitudes(bulge.magnitudes, halo.magnitudes) == pytest.approx(one.magnitudes)
    (alone,) = pick(galaxies, int(np.flatnonzero(~with_halo)[0])).lights_at(0, 0)
    assert alone.magnitudes == pytest.approx(galaxies.magnitudes[~with_halo][0])


def test_picked_galaxies_keep_their_rows() -> None:
    galaxies = some_ellipticals(5)
    mask = np.array([True, False, False, True, False])
    for field in fields(galaxies):
        column = getattr(galaxies, field.name)
        np.testing.assert_array_equal(getattr(pick(galaxies, mask), field.name), column[[0, 3]])
        np.testing.assert_array_equal(getattr(pick(galaxies, 3), field.name), column[3])


def test_ellipticals_follow_the_relations_by_dispersion() -> None:
    """Hyde & Bernardi (2009): at 230 km/s, lg s = 2.3617; size 10^0.556 kpc, M_r from the quadratic."""
    galaxies = some_ellipticals()
    log_sigma = math.log10(230)
    log_kpc = 2.46 - 2.79 * log_sigma + 0.84 * log_sigma**2
    found = np.log10(galaxies.half_light_arcsec / arcsec_per_kpc(galaxies.redshift))
    assert found.mean() == pytest.approx(log_kpc, abs=0.01)
    assert found.std() == pytest.approx(0.11, rel=0.06)
    # lg s = -2.97 - 0.37 M - 0.006 M^2, solved for M.
    brighter = some_ellipticals(dispersion_km_s=300.0)

    def magnitude(dispersion: float) -> float:
        return float(max(np.roots([0.006, 0.37, 2.97 + math.log10(dispersion)]).real))

    expected = magnitude(300) - magnitude(230)
    assert (brighter.magnitudes - galaxies.magnitudes).mean() == pytest.approx(expected, abs=0.03)
    assert galaxies.magnitudes[:, I_BAND].std() == pytest.approx(0.3, rel=0.1)


def test_ellipticals_were_brighter_by_0_85_mag_per_unit_of_redshift() -> None:
    """Beside what distance and the shift of the bands do to their spectra."""
    means = []
    for redshift in (0.3, 0.9):
        redshifts = np.full(N, redshift)
        galaxies = draw_ellipticals(generator(), redshifts, np.full(N, 230.0), 0.0)
        unevolved = band_magnitudes("old", redshifts, np.zeros(N))
        means.append(float((galaxies.magnitudes - unevolved)[:, I_BAND].mean()))
    assert means[1] - means[0] == pytest.approx(-0.85 * 0.6, abs=0.03)


def test_axis_ratios_of_ellipticals_are_those_of_the_cut_rayleigh() -> None:
    flattening = 1 - some_ellipticals().axis_ratio
    assert flattening.max() < 0.8
    width = 0.378 - 0.000572 * 230
    whole = stats.rayleigh(scale=width)
    found = stats.kstest(flattening, lambda q: whole.cdf(q) / whole.cdf(0.8))
    assert found.pvalue > 1e-3


def test_blue_galaxies_have_the_magnitude_that_is_asked_for() -> None:
    for old in (0.0, 0.6, 1.0):
        assert some_blue(50, old=old).magnitudes[:, I_BAND] == pytest.approx(22.0)


def test_the_more_old_stars_the_redder() -> None:
    colours = [np.diff(some_blue(400, redshift=0.4, old=old).magnitudes[:, :3]) for old in (0.0, 0.5, 1.0)]
    means = np.array([colour.mean(axis=0) for colour in colours])  # g - r and r - i are minus these
    assert (np.diff(means, axis=0) < 0).all()


def test_blue_galaxies_are_as_large_as_their_mass_says() -> None:
    """A magnitude brighter is 10^(0.4 x 0.22) larger; the scatter is 0.19 dex."""
    faint, bright = some_blue(i=21.5), some_blue(i=20.5)
    sizes = [np.log10(one.half_light_arcsec) for one in (faint, bright)]
    assert np.median(sizes[1]) - np.median(sizes[0]) == pytest.approx(0.088, abs=0.01)
    low, high = np.quantile(sizes[0], [0.16, 0.84])
    assert (high - low) / 2 == pytest.approx(0.19, rel=0.15)
    tiny = some_blue(200, i=30.0)
    assert tiny.half_light_arcsec.min() == SMALLEST_BLUE_ARCSEC


def test_a_clumpy_galaxy_has_half_its_light_in_clumps() -> None:
    galaxy = pick(some_blue(1), 0)
    (whole,) = galaxy.lights_at(0.1, 0.2, 0.0, generator())
    assert whole.magnitudes == pytest.approx(galaxy.magnitudes)
    smooth, *clumps = galaxy.lights_at(0.1, 0.2, 1.0, generator())
    assert 2 <= len(clumps) <= 4
    assert counts_of(smooth.magnitudes) == pytest.approx(counts_of(galaxy.magnitudes) / 2)
    together: list[Light] = [smooth, *clumps]
    assert add_magnitudes(*(light.magnitudes for light in together)) == pytest.approx(galaxy.magnitudes)
    assert len({light.shape.x_arcsec for light in clumps}) == len(clumps)


def test_redshifts_have_the_scale_of_their_magnitude() -> None:
    assert redshift_scale(np.array([20.0, 25.0, 10.0])) == pytest.approx([0.09, 0.2985, 0.05])
    redshifts = draw_blue_redshifts(generator(), np.full(N, 24.0))
    scale = 0.0417 * 24 - 0.744
    assert redshifts.mean() == pytest.approx(3 * scale, rel=0.03)  # of z^2 exp(-z / z0)
    assert redshifts.min() >= 0.05
    assert stats.kstest(redshifts[redshifts > 0.05], stats.gamma(3, scale=scale).cdf).pvalue > 1e-3


def test_galaxies_are_counted_as_the_sky_is() -> None:
    magnitudes = draw_count_magnitudes(generator(), 20_000, (20.0, 24.0))
    assert magnitudes.min() >= 20
    assert magnitudes.max() <= 24
    brighter, whole = 10 ** (0.31 * -4), 1.0  # at the bright end, relative to the faint one
    at_22 = (10 ** (0.31 * -2) - brighter) / (whole - brighter)
    assert (magnitudes < 22).mean() == pytest.approx(at_22, abs=0.01)


def test_the_field_is_as_dense_as_stated() -> None:
    """46 per square arcmin to i = 25, on a square of 47 pixels, to i = 25.5."""
    area = (47 * PIXEL_ARCSEC / 60) ** 2
    expected = 2.0 * 46 * 10 ** (0.31 * 0.5) * area
    rng = generator()
    fields_ = [draw_field(rng, 2.0) for _ in range(300)]
    found = np.mean([len(lights) for lights in fields_])
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected / 300))
    places = np.array([(one.shape.x_arcsec, one.shape.y_arcsec) for lights in fields_ for one in lights])
    half = (SIZE_PX / 2 + 3) * PIXEL_ARCSEC
    assert np.abs(places).max() <= half
    assert np.abs(places.mean(axis=0)).max() < 5 * half / math.sqrt(3 * len(places))
    assert draw_field(generator(), 0.0) == []
