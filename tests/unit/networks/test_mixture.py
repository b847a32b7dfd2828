"""Mixtures of Gaussians, beside samples of them."""

import numpy as np
import pytest

from stronglens.networks.mixture import mixture, mixture_by_group

MEANS = np.array([[1.0, 20.0], [1.5, 20.4], [0.2, 19.9]])
STDS = np.array([[0.3, 0.2], [0.1, 0.5], [0.4, 0.01]])


def test_mean_and_width_are_those_of_a_sample() -> None:
    mean, std = mixture(MEANS, STDS)
    rng = np.random.default_rng(3)
    sample = rng.normal(MEANS[:, None], STDS[:, None], (3, 400_000, 2)).reshape(-1, 2)
    assert mean == pytest.approx(sample.mean(axis=0), abs=3e-3)
    assert std == pytest.approx(sample.std(axis=0), rel=3e-3)


def test_it_is_the_formula() -> None:
    mean, std = mixture(MEANS, STDS)
    assert mean == pytest.approx(MEANS.mean(axis=0))
    assert std**2 == pytest.approx((STDS**2 + MEANS**2).mean(axis=0) - mean**2)


def test_one_is_itself_and_equal_ones_are_no_wider() -> None:
    for n in (1, 8):
        mean, std = mixture(np.full((n, 1), 1e6), np.full((n, 1), 1e-4))
        assert mean.tolist() == [1e6]
        assert std == pytest.approx([1e-4], rel=1e-12)


def test_groups_of_rows_in_any_order() -> None:
    groups = np.array([1, 0, 1, 1])
    means, stds = np.array([1.0, 7.0, 1.5, 0.2]), np.array([0.3, 2.0, 0.1, 0.4])
    found = mixture_by_group(means, stds, groups, lambda values: np.bincount(groups, values) / [1, 3])
    expected = mixture(MEANS[:, :1], STDS[:, :1])
    assert [values[0] for values in found] == pytest.approx([7.0, 2.0])
    assert [values[1] for values in found] == pytest.approx([values[0] for values in expected])
