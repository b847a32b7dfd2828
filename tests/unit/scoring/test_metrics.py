import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as sk

from stronglens.formats.artefact import write_json
from stronglens.scoring.metrics import (
    calibration_bins,
    expected_calibration_error,
    metrics_at,
    metrics_by_domain,
)

Labels = npt.NDArray[np.int64]
Probs = npt.NDArray[np.float64]

KEYS = [
    "accuracy",
    "precision",
    "recall",
    "f1",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "balanced_accuracy",
    "specificity",
    "mcc",
    "brier",
    "roc_auc",
    "pr_auc",
    "ece",
    "threshold",
    "tn",
    "fp",
    "fn",
    "tp",
]


def draw(n: int, seed: int = 0, digits: int = 4) -> tuple[Labels, Probs]:
    """Labels and probabilities that separate them somewhat, with ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    probs = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.5)))
    return labels, probs.round(digits)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.77])
@pytest.mark.parametrize("digits", [1, 6])
def test_agrees_with_scikit_learn(seed: int, threshold: float, digits: int) -> None:
    labels, probs = draw(500, seed, digits)
    preds = np.asarray(probs >= threshold, dtype=int)
    tn, fp, fn, tp = sk.confusion_matrix(labels, preds).ravel()
    expected = {
        "accuracy": sk.accuracy_score(labels, preds),
        "precision": sk.precision_score(labels, preds),
        "recall": sk.recall_score(labels, preds),
        "f1": sk.f1_score(labels, preds),
        "precision_macro": sk.precision_score(labels, preds, average="macro"),
        "recall_macro": sk.recall_score(labels, preds, average="macro"),
        "f1_macro": sk.f1_score(labels, preds, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, preds),
        "specificity": sk.recall_score(labels, preds, pos_label=0),
        "mcc": sk.matthews_corrcoef(labels, preds),
        "brier": sk.brier_score_loss(labels, probs),
        "roc_auc": sk.roc_auc_score(labels, probs),
        "pr_auc": sk.average_precision_score(labels, probs),
        "threshold": threshold,
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
    }
    found = metrics_at(labels, probs, threshold)
    assert list(found) == KEYS
    del found["ece"]
    assert found == pytest.approx(expected, rel=1e-12)


def test_hand_made_case() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    probs = np.array([0.9, 0.6, 0.2, 0.6, 0.1])
    found = metrics_at(labels, probs, 0.6)
    assert (found["tp"], found["fn"], found["fp"], found["tn"]) == (2, 1, 1, 1)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["specificity"] == pytest.approx(1 / 2)
    assert found["f1_macro"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # Of the six pairs of a lens and another, four are in order and one is a tie.
    assert found["roc_auc"] == pytest.approx(4.5 / 6)


def test_threshold_itself_is_a_lens() -> None:
    found = metrics_at(np.array([1, 0]), np.array([0.5, 0.5]), 0.5)
    assert (found["tp"], found["fp"]) == (1, 1)


def test_calibration_error_by_hand() -> None:
    # Two bins: (0, 1/2] holds 0.2 and 0.4 with no lens, (1/2, 1] holds 0.6, 0.8, 1.0 with two of three.
    labels = np.array([0, 0, 1, 0, 1])
    probs = np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    expected = 2 / 5 * abs(0 - 0.3) + 3 / 5 * abs(2 / 3 - 0.8)
    assert expected_calibration_error(labels, probs, n_bins=2) == pytest.approx(expected)


def test_upper_edge_belongs_to_its_bin() -> None:
    bins = calibration_bins(np.array([1, 0, 1, 1]), np.array([0.0, 0.5, 0.5 + 1e-12, 1.0]), n_bins=2)
    assert bins.counts.tolist() == [2, 2]
    assert bins.lens_fractions.tolist() == [0.5, 1.0]


def test_calibrated_probabilities_have_little_calibration_error() -> None:
    rng = np.random.default_rng(1)
    probs = rng.random(200_000)
    labels = (rng.random(200_000) < probs).astype(np.int64)
    assert expected_calibration_error(labels, probs) < 0.005


def test_confident_and_right_is_calibrated() -> None:
    """The original compared accuracy with the mean probability: 1 against 1/2 here."""
    labels = np.array([0, 1] * 50)
    assert expected_calibration_error(labels, labels.astype(np.float64)) == 0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_undefined_not_nan(label: int, tmp_path: Path) -> None:
    found = metrics_at(np.full(4, label), np.array([0.1, 0.2, 0.8, 0.9]), 0.5)
    undefined = {
        "roc_auc",
        "pr_auc",
        "mcc",
        "balanced_accuracy",
        "recall_macro",
        "recall" if label == 0 else "specificity",
    }
    assert {name for name, value in found.items() if value is None} == undefined
    assert found["accuracy"] == 0.5
    write_json(tmp_path / "metrics.json", found)  # refuses NaN
    assert json.loads((tmp_path / "metrics.json").read_text())["roc_auc"] is None


def test_nothing_called_a_lens() -> None:
    labels, probs = draw(50)
    found = metrics_at(labels, probs, 1.0)
    assert found["tp"] == found["fp"] == 0
    assert found["precision"] is None
    assert found["mcc"] is None
    assert found["f1"] == 0
    assert found["roc_auc"] == sk.roc_auc_score(labels, probs)


def test_many_objects_do_not_overflow() -> None:
    labels = np.tile([0, 0, 1, 1], 100_000)
    found = metrics_at(labels, np.tile([0.1, 0.9, 0.1, 0.9], 100_000), 0.5)
    assert found["mcc"] == 0
    assert found["tp"] == 100_000


def test_domains() -> None:
    labels, probs = draw(300)
    domains = np.array(["hsc", "slsim", "unknown"] * 100, dtype=object)
    found = metrics_by_domain(labels, probs, 0.4, domains)
    assert list(found) == ["global", "domain::hsc", "domain::slsim"]
    assert found["global"] == metrics_at(labels, probs, 0.4)
    assert found["domain::slsim"] == metrics_at(labels[1::3], probs[1::3], 0.4)
    assert list(metrics_by_domain(labels, probs, 0.4)) == ["global"]
