"""Intervals hold the truth as often as they say, also where few objects decide."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from stronglens.scoring import bootstrap
from stronglens.scoring.bootstrap import metric_intervals
from stronglens.scoring.few_counts import (
    Confusion,
    exact_intervals,
    proportion_interval,
    tpr_interval_by_rank,
)
from stronglens.scoring.field_metrics import completeness_by, field_metrics
from stronglens.settings.decide import EvaluateSettings

N = 300
"""Lenses, and as many others."""

N_SETS = 120
SETTINGS = EvaluateSettings(prevalences=[1e-3])
APART = 2.5
"""Of the logits of lenses and others, which are normal with standard deviation 1."""


def draw(seed: int, n: int = N) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    labels = np.repeat([1, 0], n).astype(np.int64)
    return labels, 1 / (1 + np.exp(-generator.normal(APART * labels, 1)))


def tpr_at(fpr: float) -> float:
    """The true positive rate of the population at a false positive rate."""
    return float(norm.sf(norm.isf(fpr) - APART))


def purity_at(logit: float, prevalence: float) -> float:
    lenses, others = prevalence * norm.sf(logit - APART), (1 - prevalence) * norm.sf(logit)
    return float(lenses / (lenses + others))


def test_intervals_of_the_field_hold_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "N_RESAMPLES", 200)
    logit = 3.2  # 0.2 of 300 non-lenses pass it
    truth = {
        "tpr_at_fpr_0.1": tpr_at(0.1),
        "tpr_at_fpr_0.01": tpr_at(0.01),
        "tpr_at_fpr_0.001": tpr_at(0.001),
        "tpr0": tpr_at(1 / N),
        "completeness": float(norm.sf(logit - APART)),
        "purity@0.001": purity_at(logit, 1e-3),
    }
    held: Counter[str] = Counter()
    for seed in range(N_SETS):
        labels, probs = draw(seed)
        intervals = field_metrics(labels, probs, 1 / (1 + np.exp(-logit)), SETTINGS)["intervals"]
        for name, true in truth.items():
            low, high = intervals[name]
            held[name] += low <= true <= high
    # 95 % of 120 are 114; fewer than 105 would be met with a probability of 1e-3
    assert {name: held[name] for name in truth if held[name] < 105} == {}


def test_what_is_best_where_hardly_any_non_lens_passes_has_no_interval() -> None:
    intervals = field_metrics(*draw(0), 0.9, SETTINGS)["intervals"]
    assert intervals["highest_fbeta@0.001"] is None
    assert intervals["completeness_at_purity@0.001"] is None
    assert intervals["tpr10"] is not None


def test_no_false_positive_is_no_certainty() -> None:
    labels = np.repeat([1, 0], N).astype(np.int64)
    probs = np.where(labels == 1, 0.9, 0.1)
    intervals = metric_intervals(labels, probs, 0.5)
    low, high = intervals["specificity"]
    assert (low, high) == (pytest.approx(0.025 ** (1 / N)), 1)
    for name in ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "mcc"):
        low, high = intervals[name]
        assert 0.95 < low < 1 and high == 1, name
    assert intervals["roc_auc"] is None  # 1 in every resample, which says nothing
    purity = field_metrics(labels, probs, 0.5, SETTINGS)["intervals"]["purity@0.001"]
    assert purity[0] < 0.1 and purity[1] == 1


def test_found_all_of_ten() -> None:
    (only,) = completeness_by(np.full(10, 1.0), np.full(10, True), 1)
    assert only["completeness"] == 1
    assert only["interval"] == pytest.approx([0.692, 1], abs=1e-3)


@given(st.integers(1, 60), st.data())
def test_proportions_are_those_of_scipy(n: int, data: st.DataObject) -> None:
    counted = data.draw(st.integers(0, n))
    expected = binomtest(counted, n).proportion_ci(0.95, method="exact")
    assert proportion_interval(counted, n) == pytest.approx((expected.low, expected.high))


def test_bands_of_an_object_are_no_more_than_one_object() -> None:
    counts = Confusion(2, 98, 1, 99)
    alone, in_fives = exact_intervals(counts, 1), exact_intervals(counts, 0.2)
    for name, of_rows in alone.items():
        of_objects = in_fives[name]
        assert of_rows is not None and of_objects is not None
        assert of_objects[0] <= of_rows[0] <= counts.metrics()[name] <= of_rows[1] <= of_objects[1], name
    assert exact_intervals(Confusion(50, 50, 50, 50), 1) == {}
    assert exact_intervals(Confusion(0, 0, 3, 5), 1) == {}


def test_ranks_that_bracket_a_rate() -> None:
    """Of 1000 others, 4 to 17 lie above the threshold of one in 100, with 97.5 % confidence."""
    n = 1000
    fewest, most = (int(binom.ppf(tail, n, 0.01)) for tail in (0.0125, 0.9875))
    true, false = np.arange(n + 1), np.arange(n + 1)  # one lens and one other at each probability
    low, high = tpr_interval_by_rank(true, false, 0.01)
    assert low == pytest.approx(proportion_interval(fewest - 1, n, 0.975)[0])
    assert high == pytest.approx(proportion_interval(most, n, 0.975)[1])
