"""Metrics of a binary classifier: its ranking, its decisions at a threshold, its calibration."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

Metrics = dict[str, float | int | None]
"""Value of each metric; None where it is undefined."""

N_CALIBRATION_BINS = 15
"""As in Guo et al. (2017)."""

DOMAINS_OF_NOTHING = frozenset({"", "unknown"})
"""Domains that get no metrics of their own."""


@dataclass(frozen=True)
class CalibrationBins:
    """Probabilities in bins of equal width, the empty ones left out.

    Attributes
    ----------
    counts : ndarray of int64, shape (n_bins,)
        Objects in the bin.
    mean_probs : ndarray of float64, shape (n_bins,)
        Their mean probability.
    lens_fractions : ndarray of float64, shape (n_bins,)
        The fraction of them that are lenses.
    """

    counts: npt.NDArray[np.int64]
    mean_probs: npt.NDArray[np.float64]
    lens_fractions: npt.NDArray[np.float64]


def calibration_bins(
    labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], n_bins: int = N_CALIBRATION_BINS
) -> CalibrationBins:
    """Sort objects into bins of equal width by their probability.

    Parameters
    ----------
    labels : ndarray of int64, shape (n_objects,)
        1 lens, 0 none.
    probs : ndarray of float64, shape (n_objects,)
        Probabilities, from 0 to 1, no NaN.
    n_bins : int
        Bin m of M holds (m - 1) / M < prob <= m / M; the first holds 0 too.
    """
    inner_edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    bins = np.digitize(probs, inner_edges, right=True)
    counts = np.bincount(bins, minlength=n_bins)
    filled = counts > 0
    n_lenses = np.bincount(bins, weights=labels, minlength=n_bins)[filled]
    sums = np.bincount(bins, weights=probs, minlength=n_bins)[filled]
    counts = counts[filled]
    return CalibrationBins(counts, sums / counts, n_lenses / counts)


def expected_calibration_error(
    labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], n_bins: int = N_CALIBRATION_BINS
) -> float:
    """Mean distance between the fraction of lenses and the mean probability, over bins of probability.

    Parameters
    ----------
    labels, probs, n_bins
        See `calibration_bins`; at least one object.

    Returns
    -------
    float
        From 0, calibrated, to 1.

    Notes
    -----
    ECE = sum over bins of (objects / all objects) abs(fraction of lenses - mean probability):
    Naeini, Cooper & Hauskrecht (2015), "Obtaining Well Calibrated Probabilities Using Bayesian Binning",
    AAAI 29, for binary labels, where the probability is that of the positive class; number and edges of bins
    as in eq. 3 of Guo et al. (2017), "On Calibration of Modern Neural Networks", ICML, PMLR 70. The original
    pipeline compared the accuracy of the decision at 0.5 with the mean probability of the positive class,
    which is large for any good classifier.
    """
    bins = calibration_bins(labels, probs, n_bins)
    return float(np.sum(bins.counts * np.abs(bins.lens_fractions - bins.mean_probs)) / len(probs))


def metrics_at(labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], threshold: float) -> Metrics:
    """Compute all metrics of one set of objects.

    Parameters
    ----------
    labels : ndarray of int64, shape (n_objects,)
        1 lens, 0 none.
    probs : ndarray of float64, shape (n_objects,)
        Probabilities, from 0 to 1, no NaN.
    threshold : float
        An object is called a lens if its probability is at least this.

    Returns
    -------
    dict
        accuracy, precision, recall, f1, precision_macro, recall_macro, f1_macro, balanced_accuracy,
        specificity, mcc, brier, roc_auc, pr_auc (average precision), ece, threshold, tn, fp, fn, tp. A ratio
        of 0 to 0, and an area under a curve of one class, is undefined: None.
    """
    is_lens = labels == 1
    called_lens = probs >= threshold
    tp = int(np.count_nonzero(is_lens & called_lens))
    fp = int(np.count_nonzero(called_lens)) - tp
    fn = int(np.count_nonzero(is_lens)) - tp
    tn = len(labels) - tp - fp - fn
    precision, recall, f1 = _ratio(tp, tp + fp), _ratio(tp, tp + fn), _ratio(2 * tp, 2 * tp + fp + fn)
    specificity = _ratio(tn, tn + fp)
    both_classes = tp + fn > 0 and tn + fp > 0
    # Integers without bound: the product of four counts may exceed 64 bits.
    mcc_scale = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return {
        "accuracy": _ratio(tp + tn, len(labels)),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "precision_macro": _mean(precision, _ratio(tn, tn + fn)),
        "recall_macro": _mean(recall, specificity),
        "f1_macro": _mean(f1, _ratio(2 * tn, 2 * tn + fp + fn)),
        "balanced_accuracy": _mean(recall, specificity),
        "specificity": specificity,
        "mcc": (tp * tn - fp * fn) / sqrt(mcc_scale) if mcc_scale else None,
        "brier": float(np.mean((probs - labels) ** 2)) if len(labels) else None,
        "roc_auc": float(roc_auc_score(labels, probs)) if both_classes else None,
        "pr_auc": float(average_precision_score(labels, probs)) if both_classes else None,
        "ece": expected_calibration_error(labels, probs) if len(labels) else None,
        "threshold": float(threshold),
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
    }


def metrics_by_domain(
    labels: npt.NDArray[np.int64],
    probs: npt.NDArray[np.float64],
    threshold: float,
    domains: npt.NDArray[np.object_] | None = None,
) -> dict[str, Metrics]:
    """Compute the metrics of all objects and of those of each domain.

    Parameters
    ----------
    labels, probs, threshold
        See `metrics_at`.
    domains : ndarray of str, shape (n_objects,), optional
        Domain of each object.

    Returns
    -------
    dict
        `global`, and `domain::NAME` for each domain there is but `unknown`, in order of their names.
    """
    found: dict[str, Metrics] = {"global": metrics_at(labels, probs, threshold)}
    for domain, chosen in objects_by_domain(domains).items():
        found[f"domain::{domain}"] = metrics_at(labels[chosen], probs[chosen], threshold)
    return found


def objects_by_domain(domains: npt.NDArray[np.object_] | None) -> Mapping[str, npt.NDArray[np.bool_]]:
    """For each known domain, in order of their names, which objects are of it."""
    if domains is None:
        return {}
    return {name: domains == name for name in sorted(set(domains) - DOMAINS_OF_NOTHING)}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else (one + other) / 2
