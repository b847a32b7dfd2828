"""Non-lenses: what a lens could be mistaken for.

Each begins as a lens system that is drawn but not lensed. Its deflector is kept or changed, and the light of
its arcs goes into companions, arms, a ring or a tail, at the distances at which the arcs would be. So neither
brightness nor colour nor the galaxy in the middle tells a lens from a look-alike: the arrangement must.
"""

from dataclasses import fields, replace

import numpy as np

from stronglens.simulation.domains import Domain
from stronglens.simulation.galaxies import draw_blue_galaxies, draw_blue_redshifts, pick
from stronglens.simulation.lenses import LensSystem
from stronglens.simulation.light import Light, Ring, Sersic, SpiralArms
from stronglens.simulation.spectra import BANDS, share_of


def draw_lookalike(rng: np.random.Generator, domain: Domain, system: LensSystem) -> list[Light]:
    """Turn a lens system into a galaxy that is no lens.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the kind, by the domain's shares, and its properties.
    domain : Domain
        Shares of the kinds, and chance of clumps.
    system : LensSystem
        Gives the galaxy in the middle, and flux and distance of what is around it.

    Returns
    -------
    list of Light
        Without the field.
    """
    kinds = {field.name: getattr(domain.lookalikes, field.name) for field in fields(domain.lookalikes)}
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    if kind == "spirals":
        return _spiral(rng, system)
    if kind == "mergers":
        return _merger(rng, system)
    elliptical = system.deflector.lights_at(system.mass.x_arcsec, system.mass.y_arcsec)
    if kind == "companions":
        return elliptical + _companions(rng, domain, system)
    if kind == "rings":
        return [*elliptical, _ring(rng, system)]
    return elliptical


def _companions(rng: np.random.Generator, domain: Domain, system: LensSystem) -> list[Light]:
    n_companions = int(rng.choice([1, 2, 3, 4], p=[0.15, 0.35, 0.30, 0.20]))
    magnitudes = share_of(system.arc_magnitudes, rng.dirichlet(np.full(n_companions, 5.0))[:, None])
    magnitudes_i = magnitudes[:, BANDS.index("i")]
    galaxies = draw_blue_galaxies(
        rng, magnitudes_i, draw_blue_redshifts(rng, magnitudes_i), np.zeros(n_companions)
    )
    # With the colours of the arcs, and as compact as the blue galaxies are that pass for arcs.
    galaxies = replace(galaxies, magnitudes=magnitudes, half_light_arcsec=0.7 * galaxies.half_light_arcsec)
    distances = 1.08 * system.draw_arc_distances(rng, n_companions)
    azimuths = rng.uniform(0, 2 * np.pi, n_companions)
    x, y = distances * np.cos(azimuths), distances * np.sin(azimuths)
    return [
        light
        for number in range(n_companions)
        for light in pick(galaxies, number).lights_at(
            system.mass.x_arcsec + float(x[number]),
            system.mass.y_arcsec + float(y[number]),
            domain.clump_chance,
            rng,
        )
    ]


def _ring(rng: np.random.Generator, system: LensSystem) -> Light:
    ring = Ring(
        x_arcsec=system.mass.x_arcsec,
        y_arcsec=system.mass.y_arcsec,
        radius_arcsec=_mean_arc_distance(rng, system) * rng.uniform(0.8, 1.1),
        width_arcsec=rng.uniform(0.15, 0.3),
        axis_ratio=rng.uniform(0.4, 0.9),
        angle_rad=rng.uniform(0, np.pi),
        n_knots=int(rng.integers(1, 6)),
        contrast=rng.uniform(0, 0.6),
        phase_rad=rng.uniform(0, 2 * np.pi),
    )
    return Light(ring, system.arc_magnitudes)


def _spiral(rng: np.random.Generator, system: LensSystem) -> list[Light]:
    """A red bulge in a red disc, with blue arms."""
    whole, red = (
        system.deflector.shape_at(system.mass.x_arcsec, system.mass.y_arcsec),
        system.deflector.magnitudes,
    )
    axis_ratio, angle, disc_share = rng.uniform(0.4, 1), rng.uniform(0, np.pi), rng.uniform(0.1, 0.4)
    radius = _mean_arc_distance(rng, system) * rng.uniform(0.8, 1.1)
    bulge = replace(
        whole, half_light_arcsec=0.8 * whole.half_light_arcsec, axis_ratio=axis_ratio**0.5, angle_rad=angle
    )
    disc = Sersic(whole.x_arcsec, whole.y_arcsec, radius, 1.0, axis_ratio, angle)
    arms = SpiralArms(
        x_arcsec=whole.x_arcsec,
        y_arcsec=whole.y_arcsec,
        radius_arcsec=radius,
        width_arcsec=0.35 * radius,
        axis_ratio=axis_ratio,
        angle_rad=angle,
        n_arms=int(rng.choice([2, 3, 4], p=[0.7, 0.15, 0.15])),
        pitch_rad=float(np.radians(rng.uniform(12, 35)) * rng.choice([-1, 1])),
        contrast=rng.uniform(0.5, 1),
        phase_rad=rng.uniform(0, 2 * np.pi),
    )
    return [
        Light(bulge, share_of(red, 1 - disc_share)),
        Light(disc, share_of(red, disc_share)),
        Light(arms, system.arc_magnitudes),
    ]


def _merger(rng: np.random.Generator, system: LensSystem) -> list[Light]:
    """Two red nuclei and a blue tail."""
    whole, red = (
        system.deflector.shape_at(system.mass.x_arcsec, system.mass.y_arcsec),
        system.deflector.magnitudes,
    )
    share, distance, azimuth = rng.uniform(0.1, 0.3), rng.uniform(0.4, 0.9), rng.uniform(0, 2 * np.pi)
    first = replace(whole, half_light_arcsec=0.7 * whole.half_light_arcsec)
    second = Sersic(
        x_arcsec=whole.x_arcsec + distance * float(np.cos(azimuth)),
        y_arcsec=whole.y_arcsec + distance * float(np.sin(azimuth)),
        half_light_arcsec=whole.half_light_arcsec * share**0.5,
        index=rng.uniform(1.5, 4),
        axis_ratio=rng.uniform(0.4, 1),
        angle_rad=rng.uniform(0, np.pi),
    )
    radius = _mean_arc_distance(rng, system) * rng.uniform(0.7, 1)
    tail = SpiralArms(
        x_arcsec=whole.x_arcsec,
        y_arcsec=whole.y_arcsec,
        radius_arcsec=radius,
        width_arcsec=0.45 * radius,
        axis_ratio=rng.uniform(0.3, 0.8),
        angle_rad=rng.uniform(0, np.pi),
        n_arms=1,
        pitch_rad=float(np.radians(rng.uniform(25, 50)) * rng.choice([-1, 1])),
        contrast=1.0,
        phase_rad=rng.uniform(0, 2 * np.pi),
    )
    return [
        Light(first, share_of(red, 1 - share)),
        Light(second, share_of(red, share)),
        Light(tail, system.arc_magnitudes),
    ]


def _mean_arc_distance(rng: np.random.Generator, system: LensSystem) -> float:
    return float(system.draw_arc_distances(rng, 9).mean())
