"""Youden's threshold, against every other one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stronglens.running.errors import InputError
from stronglens.scoring.operating_points import youden_threshold


def brute_force(labels: list[int], probs: list[float]) -> float:
    """The highest of the probabilities with the highest J, compared as integers."""
    n_lenses, n_others = sum(labels), len(labels) - sum(labels)

    def scaled_j(at: float) -> int:
        called = [label for label, prob in zip(labels, probs, strict=True) if prob >= at]
        return sum(called) * n_others - (len(called) - sum(called)) * n_lenses

    return max(sorted(set(probs), reverse=True), key=scaled_j)


@given(st.data())
def test_is_the_best_of_all_distinct_probabilities(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 30))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda x: 0 < sum(x) < n))
    some = st.sampled_from([0.0, 0.1, 0.5, 0.5 + 1e-16, 0.7, 1.0]) | st.floats(0, 1)
    probs = data.draw(st.lists(some, min_size=n, max_size=n))
    assert youden_threshold(np.array(labels), np.array(probs)) == brute_force(labels, probs)


def test_of_equal_j_the_highest() -> None:
    # J is 1/2 at 0.8 and at 0.2.
    assert youden_threshold(np.array([1, 0, 1, 0]), np.array([0.8, 0.6, 0.2, 0.1])) == 0.8


def test_no_better_than_chance_still_gives_a_probability() -> None:
    assert youden_threshold(np.array([0, 1]), np.array([0.9, 0.1])) == 0.1


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_one_class_only(labels: list[int]) -> None:
    with pytest.raises(InputError, match="both classes"):
        youden_threshold(np.array(labels, dtype=np.int64), np.linspace(0, 1, len(labels)))
