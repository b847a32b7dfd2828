"""Seeing, sky and noise, measured on observed images."""

from dataclasses import replace

import numpy as np
import pytest

from stronglens.simulation.domains import HSC
from stronglens.simulation.grid import N_FINE, OVERSAMPLING, PIXEL_ARCSEC, SIZE_PX, Floats, pixel_axis
from stronglens.simulation.observing import Conditions, observe, one_year_coadd
from stronglens.simulation.spectra import BANDS, N_BANDS

EVEN = Conditions(
    seeing_factor=1.0,
    seeing_scatter=0.0,
    moffat_beta=(4.5, 4.5),
    psf_ellipticity=0.0,
    noise_scatter=0.0,
    correlated_share=0.0,
    correlation_px=1.0,
    sky_residual=0.0,
)
RADIUS_ARCSEC = np.hypot(*np.meshgrid(pixel_axis(), pixel_axis()))


def star(counts: float) -> Floats:
    """A point in the middle."""
    light = np.zeros((N_BANDS, N_FINE, N_FINE))
    light[:, N_FINE // 2, N_FINE // 2] = counts
    return light


def observed(light: Floats, conditions: Conditions, n_images: int = 1, seed: int = 0) -> Floats:
    """Axes (image, band, y, x)."""
    rng = np.random.default_rng(seed)
    return np.array([observe(light, conditions, rng) for _ in range(n_images)])


DARK = np.zeros((N_BANDS, N_FINE, N_FINE))


def test_seeing_keeps_the_light() -> None:
    image = observed(star(1e8), EVEN)[0]
    # Beyond 4 arcsec a Moffat profile of exponent 4.5 has 2e-5 of its light; the photons' noise is 1e-5.
    assert image.sum(axis=(1, 2)) == pytest.approx(np.full(N_BANDS, 1e8), rel=1e-3)


@pytest.mark.parametrize("conditions", [EVEN, replace(EVEN, seeing_factor=1.3, moffat_beta=(3.0, 3.0))])
def test_a_star_is_as_wide_as_the_seeing(conditions: Conditions) -> None:
    for band, image in enumerate(observed(star(1e8), conditions)[0]):
        order = np.argsort(RADIUS_ARCSEC, axis=None)
        radii, profile = RADIUS_ARCSEC.ravel()[order], image.ravel()[order]
        half = np.interp(-profile[0] / 2, -profile[:100], radii[:100])
        seeing = one_year_coadd().seeing_arcsec[band] * conditions.seeing_factor
        # A pixel, 0.2 arcsec wide, adds in quadrature 0.2 * sqrt(8 ln 2 / 12) = 0.136 arcsec: 2 % of 0.7;
        # straight lines between radii and a profile that is no Gaussian another 2 %.
        assert 2 * half == pytest.approx(np.hypot(seeing, 0.136), rel=0.03), BANDS[band]


def test_the_sky_is_as_noisy_as_stated() -> None:
    images = observed(DARK, EVEN, n_images=6)
    # Of 6 * 1681 pixels the standard deviation is known to 0.7 %: four times that.
    assert images.std(axis=(0, 2, 3)) == pytest.approx(one_year_coadd().sky_noise, rel=0.03)
    assert np.abs(images.mean(axis=(0, 2, 3)) / one_year_coadd().sky_noise).max() < 4 / 100


def test_smooth_noise_is_as_strong_and_correlated_as_stated() -> None:
    conditions = replace(EVEN, correlated_share=0.4, correlation_px=0.8)
    images = observed(DARK, conditions, n_images=12)
    # Smooth noise has fewer independent pixels, some 1 / (4 pi 0.8^2) of them.
    assert images.std(axis=(0, 2, 3)) == pytest.approx(one_year_coadd().sky_noise, rel=0.03)
    units = images / images.std()
    for band in range(N_BANDS):
        pixels = units[:, band] / units[:, band].std()
        neighbours = (pixels[..., 1:] * pixels[..., :-1]).mean()
        # White noise under a Gaussian correlates with itself a pixel further by exp(-1 / (4 sigma^2)).
        assert neighbours == pytest.approx(0.4 * np.exp(-1 / (4 * 0.8**2)), abs=0.03), BANDS[band]


def test_light_is_as_noisy_as_its_electrons() -> None:
    counts = 500.0
    light = np.full((N_BANDS, N_FINE, N_FINE), counts / OVERSAMPLING**2)
    images = observed(light, EVEN, n_images=6)
    coadd = one_year_coadd()
    expected = np.sqrt(counts / coadd.electrons_per_count + coadd.sky_noise**2)
    assert images.mean(axis=(0, 2, 3)) == pytest.approx(np.full(N_BANDS, counts), rel=1e-3)
    assert images.std(axis=(0, 2, 3)) == pytest.approx(expected, rel=0.03)


def test_what_is_left_of_the_sky_is_even_over_an_image() -> None:
    images = observed(DARK, replace(EVEN, sky_residual=5.0), n_images=60)
    levels = images.mean(axis=(2, 3)) / one_year_coadd().sky_noise
    # 300 levels: their scatter is known to 4 %, and the noise of 1681 pixels adds nothing to 5.
    assert levels.std() == pytest.approx(5.0, rel=0.15)
    assert images.std(axis=(2, 3)).mean(axis=0) == pytest.approx(one_year_coadd().sky_noise, rel=0.02)


def test_objects_differ_in_seeing_and_depth_by_the_stated_scatter() -> None:
    images = observed(DARK, replace(EVEN, noise_scatter=0.2), n_images=40)
    # 200 depths, each known to 2 %; their scatter to 5 %.
    assert np.log(images.std(axis=(2, 3))).std(axis=0).mean() == pytest.approx(0.2, rel=0.2)
    stars = observed(star(1e8), replace(EVEN, seeing_scatter=0.1), n_images=60)
    # A wider star is lower, by the square of its width; pixels soften that somewhat.
    peaks = np.log(stars[:, 2].max(axis=(1, 2)))
    assert 0.12 < peaks.std() < 0.25


def test_the_coadds_are_as_deep_as_a_year_of_lsst() -> None:
    """Five sigma for a star: LSST's ten-year depths (requirements, LPM-17), less 1.25 mag for a year."""
    coadd = one_year_coadd()
    n_px = 2.266 * (coadd.seeing_arcsec / PIXEL_ARCSEC) ** 2
    depth = 27 - 2.5 * np.log10(5 * coadd.sky_noise * np.sqrt(n_px))
    # lenstronomy takes a brighter or darker sky by band; y is 0.6 mag deeper than required, the rest 0.3.
    assert depth == pytest.approx(np.array([27.4, 27.5, 26.8, 26.1, 24.9]) - 1.25, abs=0.65)


def test_real_looking_conditions_keep_the_light_too() -> None:
    images = observed(star(1e8), HSC.conditions, n_images=10)
    # Wings of exponent 2.8 have some per cent beyond 4 arcsec, part of which comes in at the other side.
    assert images.shape == (10, N_BANDS, SIZE_PX, SIZE_PX)
    assert images.sum(axis=(2, 3)) == pytest.approx(np.full((10, N_BANDS), 1e8), rel=0.02)
