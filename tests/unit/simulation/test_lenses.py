"""Lensing, measured from rendered pixels, against what is known of isothermal lenses."""

from dataclasses import replace

import numpy as np
import pytest

from stronglens.simulation.domains import HSC, SLSIM
from stronglens.simulation.galaxies import BlueGalaxies, Ellipticals
from stronglens.simulation.grid import FINE_ARCSEC, N_FINE, Floats, fine_axis
from stronglens.simulation.lenses import (
    EINSTEIN_RADIUS_RANGE_ARCSEC,
    MIN_MAGNIFICATION,
    LensSystem,
    Mass,
    draw_lens_system,
)
from stronglens.simulation.light import Light, Sersic, counts_of, render
from stronglens.simulation.spectra import N_BANDS

X, Y = np.meshgrid(fine_axis(), fine_axis())
SPHERE = Mass(1.0, axis_ratio=1.0, angle_rad=0.0, shear=0.0, shear_angle_rad=0.0, x_arcsec=0.0, y_arcsec=0.0)
NOTHING = replace(SPHERE, einstein_radius_arcsec=1e-9)
MAGNITUDES = np.array([22.0, 21.8, 21.5, 21.3, 21.2])


def system_of(mass: Mass, x_arcsec: float, y_arcsec: float, half_light_arcsec: float = 0.1) -> LensSystem:
    """A round exponential disc behind a mass."""
    one = np.array(1.0)
    deflector = Ellipticals(0.5 * one, 250 * one, MAGNITUDES, one, 4 * one, one, 0 * one, 0 * one)
    source = BlueGalaxies(2 * one, MAGNITUDES, half_light_arcsec * one, one, one, 0 * one)
    disc = Sersic(mass.x_arcsec + x_arcsec, mass.y_arcsec + y_arcsec, half_light_arcsec, 1.0, 1.0, 0.0)
    return LensSystem(deflector, mass, source, x_arcsec, y_arcsec, [Light(disc, MAGNITUDES)])


def arcs_of(system: LensSystem) -> Floats:
    """Counts in each fine pixel, shape (5, N_FINE, N_FINE)."""
    image = np.zeros((N_BANDS, N_FINE, N_FINE))
    system.render_arcs(image)
    return image


def determinant(mass: Mass) -> Floats:
    """Of the lens mapping, at the fine pixels, by differences: its inverse is the magnification."""
    step = 1e-4
    columns = [
        (
            np.array(mass.source_plane((X + dx).ravel(), (Y + dy).ravel()))
            - np.array(mass.source_plane((X - dx).ravel(), (Y - dy).ravel()))
        )
        / (2 * step)
        for dx, dy in ((step, 0.0), (0.0, step))
    ]
    found: Floats = (columns[0][0] * columns[1][1] - columns[0][1] * columns[1][0]).reshape(X.shape)
    return found


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.5])
def test_a_source_on_the_axis_is_a_ring_of_the_einstein_radius(radius: float) -> None:
    mass = replace(SPHERE, einstein_radius_arcsec=radius, x_arcsec=0.05, y_arcsec=-0.03)
    ring = arcs_of(system_of(mass, 0, 0))[2]
    distance = np.hypot(X - mass.x_arcsec, Y - mass.y_arcsec)
    # The ring is as bright at either side of theta_E; weighted by 1 / r, its wider outer half counts no more
    # than the inner one. A tenth of a fine pixel, of which some hundred lie on the ring.
    assert np.average(distance, weights=ring / distance) == pytest.approx(radius, abs=FINE_ARCSEC / 10)


@pytest.mark.parametrize(("axis_ratio", "angle_deg"), [(0.9, 10.0), (0.6, 25.0), (0.4, 120.0)])
def test_the_critical_curve_of_an_ellipsoid_is_as_large_flat_and_turned_as_its_mass(
    axis_ratio: float, angle_deg: float
) -> None:
    """It is where the surface density is half of the critical one: an ellipse of area pi theta_E^2."""
    mass = replace(SPHERE, axis_ratio=axis_ratio, angle_rad=np.radians(angle_deg), einstein_radius_arcsec=1.2)
    inside = determinant(mass) < 0
    # Whole pixels at the edge: of 1000 pixels some 110 lie there, in or out by chance.
    assert inside.sum() * FINE_ARCSEC**2 == pytest.approx(np.pi * 1.2**2, rel=0.02)
    (small, large), axes = np.linalg.eigh(np.cov(X[inside], Y[inside]))
    assert np.sqrt(small / large) == pytest.approx(axis_ratio, rel=0.02)
    # The rounder, the less its angle is known: by edge pixels, some 0.3 degrees over 1 - q^2.
    assert np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) % 180 == pytest.approx(angle_deg, abs=2)


@pytest.mark.parametrize("offset", [0.3, 0.6, 0.95, 1.6])
def test_a_source_is_magnified_as_behind_a_sphere(offset: float) -> None:
    """Two images of a point within theta_E, together 2 theta_E / beta; one without, 1 + theta_E / beta.

    Narayan & Bartelmann (1996, arXiv:astro-ph/9606001), section 3.1; here averaged over the disc.
    """
    system = system_of(SPHERE, offset, 0, 0.2)
    disc = system.source_lights[0].shape.brightness(X.ravel(), Y.ravel())
    distance = np.hypot(X, Y).ravel()
    # In the middle fine pixel, where 1 / beta has its pole, its mean over a pixel.
    distance[distance == 0] = FINE_ARCSEC / (4 * np.log(1 + 2**0.5))
    expected = np.average(np.where(distance < 1, 2 / distance, 1 + 1 / distance), weights=disc)
    # Either grid is off by up to 1 % where it samples the disc's steep centre.
    magnification = arcs_of(system).sum(axis=(1, 2)) / counts_of(MAGNITUDES)
    assert magnification == pytest.approx(np.full(N_BANDS, expected), rel=0.02)


def test_without_mass_a_source_is_seen_as_it_is() -> None:
    system = system_of(NOTHING, 0.4, -0.2, 0.3)
    assert arcs_of(system) == pytest.approx(render(system.source_lights), rel=1e-6, abs=1e-4)


def test_lensing_makes_a_source_larger_and_not_brighter() -> None:
    """Surface brightness is conserved: twice the Einstein radius is twice the light, and the same peak."""
    small, large = (
        arcs_of(system_of(replace(SPHERE, einstein_radius_arcsec=radius), 0, 0, 0.2))[2]
        for radius in (0.7, 1.4)
    )
    unlensed = render([Light(Sersic(0, 0, 0.2, 1.0, 1.0, 0.0), MAGNITUDES)])[2]
    # A disc is steep at its centre, of which some pixel of a ring comes within 0.01 arcsec: 8 % of a scale.
    assert small.max() == pytest.approx(unlensed.max(), rel=0.1)
    assert large.max() == pytest.approx(unlensed.max(), rel=0.1)
    assert max(small.max(), large.max()) <= unlensed.max() * (1 + 1e-9)
    # The inside of the smaller ring is cut off by its centre: exp(-1.68 * 0.7 / 0.2) of the light.
    assert large.sum() / small.sum() == pytest.approx(2, rel=0.01)


def test_shear_stretches_along_its_angle() -> None:
    mass = replace(NOTHING, shear=0.1, shear_angle_rad=np.radians(30))
    image = arcs_of(system_of(mass, 0, 0, 0.3))[2]
    moments = np.array([[(image * a * b).sum() for a in (X, Y)] for b in (X, Y)])
    (small, large), axes = np.linalg.eigh(moments)
    # By 1 / (1 - 0.1) along and 1 / (1 + 0.1) across.
    assert np.sqrt(large / small) == pytest.approx(1.1 / 0.9, rel=0.01)
    assert np.degrees(np.arctan(axes[1, 1] / axes[0, 1])) == pytest.approx(30, abs=1)


def test_arcs_have_the_colours_of_their_source() -> None:
    """Lensing knows no wavelength; clumps and all share the colours of their galaxy."""
    rng = np.random.default_rng(8)
    for domain in (SLSIM, HSC):
        system = draw_lens_system(rng, domain, 0.0, 0.0)
        measured = -2.5 * np.log10(arcs_of(system).sum(axis=(1, 2)))
        assert np.diff(measured) == pytest.approx(np.diff(system.source.magnitudes), abs=1e-6)


def test_arc_magnitudes_are_those_of_the_rendered_arcs() -> None:
    """From which look-alikes take their light: a coarser grid, and a smaller one."""
    rng = np.random.default_rng(9)
    for _ in range(4):
        system = draw_lens_system(rng, SLSIM, 0.03, -0.05)
        measured = 27 - 2.5 * np.log10(arcs_of(system).sum(axis=(1, 2)))
        assert system.arc_magnitudes == pytest.approx(measured, abs=0.1)


def test_drawn_lenses_are_in_the_stated_range_and_magnify() -> None:
    rng = np.random.default_rng(10)
    for _ in range(6):
        system = draw_lens_system(rng, SLSIM, 0.0, 0.0)
        low, high = EINSTEIN_RADIUS_RANGE_ARCSEC
        assert low <= system.mass.einstein_radius_arcsec <= high
        assert system.source.redshift > system.deflector.redshift
        magnification = arcs_of(system)[2].sum() / counts_of(system.source.magnitudes)[2]
        # The selection takes a sphere; ellipticity and shear change that by some tens of per cent.
        assert magnification > 0.6 * MIN_MAGNIFICATION
