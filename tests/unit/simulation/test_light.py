"""Light on the fine grid, against Sersic's law and against itself."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammainc, gammaincinv

from stronglens.simulation.grid import FINE_ARCSEC, N_FINE, Floats, fine_axis
from stronglens.simulation.light import ZERO_POINT, Light, Ring, Sersic, SpiralArms, counts_of, render
from stronglens.simulation.spectra import N_BANDS

X, Y = np.meshgrid(fine_axis(), fine_axis())
ONE_COUNT = np.full(N_BANDS, ZERO_POINT)


def share_within(radius_half_lights: float, index: float) -> float:
    """Share of a Sersic profile's light within a radius: Graham & Driver (2005, PASA 22, 118), eq. 2."""
    b = gammaincinv(2 * index, 0.5)
    return float(gammainc(2 * index, b * radius_half_lights ** (1 / index)))


def elliptical_radius(shape: Sersic) -> Floats:
    """Of the fine pixels from a profile's centre: the geometric mean of the half axes."""
    dx, dy = X - shape.x_arcsec, Y - shape.y_arcsec
    cos, sin = np.cos(shape.angle_rad), np.sin(shape.angle_rad)
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    radius: Floats = np.hypot(along * shape.axis_ratio**0.5, across / shape.axis_ratio**0.5)
    return radius


def rendered(shape: Sersic, n_places: int = 7) -> tuple[Floats, Floats]:
    """Radius and light of the fine pixels, for centres at `n_places` squared places within a fine pixel.

    The grid is sampled at the centres of its pixels. What one steep core gains or loses by its place in a
    pixel, others make up for: together these places sample a grid as many times finer.
    """
    offsets = ((np.arange(n_places) + 0.5) / n_places - 0.5) * FINE_ARCSEC
    placed = [replace(shape, x_arcsec=x, y_arcsec=y) for x in offsets for y in offsets]
    radii = np.array([elliptical_radius(one) for one in placed])
    images = np.array([render([Light(one, ONE_COUNT)])[0] for one in placed]) / len(placed)
    return radii, images


def test_a_magnitude_is_as_many_counts_as_the_zero_point_says() -> None:
    assert counts_of(np.array([27.0, 24.5, 22.0])) == pytest.approx([1, 10, 100])


def test_an_exponential_disc_has_all_its_light_in_each_band() -> None:
    magnitudes = np.array([20.0, 21.0, 22.0, 23.0, 24.0])
    image = render([Light(Sersic(0.1, -0.2, 0.5, 1.0, 0.7, 0.5), magnitudes)])
    # Within 8 half-light radii, where drawing ends, lie 99.998 % of it; sampling costs less than 0.1 %.
    assert image.sum(axis=(1, 2)) == pytest.approx(10 ** (-0.4 * (magnitudes - 27)), rel=1e-3)


@pytest.mark.parametrize(
    ("index", "half_light", "axis_ratio"),
    [(0.6, 0.4, 1.0), (1.0, 0.5, 0.6), (2.5, 0.5, 1.0), (4.0, 0.8, 0.6)],
)
def test_light_within_a_radius_is_sersic_s(index: float, half_light: float, axis_ratio: float) -> None:
    """Half of it within the half-light radius, and the right share within half and twice that."""
    radii, images = rendered(Sersic(0, 0, half_light, index, axis_ratio, 0.4))
    shares = [images[radii < factor * half_light].sum() for factor in (0.5, 1, 2)]
    # 0.01 of the whole: pixels at the edge count whole or not at all, and 49 places leave of a de Vaucouleurs
    # core, which has 3 % of the light in one fine pixel, some tenths of that.
    assert shares == pytest.approx([share_within(factor, index) for factor in (0.5, 1, 2)], abs=0.01)


def test_where_drawing_ends_little_is_left() -> None:
    """In a box of 8 half-light radii to each side: all of a disc, and of a bulge what its wings leave."""
    _, images = rendered(Sersic(0, 0, 0.5, 4.0, 1.0, 0.0))
    assert share_within(8, 1.0) > 0.9999
    # The box holds the circle and is within one of sqrt(2) times its radius; 0.005 for the core.
    assert share_within(8, 4.0) - 0.005 < images.sum() < share_within(8 * 2**0.5, 4.0) + 0.005


def test_a_disc_lies_along_its_angle_as_flat_as_it_is() -> None:
    shape = Sersic(0.0, 0.0, 0.5, 1.0, 0.5, np.radians(30))
    image = render([Light(shape, ONE_COUNT)])[0]
    moments = np.array(
        [[(image * X * X).sum(), (image * X * Y).sum()], [(image * X * Y).sum(), (image * Y * Y).sum()]]
    )
    (small, large), axes = np.linalg.eigh(moments)
    # Second moments weigh the outskirts, of which the box at 8 half-light radii takes a little: 1 %.
    assert np.sqrt(small / large) == pytest.approx(0.5, rel=0.01)
    assert np.degrees(np.arctan(axes[1, 1] / axes[0, 1])) == pytest.approx(30, abs=0.5)


RING = Ring(0.05, -0.1, 1.2, 0.2, 0.7, 0.6, n_knots=3, contrast=0.5, phase_rad=0.3)
ARMS = SpiralArms(0.0, 0.1, 1.0, 0.25, 0.8, 1.0, n_arms=2, pitch_rad=0.4, contrast=0.9, phase_rad=0.0)


@pytest.mark.parametrize("shape", [RING, ARMS], ids=["ring", "arms"])
def test_knots_and_arms_move_light_and_add_none(shape: Ring | SpiralArms) -> None:
    image = render([Light(shape, ONE_COUNT)])[0]
    # Of the cross section, a Gaussian, 4 standard deviations are drawn; arms wind up where they are faint.
    assert image.sum() == pytest.approx(1, abs=0.005)
    even = render([Light(replace(shape, contrast=0.0), ONE_COUNT)])[0]
    assert np.abs(image - even).sum() > 0.1


def test_a_round_ring_is_brightest_at_its_radius() -> None:
    ring = Ring(0.0, 0.0, 1.2, 0.2, 1.0, 0.0, n_knots=1, contrast=0.0, phase_rad=0.0)
    image = render([Light(ring, ONE_COUNT)])[0]
    brightest = np.hypot(X, Y)[image > 0.99 * image.max()]
    # To 1 % the brightness stays within 0.14 standard deviations, 0.03 arcsec.
    assert np.abs(brightest - 1.2).max() < 0.03


def test_what_lies_outside_is_lost_and_nothing_else() -> None:
    half_arcsec = N_FINE / 2 * FINE_ARCSEC
    at_the_edge = render([Light(Sersic(half_arcsec, 0.0, 0.3, 1.0, 1.0, 0.0), ONE_COUNT)])[0]
    # Half of it, to the light of half a column of fine pixels.
    assert at_the_edge.sum() == pytest.approx(0.5, abs=0.01)
    assert not render([Light(Sersic(2 * half_arcsec, 0.0, 0.3, 1.0, 1.0, 0.0), ONE_COUNT)]).any()
