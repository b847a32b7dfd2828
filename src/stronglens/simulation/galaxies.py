"""Populations of galaxies: ellipticals, blue galaxies, the field.

A population is one object whose attributes are arrays with a leading axis over galaxies; `pick` takes some of
them, or one of them, whose attributes lack that axis.
"""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import scipy.special

from stronglens.simulation.cosmology import Z_MAX, arcsec_per_kpc
from stronglens.simulation.grid import PIXEL_ARCSEC, SIZE_PX, Floats
from stronglens.simulation.light import Light, Sersic
from stronglens.simulation.spectra import BANDS, add_magnitudes, band_magnitudes, share_of

SMALLEST_BLUE_ARCSEC = 0.1
"""Half-light radius of the smallest blue galaxies: the fine grid would miss the core of smaller ones."""
_I_BAND = BANDS.index("i")
_FIELD_I_RANGE = (19.0, 25.5)


@dataclass(frozen=True)
class Ellipticals:
    """Elliptical galaxies, whether or not they are seen to act as lenses.

    Attributes
    ----------
    redshift : ndarray of float64, shape (n,)
        0.05 to 6.
    dispersion_km_s : ndarray of float64, shape (n,)
        Velocity dispersions.
    magnitudes : ndarray of float64, shape (n, 5)
        AB magnitudes, in the order of `stronglens.simulation.spectra.BANDS`.
    half_light_arcsec, index, axis_ratio, angle_rad : ndarray of float64, shape (n,)
        As in `stronglens.simulation.light.Sersic`: of the whole, or of the bulge where there is a halo.
    halo_share : ndarray of float64, shape (n,)
        Share of the flux in an exponential halo around the bulge; 0 for none.
    """

    redshift: Floats
    dispersion_km_s: Floats
    magnitudes: Floats
    half_light_arcsec: Floats
    index: Floats
    axis_ratio: Floats
    angle_rad: Floats
    halo_share: Floats

    def shape_at(self, x_arcsec: float, y_arcsec: float) -> Sersic:
        """Shape of a single one, with its centre there."""
        return Sersic(
            x_arcsec,
            y_arcsec,
            float(self.half_light_arcsec),
            float(self.index),
            float(self.axis_ratio),
            float(self.angle_rad),
        )

    def lights_at(self, x_arcsec: float, y_arcsec: float) -> list[Light]:
        """Light of a single one, with its centre there: bulge, and halo if it has one."""
        bulge, share = self.shape_at(x_arcsec, y_arcsec), float(self.halo_share)
        if not share:
            return [Light(bulge, self.magnitudes)]
        halo = replace(bulge, half_light_arcsec=2.5 * bulge.half_light_arcsec, index=1.0)
        return [
            Light(bulge, share_of(self.magnitudes, 1 - share)),
            Light(halo, share_of(self.magnitudes, share)),
        ]

    def brightness_at(self, radius_arcsec: Floats) -> Floats:
        """Share of the flux per square arcsec at a distance from the centre, of round ones without haloes.

        Notes
        -----
        Sersic's law: Ciotti & Bertin (1999, A&A 352, 447), eq. 1, 4 and, to its third term, 18.
        """
        n = self.index
        b = 2 * n - 1 / 3 + 4 / (405 * n)
        profile = np.exp(-b * (radius_arcsec / self.half_light_arcsec) ** (1 / n))
        whole = 2 * np.pi * n * self.half_light_arcsec**2 * b ** (-2 * n) * scipy.special.gamma(2 * n)
        brightness: Floats = profile / whole
        return brightness


@dataclass(frozen=True)
class BlueGalaxies:
    """Star-forming galaxies, wherever they stand.

    Attributes
    ----------
    redshift : ndarray of float64, shape (n,)
        0.05 to 6.
    magnitudes : ndarray of float64, shape (n, 5)
        AB magnitudes without lensing, in the order of `stronglens.simulation.spectra.BANDS`.
    half_light_arcsec, index, axis_ratio, angle_rad : ndarray of float64, shape (n,)
        As in `stronglens.simulation.light.Sersic`.
    """

    redshift: Floats
    magnitudes: Floats
    half_light_arcsec: Floats
    index: Floats
    axis_ratio: Floats
    angle_rad: Floats

    def lights_at(
        self, x_arcsec: float, y_arcsec: float, clump_chance: float, rng: np.random.Generator
    ) -> list[Light]:
        """Light of a single one, with its centre there: one smooth profile, or half of it in a few clumps."""
        size = float(self.half_light_arcsec)
        whole = Sersic(
            x_arcsec, y_arcsec, size, float(self.index), float(self.axis_ratio), float(self.angle_rad)
        )
        if rng.random() >= clump_chance:
            return [Light(whole, self.magnitudes)]
        places = rng.normal((x_arcsec, y_arcsec), 0.7 * size, (rng.integers(2, 5), 2))
        clumps = [
            replace(whole, x_arcsec=x, y_arcsec=y, half_light_arcsec=0.3 * size) for x, y in places.tolist()
        ]
        each = share_of(self.magnitudes, 0.5 / len(clumps))
        return [Light(whole, share_of(self.magnitudes, 0.5)), *(Light(clump, each) for clump in clumps)]


PopulationT = TypeVar("PopulationT", Ellipticals, BlueGalaxies)


def pick(galaxies: PopulationT, which: int | npt.NDArray[np.bool_]) -> PopulationT:
    """Take one galaxy of a population by its number, or several by a mask."""
    return replace(
        galaxies, **{field.name: getattr(galaxies, field.name)[which] for field in fields(galaxies)}
    )


def draw_ellipticals(
    rng: np.random.Generator, redshifts: Floats, dispersions_km_s: Floats, halo_chance: float
) -> Ellipticals:
    """Draw the light of ellipticals of these redshifts and velocity dispersions, shape (n,).

    Notes
    -----
    Axis ratios: Collett (2015, ApJ 811, 20), eq. 4. Absolute r magnitudes and half-light radii by dispersion:
    Hyde & Bernardi (2009, MNRAS 394, 1978), as used there; scatter of 0.3 mag and 0.11 dex. Brightening with
    redshift, 0.85 mag per unit: Bernardi et al. (2003, AJ 125, 1849).
    """
    n = len(redshifts)
    # A Rayleigh distribution cut off at 0.8, drawn by the inverse of its cumulative distribution.
    width = 0.378 - 0.000572 * dispersions_km_s
    flattening = width * np.sqrt(-2 * np.log(1 - rng.random(n) * (1 - np.exp(-0.5 * (0.8 / width) ** 2))))
    log_sigma = np.log10(dispersions_km_s)
    absolute_r = (-0.37 + np.sqrt(0.37**2 - 4 * 0.006 * (2.97 + log_sigma))) / (2 * 0.006)
    absolute_r += rng.normal(0, 0.3, n) - 0.85 * redshifts
    radius_kpc = 10 ** (2.46 - 2.79 * log_sigma + 0.84 * log_sigma**2 + rng.normal(0, 0.11, n))
    with_halo = rng.random(n) < halo_chance
    return Ellipticals(
        redshift=redshifts,
        dispersion_km_s=dispersions_km_s,
        magnitudes=absolute_r[:, None] + band_magnitudes("old", redshifts, rng.normal(0, 0.15, n)),
        half_light_arcsec=radius_kpc * arcsec_per_kpc(redshifts),
        index=np.clip(rng.normal(4, 0.7, n), 2.5, 6),
        axis_ratio=1 - flattening,
        angle_rad=rng.uniform(0, np.pi, n),
        halo_share=np.where(with_halo, rng.uniform(0.1, 0.4, n), 0.0),
    )


def draw_blue_galaxies(
    rng: np.random.Generator, magnitudes_i: Floats, redshifts: Floats, old_shares: Floats
) -> BlueGalaxies:
    """Draw the light of star-forming galaxies.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws colours, sizes and flattenings.
    magnitudes_i : ndarray of float64, shape (n,)
        AB magnitudes in the i band.
    redshifts : ndarray of float64, shape (n,)
        0.05 to 6.
    old_shares : ndarray of float64, shape (n,)
        Shares of old stars in the rest-frame r band, 0 to 1.

    Notes
    -----
    Half-light radius 8.9 kpc (1 + z)^-0.75 of a late-type galaxy of 5e10 solar masses, rising with mass^0.22,
    scatter 0.19 dex: van der Wel et al. (2014, ApJ 788, 28); mass is taken to follow the r-band luminosity,
    with 5e10 solar masses at magnitude -22.
    """
    n = len(magnitudes_i)
    tiny = 1e-9  # the logarithm of no light at all is not finite
    young = share_of(
        band_magnitudes("young", redshifts, rng.normal(0.3, 0.5, n)), 1 + tiny - old_shares[:, None]
    )
    old = share_of(band_magnitudes("old", redshifts, np.zeros(n)), tiny + old_shares[:, None])
    magnitudes = add_magnitudes(young, old)
    absolute_r = magnitudes_i - magnitudes[:, _I_BAND]
    radius_kpc = (
        8.9 * (1 + redshifts) ** -0.75 * 10 ** (-0.4 * 0.22 * (absolute_r + 22) + rng.normal(0, 0.19, n))
    )
    return BlueGalaxies(
        redshift=redshifts,
        magnitudes=magnitudes + absolute_r[:, None],
        half_light_arcsec=np.clip(radius_kpc * arcsec_per_kpc(redshifts), SMALLEST_BLUE_ARCSEC, 2.5),
        index=np.clip(rng.normal(1.1, 0.3, n), 0.6, 2.5),
        axis_ratio=rng.uniform(0.3, 1, n),
        angle_rad=rng.uniform(0, np.pi, n),
    )


def redshift_scale(magnitudes_i: Floats) -> Floats:
    """Scale z0 of the redshifts of galaxies by their i magnitudes, shape (n,).

    Notes
    -----
    p(z) = z^2 exp(-z / z0) / (2 z0^3) with z0 = 0.0417 i - 0.744: LSST Science Book (2009, arXiv:0912.0201),
    section 3.7.2.
    """
    return np.maximum(0.05, 0.0417 * magnitudes_i - 0.744)


def draw_blue_redshifts(rng: np.random.Generator, magnitudes_i: Floats) -> Floats:
    """Draw redshifts of galaxies by their i magnitudes, shape (n,); 0.05 to 6. See `redshift_scale`."""
    return np.clip(rng.gamma(3, redshift_scale(magnitudes_i)), 0.05, Z_MAX)


def draw_count_magnitudes(rng: np.random.Generator, n_galaxies: int, i_range: tuple[float, float]) -> Floats:
    """Draw i magnitudes as galaxies are counted, N(<i) ~ 10^(0.31 i): LSST Science Book, section 3.7.2."""
    brightest, faintest = i_range
    share = rng.uniform(10 ** (0.31 * (brightest - faintest)), 1, n_galaxies)
    magnitudes: Floats = faintest + np.log10(share) / 0.31
    return magnitudes


def draw_field(rng: np.random.Generator, density_factor: float) -> list[Light]:
    """Galaxies that happen to lie in the cutout and around it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws their number, places and properties.
    density_factor : float
        Their number, relative to 46 per square arcmin to i = 25, rising by 10^(0.31 i) (LSST Science Book,
        section 3.7.2).
    """
    half = (SIZE_PX / 2 + 3) * PIXEL_ARCSEC
    per_arcsec2 = 46 / 3600 * 10 ** (0.31 * (_FIELD_I_RANGE[1] - 25))
    n_galaxies = rng.poisson(density_factor * per_arcsec2 * (2 * half) ** 2)
    magnitudes_i = draw_count_magnitudes(rng, n_galaxies, _FIELD_I_RANGE)
    redshifts = draw_blue_redshifts(rng, magnitudes_i)
    galaxies = draw_blue_galaxies(rng, magnitudes_i, redshifts, rng.beta(0.7, 1.3, n_galaxies))
    places = rng.uniform(-half, half, (n_galaxies, 2)).tolist()
    return [
        light
        for number, (x, y) in enumerate(places)
        for light in pick(galaxies, number).lights_at(x, y, clump_chance=0.0, rng=rng)
    ]
