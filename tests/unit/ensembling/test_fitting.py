"""What is fitted on validation: it finds what was done to drawn objects, and holds for others."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from member_scores import combined, draw, scores_of
from stronglens.ensembling.combination import MemberScores
from stronglens.ensembling.fitting import cross_fit, fit_combination
from stronglens.running.errors import InputError
from stronglens.scoring.metrics import expected_calibration_error
from stronglens.settings.decide import CombineSettings


def test_temperature_and_platt_find_what_was_done() -> None:
    labels, logits = draw(50_000)
    hot = combined([scores_of(expit(3 * logits))], labels, calibration="temperature").sigmoid
    assert hot is not None
    assert hot.intercept == 0
    assert 1 / hot.slope == pytest.approx(3, rel=0.03)
    shifted = combined([scores_of(expit(0.5 * logits + 1))], labels, calibration="platt").sigmoid
    assert shifted is not None
    assert (shifted.slope, shifted.intercept) == pytest.approx((2, -2), rel=0.04)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_calibration_holds_for_objects_it_has_not_seen(method: str) -> None:
    labels, logits = draw(4000)
    new_labels, new_logits = draw(4000, seed=1)
    found = combined([scores_of(expit(4 * logits))], labels, calibration=method)
    raw = expit(4 * new_logits)
    after = found.apply([scores_of(raw)])
    assert after.prob_raw is not None
    assert np.array_equal(after.prob_raw, raw)
    before_error = expected_calibration_error(new_labels, raw)
    assert expected_calibration_error(new_labels, after.prob) < before_error / 2
    assert (np.diff(after.prob[np.argsort(raw)]) >= 0).all()


def test_classes_that_do_not_overlap_leave_probabilities_below_one() -> None:
    labels = np.repeat([0, 1], 20)
    sigmoid = combined([scores_of(0.3 + 0.4 * labels)], labels, calibration="platt").sigmoid
    assert sigmoid is not None
    # Platt's targets: 21 of 22 for lenses
    assert sigmoid.apply(np.array([0.7])) == pytest.approx(21 / 22, rel=1e-4)


def test_scores_that_fall_where_they_should_rise_are_refused() -> None:
    labels, logits = draw(500)
    with pytest.raises(InputError, match="found a slope of -"):
        combined([scores_of(expit(-logits))], labels, calibration="platt")


def test_weights_have_the_highest_likelihood() -> None:
    labels, logits = draw(2000)
    generator = np.random.default_rng(5)
    members = [expit(logits + generator.normal(0, sigma, len(logits))) for sigma in (0.5, 1.5)]
    members.append(generator.random(len(logits)))
    found = combined([scores_of(one) for one in members], labels, combine_members="weighted")
    weights = np.array(found.member_weights)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert weights.min() >= 0
    assert weights[2] < 0.1 < weights[0]
    best = log_loss(labels, found.pooled(np.array(members)))
    for other in ([1, 0, 0], [1 / 3, 1 / 3, 1 / 3], *generator.dirichlet([1, 1, 1], 30)):
        assert best <= log_loss(labels, np.asarray(other) @ np.array(members)) + 1e-6


def test_a_logistic_combiner_finds_the_bands_that_tell() -> None:
    labels, logits = draw(3000)
    generator = np.random.default_rng(2)
    noise = generator.normal(0, [0.5, 0.5, 3, 3, 3], (len(logits), 5))
    bands = logits[:, None] * [1, 1, 0, 0, 0] + noise
    member = scores_of(expit(bands).mean(axis=1), bands)
    found = combined([member], labels, combine_bands="logistic")
    (weights,) = found.band_weights
    assert weights is not None
    assert min(weights.coefficients[:2]) > 5 * max(map(abs, weights.coefficients[2:]))
    assert roc_auc_score(labels, found.apply([member]).prob) > roc_auc_score(labels, member.probs) + 0.05
    # a missing band adds nothing, in whatever order the others come
    part = MemberScores(member.probs, ("r", "g"), bands[:, [1, 0]])
    expected = bands[:, :2] @ weights.coefficients[:2] + weights.intercept
    assert found.of_members([part])[0] == pytest.approx(expit(expected))
    with pytest.raises(InputError, match="found u"):
        found.apply([MemberScores(member.probs, ("u",), bands[:, :1])])


def test_own_objects_are_combined_as_was_fitted_without_them() -> None:
    """Of noise, a fit finds in the objects that it has seen what is not there."""
    generator = np.random.default_rng(3)
    objects = np.arange(100) // 2
    labels = (np.arange(100) % 4 // 2).astype(np.int64)
    noise = np.repeat(generator.normal(0, 2, (50, 5)), 2, axis=0)
    member = scores_of(expit(noise).mean(axis=1), noise)
    settings = CombineSettings(combine_bands="logistic")
    seen = fit_combination([member], labels, settings).apply([member])
    assert roc_auc_score(labels, seen.prob) > 0.6
    unseen = cross_fit([member], labels, objects, settings)
    assert roc_auc_score(labels, unseen.prob) < 0.55
    # Rows of one object are in one fold: what is the same of them comes out the same.
    assert np.array_equal(unseen.prob[::2], unseen.prob[1::2])


@pytest.mark.parametrize(("n_lenses", "message"), [(4, "found 4 lenses and 8"), (0, "both classes")])
def test_too_few_to_fit(n_lenses: int, message: str) -> None:
    labels = (np.arange(12) < n_lenses).astype(np.int64)
    with pytest.raises(InputError, match=message):
        settings = CombineSettings(calibration="platt")
        fit_combination([scores_of(np.linspace(0.9, 0.1, 12))], labels, settings)
        cross_fit([scores_of(np.linspace(0.9, 0.1, 12))], labels, np.arange(12), settings)
