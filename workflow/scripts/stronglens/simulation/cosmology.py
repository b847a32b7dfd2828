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


def redshift_in_volume(share: npt.ArrayLike, z_max: float) -> Floats:
    """Redshift within which lies this share (0 to 1) of the comoving volume out to `z_max`."""
    redshifts, distances = _comoving_table()
    within = comoving_distance_mpc(z_max) * np.cbrt(share)
    return np.asarray(np.interp(within, distances, redshifts))


def distance_modulus(redshift: float) -> float:
    """Apparent less absolute bolometric magnitude."""
    return float(5 * np.log10(comoving_distance_mpc(redshift) * (1 + redshift) * 1e5))


def arcsec_per_kpc(redshift: Floats) -> Floats:
    """Angle of one kpc across the line of sight, in arcsec."""
    angle: Floats = _ARCSEC_PER_RAD * (1 + redshift) / (comoving_distance_mpc(redshift) * 1e3)
    return angle


def lensing_efficiency(z_lens: Floats, z_source: Floats) -> Floats:
    """Angular diameter distance lens to source over observer to source; 0 where the source is nearer."""
    return np.maximum(0.0, 1 - comoving_distance_mpc(z_lens) / comoving_distance_mpc(z_source))


def einstein_radius_arcsec(dispersion_km_s: Floats, efficiency: Floats) -> Floats:
    """Einstein radius of a singular isothermal sphere in arcsec.

    Notes
    -----
    4 pi (sigma / c)^2 D_ls / D_s: Narayan & Bartelmann (1996, arXiv:astro-ph/9606001), section 3.1.
    """
    radius: Floats = 4 * np.pi * (dispersion_km_s / _LIGHT_SPEED_KM_S) ** 2 * efficiency * _ARCSEC_PER_RAD
    return radius
