"""How the two domains differ: in their galaxies, and in how they are observed."""

from dataclasses import dataclass

from stronglens.simulation.observing import Conditions


@dataclass(frozen=True)
class LookalikeShares:
    """Shares of the kinds of non-lenses; they add up to 1.

    Attributes
    ----------
    companions : float
        Ellipticals with blue galaxies beside them.
    plain : float
        Ellipticals alone.
    spirals : float
        Red bulges in discs with blue arms.
    rings : float
        Ellipticals within a blue ring.
    mergers : float
        Two nuclei and a tail.
    """

    companions: float
    plain: float
    spirals: float
    rings: float
    mergers: float


@dataclass(frozen=True)
class Domain:
    """A domain's population and its observing conditions.

    Attributes
    ----------
    conditions : Conditions
        Of the observation.
    halo_chance : float
        Chance that an elliptical has an exponential halo.
    clump_chance : float
        Chance that a blue galaxy is made of clumps in place of a smooth profile.
    field_density_factor : float
        Galaxies in the field, relative to the mean.
    lookalikes : LookalikeShares
        Kinds of non-lenses.
    """

    conditions: Conditions
    halo_chance: float
    clump_chance: float
    field_density_factor: float
    lookalikes: LookalikeShares


SLSIM = Domain(
    conditions=Conditions(
        seeing_factor=1.0,
        seeing_scatter=0.04,
        moffat_beta=(4.5, 4.8),
        psf_ellipticity=0.01,
        noise_scatter=0.05,
        correlated_share=0.0,
        correlation_px=1.0,
        sky_residual=0.05,
    ),
    halo_chance=0.0,
    clump_chance=0.0,
    field_density_factor=1.0,
    lookalikes=LookalikeShares(companions=0.55, plain=0.08, spirals=0.25, rings=0.04, mergers=0.08),
)
"""Simulated throughout: smooth galaxies, even conditions, noise that differs from pixel to pixel."""

HSC = Domain(
    conditions=Conditions(
        seeing_factor=1.02,
        seeing_scatter=0.07,
        moffat_beta=(2.8, 4.0),
        psf_ellipticity=0.03,
        noise_scatter=0.12,
        correlated_share=0.4,
        correlation_px=0.8,
        sky_residual=0.15,
    ),
    halo_chance=0.4,
    clump_chance=0.5,
    field_density_factor=1.3,
    lookalikes=LookalikeShares(companions=0.40, plain=0.08, spirals=0.35, rings=0.07, mergers=0.10),
)
"""Like real images degraded to LSST's depth: irregular galaxies, uneven seeing, partly smooth noise."""
