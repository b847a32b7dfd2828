"""Look-alikes: of each kind, made of the light of the lens they come from, where its arcs would be."""

from dataclasses import replace

import numpy as np
import pytest

from stronglens.simulation.domains import SLSIM, Domain, LookalikeShares
from stronglens.simulation.lenses import LensSystem, draw_lens_system
from stronglens.simulation.light import Light, Ring, Sersic, SpiralArms, counts_of
from stronglens.simulation.lookalikes import draw_lookalike
from stronglens.simulation.spectra import add_magnitudes

KINDS = ("companions", "plain", "spirals", "rings", "mergers")


def domain_of(kind: str) -> Domain:
    return replace(SLSIM, lookalikes=LookalikeShares(**{name: float(name == kind) for name in KINDS}))


@pytest.fixture(scope="module")
def systems() -> list[LensSystem]:
    rng = np.random.default_rng(5)
    return [draw_lens_system(rng, SLSIM, 0.1, -0.05) for _ in range(2)]


def drawn(kind: str, system: LensSystem, n: int = 2) -> list[list[Light]]:
    rng = np.random.default_rng(2)
    return [draw_lookalike(rng, domain_of(kind), system) for _ in range(n)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_has_the_flux_of_its_lens_in_every_band(kind: str, systems: list[LensSystem]) -> None:
    for system in systems:
        expected = counts_of(system.deflector.magnitudes)
        if kind != "plain":
            expected = expected + counts_of(system.arc_magnitudes)
        for lights in drawn(kind, system):
            total = np.sum([counts_of(light.magnitudes) for light in lights], axis=0)
            assert total == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["companions", "plain", "rings"])
def test_the_galaxy_in_the_middle_is_that_of_the_lens(kind: str, systems: list[LensSystem]) -> None:
    for system in systems:
        elliptical = system.deflector.lights_at(0.1, -0.05)
        for lights in drawn(kind, system):
            for found, expected in zip(lights, elliptical, strict=False):
                assert found.shape == expected.shape
                assert found.magnitudes == pytest.approx(expected.magnitudes)
            assert (len(lights) == len(elliptical)) == (kind == "plain")


def test_companions_lie_where_the_arcs_would_in_their_colours(systems: list[LensSystem]) -> None:
    for system in systems:
        arcs = 1.08 * system.draw_arc_distances(np.random.default_rng(1), 4000)
        colours = np.diff(system.arc_magnitudes)
        for lights in drawn("companions", system, 6):
            companions = lights[len(system.deflector.lights_at(0.1, -0.05)) :]
            assert 1 <= len(companions) <= 4
            for light in companions:
                distance = np.hypot(light.shape.x_arcsec - 0.1, light.shape.y_arcsec + 0.05)
                assert arcs.min() - 0.1 < distance < arcs.max() + 0.1
                assert np.diff(light.magnitudes) == pytest.approx(colours)


@pytest.mark.parametrize(("kind", "shape"), [("rings", Ring), ("spirals", SpiralArms)])
def test_rings_and_arms_are_as_large_as_the_arcs(
    kind: str, shape: type[Ring | SpiralArms], systems: list[LensSystem]
) -> None:
    for system in systems:
        mean = system.draw_arc_distances(np.random.default_rng(1), 4000).mean()
        found = [light for lights in drawn(kind, system, 12) for light in lights[-1:]]
        assert {type(light.shape) for light in found} == {shape}
        radii = [light.shape.radius_arcsec for light in found]  # type: ignore[attr-defined]
        # 0.8 to 1.1 times the mean of nine distances.
        assert np.mean(radii) == pytest.approx(0.95 * mean, rel=0.15)
        assert all(light.magnitudes == pytest.approx(system.arc_magnitudes) for light in found)


def test_a_spiral_has_a_red_disc_beneath_its_arms(systems: list[LensSystem]) -> None:
    for lights in drawn("spirals", systems[0]):
        bulge, disc, arms = lights
        assert isinstance(disc.shape, Sersic)
        assert isinstance(arms.shape, SpiralArms)
        assert disc.shape.index == 1
        assert disc.shape.half_light_arcsec == arms.shape.radius_arcsec
        assert (disc.shape.axis_ratio, disc.shape.angle_rad) == (arms.shape.axis_ratio, arms.shape.angle_rad)
        red = systems[0].deflector.magnitudes
        assert add_magnitudes(bulge.magnitudes, disc.magnitudes) == pytest.approx(red)
        assert np.diff(disc.magnitudes) == pytest.approx(np.diff(red))
        share = counts_of(disc.magnitudes)[0] / counts_of(red)[0]
        assert 0.1 <= share <= 0.4


def test_a_merger_has_two_nuclei_apart(systems: list[LensSystem]) -> None:
    for lights in drawn("mergers", systems[0]):
        first, second, _ = lights
        apart = np.hypot(
            second.shape.x_arcsec - first.shape.x_arcsec, second.shape.y_arcsec - first.shape.y_arcsec
        )
        assert 0.4 <= apart <= 0.9
        assert (counts_of(second.magnitudes) < counts_of(first.magnitudes) / 2).all()


def test_kinds_are_drawn_by_their_shares(systems: list[LensSystem]) -> None:
    rng = np.random.default_rng(3)
    n_plain = len(systems[0].deflector.lights_at(0, 0))
    domain = replace(SLSIM, lookalikes=LookalikeShares(0.0, 0.3, 0.7, 0.0, 0.0))
    found = [len(draw_lookalike(rng, domain, systems[0])) == n_plain for _ in range(100)]
    assert np.mean(found) == pytest.approx(0.3, abs=0.15)
