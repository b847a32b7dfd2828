"""Distances in a flat universe, and the Einstein radius of an isothermal lens."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.cosmology import FlatLambdaCDM

from stronglens.simulation.grid import Floats

Z_MAX = 6.0
_LIGHT_SPEED_KM_S = 299_792.458
_ARCSEC_PER_RAD = 180 * 3600 / np.pi


@cache
def _comoving_table() -> tuple[Floats, Floats]:
    # A table, because an integral for each galaxy would take longer than drawing it.
    redshifts = np.linspace(0, Z_MAX, 1201)
    universe: Any = FlatLambdaCDM(H0=70, Om0=0.3)
    return redshifts, np.asarray(universe.comoving_distance(redshifts).value, dtype=np.float64)


def comoving_distance_mpc(redshift: npt.ArrayLike) -> Floats:
    """Line-of-sight comoving distance in Mpc, to redshift 6; H0 = 70 km/s/Mpc, matter density 0.3."""
    redshifts, distances = _comoving_table()
    return np.asarray(np.interp(np.asarray(redshift, dtype=np.float64), redshifts, distances))


def redshift_at(distance_mpc: npt.ArrayLike) -> Floats:
    """Redshift at a comoving distance in Mpc."""
    redshifts, distances = _comoving_table()
    return np.asarray(np.interp(np.asarray(distance_mpc, dtype=np.float64), distances, redshifts))


def distance_modulus(redshift: float) -> float:
    """Apparent less absolute bolometric magnitude."""
    return float(5 * np.log10(comoving_distance_mpc(redshift) * (1 + redshift) * 1e5))


def arcsec_per_kpc(redshift: Floats) -> Floats:
    """Angle of one kpc across the line of sight, in arcsec."""
    angle: Floats = _ARCSEC_PER_RAD * (1 + redshift) / (comoving_distance_mpc(redshift) * 1e3)
    return angle


def einstein_radius_arcsec(dispersion_km_s: Floats, efficiency: Floats) -> Floats:
    """Einstein radius of a singular isothermal sphere in arcsec.

    Notes
    -----
    4 pi (sigma / c)^2 D_ls / D_s: Narayan & Bartelmann (1996, arXiv:astro-ph/9606001), section 3.1.
    """
    radius: Floats = 4 * np.pi * (dispersion_km_s / _LIGHT_SPEED_KM_S) ** 2 * efficiency * _ARCSEC_PER_RAD
    return radius
