"""Numbers that describe a cutout, of images of which they are known."""

import numpy as np
import pytest
from scipy import ndimage

from stronglens.inspecting import cutout_statistics as statistics


def test_statistics_of_known_images() -> None:
    generator = np.random.default_rng(0)
    images = generator.normal(7, 2, (300, 41, 41)).astype(np.float32)
    images[:, 20, 20] += 100
    assert np.median(statistics.frame_sky(images)) == pytest.approx(7, abs=0.05)
    assert np.median(statistics.frame_noise(images)) == pytest.approx(2, rel=0.02)
    assert statistics.noise_correlation(images).mean() == pytest.approx(0, abs=0.01)
    assert np.median(statistics.peak(images)) == pytest.approx(100, rel=0.02)
    assert statistics.flux(images).mean() == pytest.approx(100, abs=20)
    assert (statistics.constant_corners(images) == 0).all()
    ring = np.zeros((1, 41, 41), dtype=np.float32)
    ring[0, 20, [12, 28]] = ring[0, [12, 28], 20] = 5
    assert statistics.size(ring) == pytest.approx(8)
    assert statistics.size(np.ones_like(ring)) == 0
    smoothed = ndimage.uniform_filter(images, (0, 2, 2))
    assert statistics.noise_correlation(smoothed).mean() == pytest.approx(0.5, abs=0.05)
    images[::2, -3:, :3] = 1
    assert statistics.constant_corners(images).tolist() == [1, 0] * 150
    assert statistics.image_correlation(images, 3 * images + 2) == pytest.approx(1)
    assert statistics.image_correlation(images, np.ones_like(images)) == pytest.approx(0)


def test_the_frame_is_three_pixels_wide() -> None:
    """What lies within is not sky; a frame of 216 pixels of which 126 are 5 has a median of 5."""
    images = np.full((1, 21, 21), 1000.0, dtype=np.float32)
    images[0, :3] = images[0, -3:] = images[0, :, :3] = images[0, :, -3:] = 2
    assert statistics.frame_sky(images).tolist() == [2]
    assert statistics.frame_noise(images).tolist() == [0]
    images[0, :3] = images[0, -3:] = 5
    assert statistics.frame_sky(images).tolist() == [5]
    assert statistics.frame_noise(images).tolist() == [0]
    assert statistics.peak(images).tolist() == [995]
    assert statistics.flux(images).tolist() == [15 * 15 * 995 - 15 * 6 * 3]


def test_noise_is_of_the_frame_s_deviations() -> None:
    images = np.zeros((1, 9, 9), dtype=np.float32)
    images[0, ::2, ::2] = 1  # of the frame's 72 pixels
    frame = np.delete(images[0].ravel(), [9 * y + x for y in range(3, 6) for x in range(3, 6)])
    expected = 1.4826 * np.median(np.abs(frame - np.median(frame)))
    assert statistics.frame_noise(images).tolist() == pytest.approx([expected])


@pytest.mark.parametrize(("columns", "expected"), [(1, -1.0), (2, 0.0), (100, None)])
def test_stripes_correlate_by_their_width(columns: int, expected: float | None) -> None:
    """A pixel's neighbours above are always as it is, those beside it by the stripes."""
    x = np.arange(60)
    stripes = np.where((x // columns) % 2 == 0, 1.0, -1.0)
    images = np.broadcast_to(stripes, (1, 60, 60)).astype(np.float32)
    found = statistics.noise_correlation(images)[0]
    if expected is None:
        assert found == 0  # all are the same: no noise
    else:
        # Half of all pairs lie above one another, and correlate fully.
        assert found == pytest.approx((1 + expected) / 2, abs=0.03)


def test_correlation_of_bands_is_numpy_s() -> None:
    one, other = np.random.default_rng(3).normal(2, 1, (2, 4, 9, 9)).astype(np.float32)
    other += one
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)]
    assert statistics.image_correlation(one, other).tolist() == pytest.approx(expected, abs=1e-6)
    assert statistics.image_correlation(one, -one).tolist() == pytest.approx([-1] * 4)


def test_each_corner_is_looked_at() -> None:
    images = np.random.default_rng(3).normal(0, 1, (5, 9, 9)).astype(np.float32)
    corners = [(slice(3), slice(3)), (slice(3), slice(-3, None)), (slice(-3, None), slice(3))]
    corners.append((slice(-3, None), slice(-3, None)))
    for number, corner in enumerate(corners):
        images[number:4][(slice(None), *corner)] = number
    assert statistics.constant_corners(images).tolist() == [1, 2, 3, 4, 0]
    images[0, 0, 0] += 1e-6
    assert statistics.constant_corners(images)[0] == 0
