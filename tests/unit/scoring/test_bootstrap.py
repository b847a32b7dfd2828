"""Confidence intervals: resamples counted as a slow count does, and intervals that hold what they promise."""

import time

import numpy as np
import numpy.typing as npt
import pytest

from stronglens.scoring.bootstrap import (
    HEADLINE,
    Ranked,
    intervals_by_domain,
    metric_intervals,
    resamples,
    threshold_interval,
)
from stronglens.scoring.metrics import metrics_at
from stronglens.scoring.operating_points import highest_youden, youden_threshold

Drawn = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]


def draw(n: int, seed: int = 0, decimals: int = 15) -> Drawn:
    """Probabilities that are calibrated, and as often equal as `decimals` makes them."""
    generator = np.random.default_rng(seed)
    probs = np.round(generator.beta(0.6, 0.6, n), decimals)
    return (generator.random(n) < probs).astype(np.int64), probs


@pytest.mark.parametrize("decimals", [1, 2, 15])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.37, 1.0])
def test_a_resample_has_the_metrics_of_its_objects(decimals: int, threshold: float) -> None:
    labels, probs = draw(80, decimals, decimals)
    ranked = Ranked(labels, probs)
    for weights in resamples(80, n_resamples=5):
        repeated = np.repeat(labels, weights), np.repeat(probs, weights)
        expected = metrics_at(*repeated, threshold)
        found = ranked.metrics(weights, threshold)
        for name in HEADLINE:
            value = np.nan if expected[name] is None else expected[name]
            assert found[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name
        assert ranked.threshold(weights, highest_youden) == youden_threshold(*repeated)


def test_one_class_is_undefined() -> None:
    intervals = metric_intervals(np.ones(20, dtype=np.int64), np.linspace(0, 1, 20), 0.5)
    assert intervals["roc_auc"] is None
    assert intervals["recall"] is not None
    assert (
        threshold_interval(np.ones(20, dtype=np.int64), [np.linspace(0, 1, 20)], lambda own: own[0]) is None
    )


def test_the_seed_decides() -> None:
    labels, probs = draw(100)
    assert metric_intervals(labels, probs, 0.5) == metric_intervals(labels, probs, 0.5)
    one, other = (next(resamples(100, seed=seed)) for seed in (0, 1))
    assert (one != other).any()


def test_rows_of_one_object_are_drawn_together() -> None:
    objects = np.repeat(np.arange(30), 5)
    for weights in resamples(150, objects, n_resamples=20):
        assert (weights.reshape(30, 5) == weights[::5, None]).all()
        assert weights.sum() == 150


def test_five_bands_of_an_object_tell_no_more_than_one() -> None:
    labels, probs = draw(200)
    one = metric_intervals(labels, probs, 0.5)["accuracy"]
    objects = np.repeat(np.arange(200), 5)
    five = metric_intervals(np.repeat(labels, 5), np.repeat(probs, 5), 0.5, objects)["accuracy"]
    assert five == pytest.approx(one, abs=1e-12)
    careless = metric_intervals(np.repeat(labels, 5), np.repeat(probs, 5), 0.5)["accuracy"]
    assert np.ptp(careless) < 0.7 * np.ptp(five)


def test_domains_are_drawn_by_themselves() -> None:
    labels, probs = draw(300)
    domains = np.where(np.arange(300) % 3 == 0, "hsc", "slsim").astype(object)
    found = intervals_by_domain(labels, probs, 0.5, domains, np.arange(300))
    assert list(found) == ["global", "domain::hsc", "domain::slsim"]
    hsc = domains == "hsc"
    assert found["domain::hsc"] == metric_intervals(labels[hsc], probs[hsc], 0.5)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """The accuracy of calibrated probabilities at 0.5 is the mean of max(prob, 1 - prob) over their law."""
    law = np.random.default_rng(9).beta(0.6, 0.6, 1_000_000)
    truth = np.maximum(law, 1 - law).mean()
    n_held = 0
    for seed in range(40):
        low, high = metric_intervals(*draw(150, seed), 0.5)["accuracy"]
        n_held += low <= truth <= high
    assert n_held >= 34  # 38 expected


@pytest.mark.parametrize(("n_objects", "expected"), [(30, 1000), (30_000, 1000), (60_000, 500), (10**6, 150)])
def test_large_sets_have_fewer_resamples(n_objects: int, expected: int) -> None:
    assert sum(1 for _ in resamples(n_objects)) == expected


def test_thirty_thousand_objects_take_seconds() -> None:
    labels, probs = draw(30_000)
    start = time.process_time()
    low, high = threshold_interval(labels, [probs], lambda own: own[0]) or (0, 0)
    metric_intervals(labels, probs, 0.5)
    assert time.process_time() - start < 20  # 2 s on one core
    assert 0.3 < low < 0.5 < high < 0.7  # calibrated: the best threshold is the share of lenses
