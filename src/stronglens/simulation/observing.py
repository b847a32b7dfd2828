"""What a telescope makes of the light: seeing, pixels, sky and noise of one-year LSST coadds."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.fft
from lenstronomy.SimulationAPI.observation_api import SingleBand
from lenstronomy.SimulationAPI.ObservationConfig.LSST import LSST

from stronglens.simulation.grid import N_FINE, SIZE_PX, Floats, bin_to_pixels, fine_axis
from stronglens.simulation.light import ZERO_POINT
from stronglens.simulation.spectra import BANDS, N_BANDS


@dataclass(frozen=True)
class Coadd:
    """A one-year LSST coadd in the five bands, in counts of zero point `ZERO_POINT`.

    Attributes
    ----------
    seeing_arcsec : ndarray of float64, shape (5,)
        Full width at half maximum of the point spread function.
    sky_noise : ndarray of float64, shape (5,)
        Standard deviation of a pixel's noise from sky and read-out, in counts.
    electrons_per_count : ndarray of float64, shape (5,)
        Electrons that were collected for one count, for the noise of the light itself.
    """

    seeing_arcsec: Floats
    sky_noise: Floats
    electrons_per_count: Floats


@cache
def one_year_coadd() -> Coadd:
    """The coadd as lenstronomy's LSST configuration has it: seeing, sky, read-out, exposures, zero points."""
    rows = []
    for band in BANDS:
        configuration: dict[str, Any] = LSST(
            band=band, psf_type="GAUSSIAN", coadd_years=1
        ).kwargs_single_band()
        single = SingleBand(**configuration)
        counts_per_rate = 10 ** (0.4 * (ZERO_POINT - configuration["magnitude_zero_point"]))
        rows.append(
            (
                configuration["seeing"],
                single.background_noise * counts_per_rate,
                single.exposure_time / counts_per_rate,
            )
        )
    return Coadd(*np.array(rows, dtype=np.float64).T)


@dataclass(frozen=True)
class Conditions:
    """How the cutouts of a domain are observed; the same for lenses and for all else.

    Attributes
    ----------
    seeing_factor : float
        Median of the seeing over that of lenstronomy's configuration.
    seeing_scatter : float
        Standard deviation of ln(seeing) between objects.
    moffat_beta : tuple of two floats
        Range of the exponent of the point spread function's wings: the lower, the wider.
    psf_ellipticity : float
        Standard deviation of each component of the point spread function's ellipticity.
    noise_scatter : float
        Standard deviation of ln(noise) between objects: coadds differ in depth.
    correlated_share : float
        Share of the sky noise's variance that is smooth over `correlation_px`, as resampling leaves it.
    correlation_px : float
        Standard deviation of the Gaussian that smoothed it, in pixels.
    sky_residual : float
        Standard deviation of what is left of the sky, in units of the noise of a pixel.
    """

    seeing_factor: float
    seeing_scatter: float
    moffat_beta: tuple[float, float]
    psf_ellipticity: float
    noise_scatter: float
    correlated_share: float
    correlation_px: float
    sky_residual: float


def observe(light: Floats, conditions: Conditions, rng: np.random.Generator) -> Floats:
    """Blur by the seeing, gather into pixels, add sky and noise.

    Parameters
    ----------
    light : ndarray of float64, shape (5, N_FINE, N_FINE)
        Axes (band, y, x), counts in each fine pixel.
    conditions : Conditions
        Of the domain.
    rng : numpy.random.Generator
        Draws seeing, depth, sky and noise.

    Returns
    -------
    ndarray of float64, shape (5, SIZE_PX, SIZE_PX)
        Axes (band, y, x), in counts.
    """
    coadd = one_year_coadd()
    night = np.exp(rng.normal(0, conditions.seeing_scatter))
    fwhm = coadd.seeing_arcsec * conditions.seeing_factor * night
    beta = rng.uniform(*conditions.moffat_beta)
    shear = rng.normal(0, conditions.psf_ellipticity, 2)
    noise = coadd.sky_noise * np.exp(rng.normal(0, conditions.noise_scatter, N_BANDS))
    image = np.empty((N_BANDS, SIZE_PX, SIZE_PX))
    for band in range(N_BANDS):
        seen = _convolve(light[band], _moffat(fwhm[band], beta, shear))
        image[band] = bin_to_pixels(seen)
    photons = np.sqrt(np.maximum(image, 0) / coadd.electrons_per_count[:, None, None])
    image += photons * rng.normal(size=image.shape)
    for band in range(N_BANDS):
        sky = rng.normal(0, conditions.sky_residual)
        image[band] += noise[band] * (sky + _unit_noise(conditions, rng))
    return image


def _moffat(fwhm_arcsec: float, beta: float, shear: Floats) -> Floats:
    # Moffat (1969, A&A 3, 455): (1 + r^2 / a^2)^-beta, with half of its maximum at r = fwhm / 2.
    axis = fine_axis()
    e1, e2 = shear
    x, y = axis[None, :], axis[:, None]
    radius2 = (1 - e1) * x**2 + (1 + e1) * y**2 - 2 * e2 * x * y
    scale2 = fwhm_arcsec**2 / (4 * (2 ** (1 / beta) - 1))
    psf: Floats = (1 + radius2 / scale2) ** -beta
    psf /= psf.sum()
    return psf


def _convolve(image: Floats, psf: Floats) -> Floats:
    # Light that leaves the grid on one side enters on the other, into the margin.
    spectrum = scipy.fft.rfft2(image) * scipy.fft.rfft2(np.fft.ifftshift(psf))
    blurred: Floats = scipy.fft.irfft2(spectrum, s=(N_FINE, N_FINE))
    return blurred


def _unit_noise(conditions: Conditions, rng: np.random.Generator) -> Floats:
    white = rng.normal(size=(SIZE_PX, SIZE_PX))
    if not conditions.correlated_share:
        return white
    smooth = scipy.fft.irfft2(
        scipy.fft.rfft2(rng.normal(size=(SIZE_PX, SIZE_PX))) * _smoothing(conditions.correlation_px),
        s=(SIZE_PX, SIZE_PX),
    )
    mixed: Floats = (
        np.sqrt(1 - conditions.correlated_share) * white + np.sqrt(conditions.correlated_share) * smooth
    )
    return mixed


@cache
def _smoothing(sigma_px: float) -> Floats:
    """Transfer function of a Gaussian filter that leaves the variance of white noise as it is."""
    rows, columns = scipy.fft.fftfreq(SIZE_PX), scipy.fft.rfftfreq(SIZE_PX)
    frequency2 = rows[:, None] ** 2 + columns[None, :] ** 2
    transfer = np.exp(-2 * (np.pi * sigma_px) ** 2 * frequency2)
    full = np.exp(-2 * (np.pi * sigma_px) ** 2 * (rows[:, None] ** 2 + rows[None, :] ** 2))
    scaled: Floats = transfer / np.sqrt(np.mean(full**2))
    return scaled
