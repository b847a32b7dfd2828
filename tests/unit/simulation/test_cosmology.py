"""Distances, against published numbers for H0 = 70 km/s/Mpc and a matter density of 0.3."""

import numpy as np
import pytest

from stronglens.simulation.cosmology import (
    arcsec_per_kpc,
    comoving_distance_mpc,
    distance_modulus,
    einstein_radius_arcsec,
    redshift_at,
)


def test_distances_are_those_of_the_flat_universe() -> None:
    """Of Wright's calculator (2006, PASP 118, 1711), to the digits that it prints."""
    assert comoving_distance_mpc(1.0) == pytest.approx(3303.8, abs=0.1)
    assert 1 / arcsec_per_kpc(np.array(0.5)) == pytest.approx(6.104, abs=0.001)
    # A luminosity distance of 2832.9 Mpc.
    assert distance_modulus(0.5) == pytest.approx(5 * np.log10(2832.9e5), abs=0.001)


def test_redshifts_are_found_again() -> None:
    redshifts = np.linspace(0.05, 6, 50)
    assert redshift_at(comoving_distance_mpc(redshifts)) == pytest.approx(redshifts)


def test_the_einstein_radius_of_a_galaxy() -> None:
    """1.4 arcsec (sigma / 220 km/s)^2 D_ls / D_s: Narayan & Bartelmann (1996), eq. 57, to its two digits."""
    assert einstein_radius_arcsec(np.array(220.0), np.array(1.0)) == pytest.approx(1.4, abs=0.05)
    assert einstein_radius_arcsec(np.array(440.0), np.array(0.5)) == pytest.approx(2.8, abs=0.1)
