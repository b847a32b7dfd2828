"""Magnitudes of galaxies in the five bands, from two simple spectra: an old population and a young one."""

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from stronglens.simulation.cosmology import Z_MAX, distance_modulus
from stronglens.simulation.grid import Floats

BANDS = ("g", "r", "i", "z", "y")
"""The five bands, in the order of every array with a band axis."""
N_BANDS = len(BANDS)

_EDGES_NM = {"g": (402, 552), "r": (552, 691), "i": (691, 818), "z": (818, 922), "y": (950, 1050)}
"""Wavelengths between which a band lets light through."""
_REFERENCE_NM = 622

# Wavelength in nm and AB magnitude there relative to the mean of the r band, at redshift 0.
_OLD = (
    (90, 9.0),
    (200, 6.0),
    (270, 4.3),
    (320, 3.2),
    (360, 2.5),
    (390, 2.15),
    (405, 1.35),
    (440, 1.0),
    (480, 0.72),
    (550, 0.28),
    (622, 0.0),
    (755, -0.37),
    (870, -0.62),
    (1000, -0.82),
    (1250, -1.15),
    (1700, -1.4),
)
_YOUNG = (
    (90, 4.0),
    (92, 1.25),
    (122, 0.85),
    (150, 0.75),
    (200, 0.65),
    (280, 0.55),
    (365, 0.48),
    (400, 0.20),
    (480, 0.12),
    (550, 0.06),
    (622, 0.0),
    (755, -0.05),
    (870, -0.10),
    (1000, -0.12),
    (1250, -0.2),
    (1700, -0.2),
)

Population = Literal["old", "young"]


def band_magnitudes(population: Population, redshifts: Floats, tilts: Floats) -> Floats:
    """AB magnitudes in the five bands of galaxies whose absolute magnitude in the rest-frame r band is 0.

    Parameters
    ----------
    population : "old" or "young"
        `old`: red, with a break at 400 nm; `young`: nearly flat in f_nu, cut off at the Lyman limit.
    redshifts : ndarray of float64, shape (n,)
        0.01 to 6.
    tilts : ndarray of float64, shape (n,)
        Magnitudes by which the spectrum falls from one wavelength to the tenfold, for galaxies that are
        bluer (below 0) or redder (above 0) than the rest.

    Returns
    -------
    ndarray of float64, shape (n, 5)
        Axes (galaxy, band), in the order of `BANDS`.

    Notes
    -----
    The spectra are polygons, laid by hand so that an old galaxy has about the colours of ellipticals
    (g - r, r - i of 0.75, 0.38 at redshift 0 and 1.7, 0.8 at 0.5) and a young one those of an irregular;
    bands are taken as boxes. Magnitudes follow from flux densities by Hogg et al. (2002, The K correction,
    arXiv:astro-ph/0210394). Hydrogen between the galaxy and us absorbs below Lyman alpha with the optical
    depth 0.0036 (lambda / 121.6 nm)^3.46 of Madau (1995, ApJ 441, 18), its strongest term.
    """
    table_z, table = _magnitude_table(population)
    magnitudes = np.stack([np.interp(redshifts, table_z, column) for column in table.T], axis=-1)
    middle_nm = np.array([np.mean(_EDGES_NM[band]) for band in BANDS])
    rest_nm = middle_nm / (1 + redshifts[..., None])
    tilted: Floats = magnitudes - tilts[..., None] * np.log10(rest_nm / _REFERENCE_NM)
    return tilted


@cache
def _magnitude_table(population: Population) -> tuple[Floats, Floats]:
    redshifts = np.linspace(0.01, Z_MAX, 600)
    nodes = np.array(_OLD if population == "old" else _YOUNG)
    observed_nm = np.array([np.linspace(*_EDGES_NM[band], 40) for band in BANDS])
    rest_nm = observed_nm / (1 + redshifts[:, None, None])
    flux = 10 ** (-0.4 * np.interp(np.log(rest_nm), np.log(nodes[:, 0]), nodes[:, 1]))
    absorbed = np.where(rest_nm < 121.6, np.exp(-0.0036 * (observed_nm / 121.6) ** 3.46), 1)
    magnitudes = -2.5 * np.log10((flux * absorbed).mean(axis=-1))
    distance = np.array([distance_modulus(z) - 2.5 * np.log10(1 + z) for z in redshifts])
    return redshifts, magnitudes + distance[:, None]


def add_magnitudes(*magnitudes: Floats) -> Floats:
    """Magnitudes of several sources of light together."""
    total: Floats = -2.5 * np.log10(np.sum(10 ** (-0.4 * np.array(magnitudes)), axis=0))
    return total


def share_of(magnitudes: Floats, share: npt.ArrayLike) -> Floats:
    """Magnitudes of a share (above 0) of the flux; above 1, of so much more."""
    fainter: Floats = magnitudes - 2.5 * np.log10(share)
    return fainter
