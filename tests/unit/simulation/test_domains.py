"""The two domains."""

from dataclasses import astuple

import pytest

from stronglens.simulation.domains import HSC, SLSIM, Domain


@pytest.mark.parametrize("domain", [SLSIM, HSC])
def test_kinds_of_lookalikes_are_shares_of_one(domain: Domain) -> None:
    assert sum(astuple(domain.lookalikes)) == pytest.approx(1, abs=1e-12)
    assert min(astuple(domain.lookalikes)) > 0


@pytest.mark.parametrize("domain", [SLSIM, HSC])
def test_conditions_are_possible(domain: Domain) -> None:
    conditions = domain.conditions
    low, high = conditions.moffat_beta
    assert 1 < low <= high  # at 1 the light of a star has no end
    assert 0 <= conditions.correlated_share < 1
    assert 0 <= conditions.psf_ellipticity < 0.2
    assert all(0 <= chance <= 1 for chance in (domain.halo_chance, domain.clump_chance))


def test_hsc_is_the_less_even_one() -> None:
    smooth, real = SLSIM.conditions, HSC.conditions
    for name in ("seeing_scatter", "noise_scatter", "correlated_share", "sky_residual", "psf_ellipticity"):
        assert getattr(real, name) > getattr(smooth, name), name
    assert (SLSIM.halo_chance, SLSIM.clump_chance) == (0, 0)
