"""Lens systems: an elliptical, a blue galaxy behind it, and the arcs that the one makes of the other."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from lenstronomy.LensModel.lens_model import LensModel

from stronglens.simulation.cosmology import Z_MAX, comoving_distance_mpc, einstein_radius_arcsec, redshift_at
from stronglens.simulation.domains import Domain
from stronglens.simulation.galaxies import (
    SMALLEST_BLUE_ARCSEC,
    BlueGalaxies,
    Ellipticals,
    draw_blue_galaxies,
    draw_count_magnitudes,
    draw_ellipticals,
    pick,
    redshift_scale,
)
from stronglens.simulation.grid import FINE_ARCSEC, N_FINE, PIXEL_ARCSEC, Floats, fine_axis
from stronglens.simulation.light import Light, add_spread, counts_of, ellipticity
from stronglens.simulation.observing import one_year_coadd
from stronglens.simulation.spectra import BANDS, share_of

EINSTEIN_RADIUS_RANGE_ARCSEC = (0.5, 1.5)

MIN_MAGNIFICATION = 3.0
MIN_ARC_SIGNAL_TO_NOISE = 120.0
"""Of the arcs of a lens that people recognise, in each of g, r and i."""
MIN_ARC_CONTRAST = 2.0
"""Brightness of those arcs in units of the deflector's, where they lie."""
ALWAYS_NOTICED_ARCSEC = 1.5
"""Einstein radius at which blending of arcs and deflector costs no lens any more; up to there the share of
lenses that are noticed rises with the square."""

_LENS_Z_RANGE = (0.3, 0.9)
_HIGHEST_CHANCE = 0.585 * 0.249**2
"""Highest chance of an alignment, to which others are relative: follows from the two ranges beside it."""
_SOURCE_I_RANGE = (20.0, 23.8)
_VISIBLE = [BANDS.index(band) for band in "gri"]
_I_BAND = BANDS.index("i")
_N_TRIES = 8192
_PREVIEW_ARCSEC = 0.1


@dataclass(frozen=True)
class Mass:
    """A singular isothermal ellipsoid with external shear.

    Attributes
    ----------
    einstein_radius_arcsec : float
        Einstein radius.
    axis_ratio, angle_rad : float
        Minor over major axis of the surface density, and position angle of the major axis from x to y.
    shear, shear_angle_rad : float
        Size of the shear, and the direction in which it stretches.
    x_arcsec, y_arcsec : float
        Centre.
    """

    einstein_radius_arcsec: float
    axis_ratio: float
    angle_rad: float
    shear: float
    shear_angle_rad: float
    x_arcsec: float
    y_arcsec: float

    def source_plane(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Where rays that are seen at points in arcsec come from, in arcsec; flat arrays."""
        e1, e2 = ellipticity(self.axis_ratio, self.angle_rad)
        ellipsoid = {
            "theta_E": self.einstein_radius_arcsec,
            "e1": e1,
            "e2": e2,
            "center_x": self.x_arcsec,
            "center_y": self.y_arcsec,
        }
        shear = {
            "gamma1": self.shear * np.cos(2 * self.shear_angle_rad),
            "gamma2": self.shear * np.sin(2 * self.shear_angle_rad),
            "ra_0": self.x_arcsec,
            "dec_0": self.y_arcsec,
        }
        beta_x, beta_y = _lens_model().ray_shooting(x, y, [ellipsoid, shear])
        return beta_x, beta_y


@cache
def _lens_model() -> Any:
    return LensModel(["SIE", "SHEAR"])


@dataclass(frozen=True)
class LensSystem:
    """A lens, what lies behind it, and the light that arrives.

    Attributes
    ----------
    deflector : Ellipticals
        The galaxy in front: a single one.
    mass : Mass
        What bends the light, centred on the deflector.
    source : BlueGalaxies
        The galaxy behind: a single one.
    source_x_arcsec, source_y_arcsec : float
        Its place relative to the deflector.
    source_lights : list of Light
        Its parts, in the source plane.
    """

    deflector: Ellipticals
    mass: Mass
    source: BlueGalaxies
    source_x_arcsec: float
    source_y_arcsec: float
    source_lights: list[Light]

    @property
    def arc_magnitudes(self) -> Floats:
        """AB magnitudes of the arcs together, shape (5,)."""
        return share_of(self.source.magnitudes, self._preview()[2].sum())

    def draw_arc_distances(self, rng: np.random.Generator, n_points: int) -> Floats:
        """Distances from the deflector, in arcsec, of points drawn as the light of the arcs is spread."""
        x, y, arcs = self._preview()
        points = rng.choice(arcs.size, n_points, p=arcs / arcs.sum())
        distances: Floats = np.hypot(x[points] - self.mass.x_arcsec, y[points] - self.mass.y_arcsec)
        return distances

    def render_arcs(self, image: Floats) -> None:
        """Add the arcs to an image of the fine grid, shape (5, N_FINE, N_FINE), in counts, in place."""
        x, y = np.meshgrid(fine_axis(), fine_axis())
        beta = self.mass.source_plane(x.ravel(), y.ravel())
        for light in self.source_lights:
            spread = light.shape.brightness(*beta).reshape(N_FINE, N_FINE) * FINE_ARCSEC**2
            add_spread(image, spread, light.magnitudes)

    def _preview(self) -> tuple[Floats, Floats, Floats]:
        # Coarse points around the deflector, and the flux of the arcs there in units of the source's.
        half = 2.2 * EINSTEIN_RADIUS_RANGE_ARCSEC[1]
        axis = np.arange(-half, half, _PREVIEW_ARCSEC)
        x, y = (
            points.ravel() for points in np.meshgrid(axis + self.mass.x_arcsec, axis + self.mass.y_arcsec)
        )
        beta = self.mass.source_plane(x, y)
        whole = counts_of(self.source.magnitudes)[_I_BAND]
        parts = [
            counts_of(light.magnitudes)[_I_BAND] / whole * light.shape.brightness(*beta)
            for light in self.source_lights
        ]
        arcs: Floats = np.sum(parts, axis=0) * _PREVIEW_ARCSEC**2
        return x, y, arcs


def draw_lens_system(
    rng: np.random.Generator, domain: Domain, x_arcsec: float, y_arcsec: float
) -> LensSystem:
    """Draw a lens that can be recognised in a one-year coadd.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws galaxies that lie behind one another until one lens among them is recognised.
    domain : Domain
        Decides on haloes and clumps.
    x_arcsec, y_arcsec : float
        Centre of the deflector.
    """
    while True:
        z_lens, dispersion, magnitude_i, z_source, offset, radius = _draw_alignments(rng)
        sources = draw_blue_galaxies(rng, magnitude_i, z_source, np.zeros(len(radius)))
        deflectors = draw_ellipticals(rng, z_lens, dispersion, domain.halo_chance)
        recognised = np.flatnonzero(_is_recognised(sources, deflectors, offset, radius))
        if recognised.size:
            first = int(recognised[0])
            return _build(
                rng,
                domain,
                pick(deflectors, first),
                pick(sources, first),
                float(offset[first]),
                float(radius[first]),
                (x_arcsec, y_arcsec),
            )


def _draw_alignments(rng: np.random.Generator) -> tuple[Floats, ...]:
    """Galaxies behind ellipticals.

    Returns
    -------
    tuple of ndarray of float64, shape (n,)
        Lens redshift, dispersion in km/s, source i magnitude, source redshift, offset and Einstein radius in
        arcsec.

    Notes
    -----
    Ellipticals are drawn with the chance that they lens something: by comoving volume, by the fourth power of
    the velocity dispersion, which is the cross section of an isothermal sphere but for the distances, and by
    these. Dispersions: Choi, Park & Vogeley (2007, ApJ 658, 884), without evolution, in the form of Collett
    (2015, ApJ 811, 20), eq. 3: (sigma / 161 km/s)^2.67 follows a gamma distribution, whose order the fourth
    power raises by 4 / 2.67.
    """
    nearest, farthest = comoving_distance_mpc(_LENS_Z_RANGE)
    # Uniform in volume: in a flat universe that is uniform in the cube of the comoving distance.
    to_lens = np.cbrt(rng.uniform(nearest**3, farthest**3, _N_TRIES))
    dispersion = np.minimum(400, 161 * rng.gamma((2.32 + 4) / 2.67, size=_N_TRIES) ** (1 / 2.67))
    magnitude_i = draw_count_magnitudes(rng, _N_TRIES, _SOURCE_I_RANGE)
    # Few galaxies as bright as that are far enough. So z^2 more of them are drawn than there are, and as many
    # dropped again; the mean of z^2 goes with the square of the scale.
    scale = redshift_scale(magnitude_i)
    z_source = np.clip(rng.gamma(5, scale), _LENS_Z_RANGE[0], Z_MAX)
    efficiency = np.maximum(0.0, 1 - to_lens / comoving_distance_mpc(z_source))  # D_ls / D_s
    chance = (efficiency * scale / z_source) ** 2 / _HIGHEST_CHANCE
    radius = einstein_radius_arcsec(dispersion, efficiency)
    # Farther off the axis nothing is magnified enough.
    offset = radius * 2 / MIN_MAGNIFICATION * np.sqrt(rng.random(_N_TRIES))
    low, high = EINSTEIN_RADIUS_RANGE_ARCSEC
    noticed = np.clip((radius - low) / (ALWAYS_NOTICED_ARCSEC - low), 0, 1) ** 2
    kept = (rng.random(_N_TRIES) < chance * noticed) & (radius <= high)
    # Most are too faint however small they are; to know it now saves drawing the rest of them.
    kept[kept] = (
        _arc_signal_to_noise(
            magnitude_i[kept],
            _I_BAND,
            radius[kept],
            _mean_magnification(radius[kept], offset[kept], SMALLEST_BLUE_ARCSEC),
        )
        > MIN_ARC_SIGNAL_TO_NOISE
    )
    columns = (redshift_at(to_lens), dispersion, magnitude_i, z_source, offset, radius)
    return tuple(column[kept] for column in columns)


def _is_recognised(sources: BlueGalaxies, deflectors: Ellipticals, offset: Floats, radius: Floats) -> Any:
    """Whether lenses are recognised, shape (n,).

    Notes
    -----
    The criteria of Collett (2015, ApJ 811, 20), with s the seeing, r_s the source's half-light radius, mu the
    magnification: theta_E^2 > r_s^2 + (s / 2)^2, mu r_s > s, mu > 3, and enough signal. Here that is a
    signal-to-noise ratio of `MIN_ARC_SIGNAL_TO_NOISE` in each of g, r and i within a ring of radius theta_E
    and width s, in which the arcs moreover shine `MIN_ARC_CONTRAST` times as bright as the deflector.
    """
    coadd = one_year_coadd()
    seeing, size = float(coadd.seeing_arcsec[_VISIBLE].mean()), sources.half_light_arcsec
    magnification = _mean_magnification(radius, offset, size)
    seen = (radius**2 > size**2 + (seeing / 2) ** 2) & (magnification * size > seeing)
    seen &= magnification > MIN_MAGNIFICATION
    for band in _VISIBLE:
        signal = _arc_signal_to_noise(sources.magnitudes[:, band], band, radius, magnification)
        arcs = magnification * counts_of(sources.magnitudes[:, band])
        under = counts_of(deflectors.magnitudes[:, band]) * deflectors.brightness_at(radius)
        seen &= (signal > MIN_ARC_SIGNAL_TO_NOISE) & (
            arcs > MIN_ARC_CONTRAST * under * 2 * np.pi * radius * seeing
        )
    return seen


def _mean_magnification(radius: Floats, offset: Floats, size: Floats | float) -> Floats:
    # Of a point source behind an isothermal sphere, 2 theta_E / beta, softened by the size of the source.
    magnification: Floats = 2 * radius / np.hypot(offset, size)
    return magnification


def _arc_signal_to_noise(magnitudes: Floats, band: int, radius: Floats, magnification: Floats) -> Floats:
    coadd = one_year_coadd()
    ring_px = 2 * np.pi * radius * coadd.seeing_arcsec[band] / PIXEL_ARCSEC**2
    ratio: Floats = magnification * counts_of(magnitudes) / (coadd.sky_noise[band] * np.sqrt(ring_px))
    return ratio


def _build(
    rng: np.random.Generator,
    domain: Domain,
    deflector: Ellipticals,
    source: BlueGalaxies,
    offset_arcsec: float,
    einstein_radius_arcsec: float,
    centre: tuple[float, float],
) -> LensSystem:
    """Orient the mass and the source.

    Notes
    -----
    Mass follows light with a scatter of 0.1 in axis ratio and 10 degrees in angle, as in the lenses of
    Koopmans et al. (2006, ApJ 649, 599).
    """
    x, y = centre
    shear = rng.normal(0, 0.035, 2)
    mass = Mass(
        einstein_radius_arcsec=einstein_radius_arcsec,
        axis_ratio=float(np.clip(deflector.axis_ratio + rng.normal(0, 0.1), 0.3, 0.99)),
        angle_rad=float(deflector.angle_rad + np.radians(rng.normal(0, 10))),
        shear=float(np.hypot(*shear)),
        shear_angle_rad=float(np.arctan2(shear[1], shear[0]) / 2),
        x_arcsec=x,
        y_arcsec=y,
    )
    azimuth = rng.uniform(0, 2 * np.pi)
    dx, dy = offset_arcsec * float(np.cos(azimuth)), offset_arcsec * float(np.sin(azimuth))
    lights = source.lights_at(x + dx, y + dy, domain.clump_chance, rng)
    return LensSystem(deflector, mass, source, dx, dy, lights)
