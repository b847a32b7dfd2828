"""The other ways to choose a threshold, against every other one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stronglens.running.errors import InputError
from stronglens.scoring.choosing import best_threshold
from stronglens.settings.decide import ThresholdSettings


def chosen(labels: list[int], probs: list[float], **settings: object) -> float:
    return best_threshold(np.array(labels), np.array(probs), ThresholdSettings.model_validate(settings))


@given(st.data())
def test_other_methods_try_all_distinct_probabilities(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 25))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda x: 0 < sum(x) < n))
    probs = data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0]), min_size=n, max_size=n))
    prevalence = data.draw(st.sampled_from([None, 0.5, 1e-3]))
    method = data.draw(st.sampled_from(["fbeta", "fpr", "purity"]))
    settings = {"method": method, "fpr": 0.3, "purity": 0.6, "beta": 0.5, "prevalence": prevalence}
    n_lenses, n_others = sum(labels), n - sum(labels)
    sky = n_lenses / n if prevalence is None else prevalence

    def value(at: float) -> float:
        """What is to be as high as can be; below 0 where the threshold will not do."""
        true = sum(label for label, prob in zip(labels, probs, strict=True) if prob >= at) / n_lenses
        false = sum(1 - label for label, prob in zip(labels, probs, strict=True) if prob >= at) / n_others
        purity = sky * true / (sky * true + (1 - sky) * false)
        if method == "fbeta":
            return 1.25 * purity * true / (0.25 * purity + true) if true else 0
        allowed = false <= 0.3 + 1e-12 if method == "fpr" else purity >= 0.6 - 1e-12
        return true if allowed and true else -1

    best = max(map(value, probs))
    if best < 0:
        with pytest.raises(InputError, match="ask for less"):
            chosen(labels, probs, **settings)
        return
    found = chosen(labels, probs, **settings)
    assert found in probs
    assert value(found) == pytest.approx(best, rel=1e-9)
    assert not [at for at in probs if at > found and value(at) > best - 1e-12]  # of equals the highest


def test_of_equal_f_betas_the_highest_threshold_though_they_are_rounded_differently() -> None:
    # 2 of 7 lenses and no other, or 6 of 7 lenses and 3 of 6 others: both 2/3.
    labels = [0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1]
    probs = [0.1, 0.1, 0.1, 0.5, 0.5, 0.0, 0.0, 0.0, 0.1, 0.1, 0.0, 0.1, 0.1]
    assert chosen(labels, probs, method="fbeta", beta=0.5, prevalence=0.5) == 0.5


def test_rare_lenses_want_a_higher_threshold() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([1, 0], 500)
    probs = 1 / (1 + np.exp(-generator.normal(2 * labels - 1, 1)))
    at = [
        best_threshold(labels, probs, ThresholdSettings(method="fbeta", beta=1, prevalence=prevalence))
        for prevalence in (0.5, 0.05, 0.005)
    ]
    assert at[0] < at[1] < at[2]


def test_a_false_positive_rate_of_a_whole_number_of_objects() -> None:
    # 0.29 x 100 comes out below 29
    labels, probs = [0] * 100 + [1], [*np.linspace(1, 0.01, 100).round(2), 0.72]
    assert chosen(labels, probs, method="fpr", fpr=0.29) == 0.72
