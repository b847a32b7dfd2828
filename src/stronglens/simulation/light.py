"""Shapes of galaxies on the sky, and their light on the fine grid."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from lenstronomy.LightModel.light_model import LightModel

from stronglens.simulation.grid import FINE_ARCSEC, N_FINE, Floats, fine_axis
from stronglens.simulation.spectra import N_BANDS

ZERO_POINT = 27.0
"""AB magnitude of one count in any band: of the coadds of LSST's Data Preview 0 and of HSC."""


def counts_of(magnitudes: Floats) -> Floats:
    """Counts of AB magnitudes."""
    counts: Floats = 10 ** (-0.4 * (magnitudes - ZERO_POINT))
    return counts


class Shape(Protocol):
    """How the light of a galaxy, or of a part of it, is spread over the sky."""

    @property
    def x_arcsec(self) -> float:
        """Centre."""

    @property
    def y_arcsec(self) -> float:
        """Centre."""

    @property
    def reach_arcsec(self) -> float:
        """Half side of the box around the centre that is drawn."""

    def brightness(self, x: Floats, y: Floats) -> Floats:
        """Surface brightness per square arcsec at points in arcsec, of a total flux of 1."""


@cache
def _sersic_model() -> Any:
    return LightModel(["SERSIC_ELLIPSE"])


@dataclass(frozen=True)
class Sersic:
    """An elliptical Sersic profile.

    Attributes
    ----------
    x_arcsec, y_arcsec : float
        Centre, from the centre of the cutout.
    half_light_arcsec : float
        Radius that holds half of the light: the geometric mean of the half axes.
    index : float
        Sersic index.
    axis_ratio : float
        Minor over major axis, 0 to 1.
    angle_rad : float
        Position angle of the major axis, from the x axis to the y axis.
    """

    x_arcsec: float
    y_arcsec: float
    half_light_arcsec: float
    index: float
    axis_ratio: float
    angle_rad: float

    @property
    def reach_arcsec(self) -> float:
        """Beyond it, not drawn, a disc has none of its light, index 2.5 has 2 % and index 4 has 6 %."""
        return 8 * self.half_light_arcsec

    def brightness(self, x: Floats, y: Floats) -> Floats:
        e1, e2 = ellipticity(self.axis_ratio, self.angle_rad)
        profile = [
            {"amp": 1.0, "R_sersic": self.half_light_arcsec, "n_sersic": self.index, "e1": e1, "e2": e2,
             "center_x": self.x_arcsec, "center_y": self.y_arcsec}
        ]  # fmt: skip
        model = _sersic_model()
        light: Floats = model.surface_brightness(x, y, profile) / model.total_flux(profile)[0]
        return light


@dataclass(frozen=True)
class SpiralArms:
    """Logarithmic spiral arms, brightest at some distance from the centre and faint within it.

    A `Ring` whose brightness goes with 1 + contrast cos(n_arms (azimuth - ln R / tan(pitch) - phase)).

    Attributes
    ----------
    x_arcsec, y_arcsec, axis_ratio, angle_rad : float
        As in `Sersic`.
    radius_arcsec, width_arcsec : float
        Radius where the arms are brightest, and standard deviation of their brightness around it.
    n_arms : int
        Number of arms; one makes a tail.
    pitch_rad : float
        Angle between an arm and a circle.
    contrast : float
        0 (no arms) to 1 (no light between them).
    phase_rad : float
        Azimuth at which an arm crosses R = 1 arcsec.
    """

    x_arcsec: float
    y_arcsec: float
    radius_arcsec: float
    width_arcsec: float
    axis_ratio: float
    angle_rad: float
    n_arms: int
    pitch_rad: float
    contrast: float
    phase_rad: float

    @property
    def reach_arcsec(self) -> float:
        return (self.radius_arcsec + 4 * self.width_arcsec) / float(np.sqrt(self.axis_ratio))

    def brightness(self, x: Floats, y: Floats) -> Floats:
        radius, azimuth = _disc_coordinates(self, x, y)
        section = np.exp(-((radius - self.radius_arcsec) ** 2) / (2 * self.width_arcsec**2))
        wave = self.n_arms * (
            azimuth - np.log(np.maximum(radius, 0.01)) / np.tan(self.pitch_rad) - self.phase_rad
        )
        light: Floats = (
            section
            * (1 + self.contrast * np.cos(wave))
            / ((2 * np.pi) ** 1.5 * self.radius_arcsec * self.width_arcsec)
        )
        return light


@dataclass(frozen=True)
class Ring:
    """A ring of Gaussian cross section, brighter on one side or in knots.

    Attributes are as in `Sersic`, and:

    Attributes
    ----------
    radius_arcsec, width_arcsec : float
        Radius, and standard deviation of the cross section.
    n_knots : int
        Number of brighter places.
    contrast : float
        0 (even) to 1 (dark between the knots).
    phase_rad : float
        Azimuth of a knot.
    """

    x_arcsec: float
    y_arcsec: float
    radius_arcsec: float
    width_arcsec: float
    axis_ratio: float
    angle_rad: float
    n_knots: int
    contrast: float
    phase_rad: float

    @property
    def reach_arcsec(self) -> float:
        return (self.radius_arcsec + 4 * self.width_arcsec) / float(np.sqrt(self.axis_ratio))

    def brightness(self, x: Floats, y: Floats) -> Floats:
        radius, azimuth = _disc_coordinates(self, x, y)
        section = np.exp(-((radius - self.radius_arcsec) ** 2) / (2 * self.width_arcsec**2))
        knots = 1 + self.contrast * np.cos(self.n_knots * (azimuth - self.phase_rad))
        # Exact up to the light that a wide ring would have at negative radii.
        light: Floats = section * knots / ((2 * np.pi) ** 1.5 * self.radius_arcsec * self.width_arcsec)
        return light


def ellipticity(axis_ratio: float, angle_rad: float) -> tuple[float, float]:
    """Both components of the ellipticity (1 - q) / (1 + q) that lenstronomy takes."""
    size = (1 - axis_ratio) / (1 + axis_ratio)
    return size * float(np.cos(2 * angle_rad)), size * float(np.sin(2 * angle_rad))


def _disc_coordinates(disc: SpiralArms | Ring, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    # Radius is scaled like a Sersic profile's: the geometric mean of the half axes.
    cos, sin = np.cos(disc.angle_rad), np.sin(disc.angle_rad)
    dx, dy = x - disc.x_arcsec, y - disc.y_arcsec
    along = (cos * dx + sin * dy) * np.sqrt(disc.axis_ratio)
    across = (cos * dy - sin * dx) / np.sqrt(disc.axis_ratio)
    return np.hypot(along, across), np.arctan2(across, along)


@dataclass(frozen=True)
class Light:
    """A shape, and its magnitudes.

    Attributes
    ----------
    shape : Shape
        How the light is spread.
    magnitudes : ndarray of float64, shape (5,)
        AB magnitudes in the order of `stronglens.simulation.spectra.BANDS`.
    """

    shape: Shape
    magnitudes: Floats


def render(lights: Iterable[Light]) -> Floats:
    """Sum of lights on the fine grid, before seeing.

    Returns
    -------
    ndarray of float64, shape (5, N_FINE, N_FINE)
        Axes (band, y, x), counts in each fine pixel. What lies outside the grid is lost.

    Notes
    -----
    A fine pixel has the brightness of its centre. For a steep core that is exact in the mean alone: with
    the place of the core in its pixel the flux of a de Vaucouleurs profile of 0.5 arcsec scatters by 2.6 %,
    of 0.8 arcsec by 1.8 %, that of a disc by less than 0.1 %. Lenses and non-lenses share these cores.
    """
    image = np.zeros((N_BANDS, N_FINE, N_FINE))
    axis = fine_axis()
    for light in lights:
        shape = light.shape
        columns, rows = (
            slice(*np.searchsorted(axis, (centre - shape.reach_arcsec, centre + shape.reach_arcsec)))
            for centre in (shape.x_arcsec, shape.y_arcsec)
        )
        y, x = np.meshgrid(axis[rows], axis[columns], indexing="ij")
        if x.size:
            # lenstronomy lets one shape of points through as another where a side is 1: points go flat.
            spread = shape.brightness(x.ravel(), y.ravel()).reshape(x.shape) * FINE_ARCSEC**2
            add_spread(image[:, rows, columns], spread, light.magnitudes)
    return image


def add_spread(image: Floats, spread: Floats, magnitudes: Floats) -> None:
    """Add light to an image in place.

    Parameters
    ----------
    image : ndarray of float64, shape (5, n_y, n_x)
        Axes (band, y, x), in counts.
    spread : ndarray of float64, shape (n_y, n_x)
        Share of the flux in each pixel.
    magnitudes : ndarray of float64, shape (5,)
        Magnitudes of the whole.
    """
    # No matrix product: its last bits would depend on the number of threads of the linear algebra library.
    for band, counts in enumerate(counts_of(magnitudes)):
        image[band] += counts * spread
