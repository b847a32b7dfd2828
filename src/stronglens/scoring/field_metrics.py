"""Metrics of the lens-finding field: how many lenses are found at very few false alarms."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stronglens.formats.digits import with_limits
from stronglens.scoring.bootstrap import Ranked, interval, resamples
from stronglens.scoring.few_counts import (
    CONFIDENCE,
    FEW,
    FEW_ALLOWED,
    Confusion,
    confusion_at,
    exact_intervals,
    independent_share,
    proportion_interval,
    tpr_interval_by_rank,
)
from stronglens.scoring.metrics import objects_by_domain
from stronglens.scoring.operating_points import Counts, allowed_by, fbeta_of, most_found, purity_of
from stronglens.settings.decide import EvaluateSettings

Floats = npt.NDArray[np.float64]

FALSE_POSITIVE_RATES = (1e-1, 1e-2, 1e-3)


def field_metrics(
    labels: npt.NDArray[np.int64],
    probs: Floats,
    threshold: float,
    settings: EvaluateSettings,
    objects: npt.NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Compute the field's metrics of one set of objects, with confidence intervals.

    Parameters
    ----------
    labels : ndarray of int64, shape (n_objects,)
        1 lens, 0 none.
    probs : ndarray of float64, shape (n_objects,)
        Probabilities, from 0 to 1, no NaN.
    threshold : float
        An object is called a lens if its probability is at least this.
    settings : EvaluateSettings
        Prevalences, beta, purity.
    objects : ndarray of int64, shape (n_objects,), optional
        See `stronglens.scoring.bootstrap.resamples`.

    Returns
    -------
    dict
        `n_lenses`, `n_others`; `tpr_at_fpr_0.1`, `tpr_at_fpr_0.01`, `tpr_at_fpr_0.001`: the highest true
        positive rate at a false positive rate of no more; `tpr0`, `tpr10`: before the first and the tenth
        false positive; `completeness` at the threshold; and for each prevalence P `purity@P`, `fbeta@P` (both
        at the threshold), `highest_fbeta@P` and `completeness_at_purity@P`. `intervals` has [low, high] for
        each. What is undefined, as all of a set of one class, is None.

    Notes
    -----
    TPR0 and TPR10: Metcalf et al. (2019), A&A 625, A119, "The strong gravitational lens finding challenge".
    A rate that is smaller than 1 / n_others allows no false positive at all: TPR at FPR 0.001 is TPR0 where
    there are fewer than 1000 non-lenses.

    The intervals are percentiles of resampled objects, as of all other metrics, where that can be: true
    positive rates at so low a false positive rate that fewer than `FEW_ALLOWED` non-lenses are allowed have
    intervals by rank (of TPR0: for a false positive rate of 1 / n_others), those at the threshold exact ones
    where few objects decide, and what is best at a threshold that fewer than `FEW_ALLOWED` non-lenses pass
    has none.
    """
    ranked = Ranked(labels, probs)
    once = np.ones(len(labels), dtype=np.int64)
    value = _values(ranked, once, threshold, settings)
    found = [_values(ranked, weights, threshold, settings) for weights in resamples(len(labels), objects)]
    n_lenses = int(np.count_nonzero(labels))
    return {
        "n_lenses": n_lenses,
        "n_others": len(labels) - n_lenses,
        "threshold": float(threshold),
        "beta": settings.beta,
        "purity_wanted": settings.purity,
        **{name: one if np.isfinite(one) else None for name, one in value.items()},
        "intervals": {
            "confidence": CONFIDENCE,
            "n_resamples": len(found),
            **{name: interval(np.array([one[name] for one in found])) for name in value},
            **_intervals_by_few(
                *ranked.counts(once),
                confusion_at(labels, probs, threshold),
                settings,
                independent_share(objects),
            ),
        },
    }


def field_metrics_by_domain(
    labels: npt.NDArray[np.int64],
    probs: Floats,
    threshold: float,
    settings: EvaluateSettings,
    domains: npt.NDArray[np.object_] | None = None,
    objects: npt.NDArray[np.int64] | None = None,
) -> dict[str, dict[str, Any]]:
    """The field's metrics of all objects and of those of each domain, under the names of
    `stronglens.scoring.metrics.metrics_by_domain`.
    """
    found = {"global": field_metrics(labels, probs, threshold, settings, objects)}
    for domain, chosen in objects_by_domain(domains).items():
        inside = None if objects is None else np.unique(objects[chosen], return_inverse=True)[1]
        found[f"domain::{domain}"] = field_metrics(labels[chosen], probs[chosen], threshold, settings, inside)
    return found


def tpr_with_few_false_positives(tp: Counts, fp: Counts, most_false: float) -> float:
    """Highest true positive rate with no more than so many false positives; 0 where every threshold has more.

    Parameters
    ----------
    tp, fp : ndarray of int64, shape (n_thresholds,)
        See `stronglens.scoring.operating_points.Choose`.
    most_false : float
        Number of false positives that are allowed.
    """
    return most_found(tp, fp, most_false) / float(tp[-1])


def completeness_by(
    values: Floats, called: npt.NDArray[np.bool_], n_bins: int, objects: npt.NDArray[np.int64] | None = None
) -> list[dict[str, Any]]:
    """Fraction of lenses that are found, in bins of one of their properties.

    Parameters
    ----------
    values : ndarray of float64, shape (n_lenses,)
        The property; lenses for which it is NaN are left out.
    called : ndarray of bool, shape (n_lenses,)
        Whether the lens is called one.
    n_bins : int
        Bins with as many lenses in each, as far as equal values allow; fewer where there are too few.
    objects : ndarray of int64, shape (n_lenses,), optional
        See `stronglens.scoring.bootstrap.resamples`.

    Returns
    -------
    list of dict
        For each bin `low`, `high` (which belongs to the bin), `n_lenses`, `completeness`, `interval` (exact
        where fewer than `FEW` are found or missed).
    """
    known = np.isfinite(values)
    values, called = values[known], called[known]
    if not len(values):
        return []
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)))
    bins = np.digitize(values, edges[1:-1], right=True)
    n_filled = max(len(edges) - 1, 1)
    inside = None if objects is None else np.unique(objects[known], return_inverse=True)[1]
    share = independent_share(inside)
    drawn = []
    for weights in resamples(len(values), inside):
        n_drawn = np.bincount(bins, weights=weights, minlength=n_filled)
        n_found = np.bincount(bins, weights=weights * called, minlength=n_filled)
        drawn.append(np.divide(n_found, n_drawn, out=np.full(n_filled, np.nan), where=n_drawn > 0))
    resampled = np.array(drawn)
    return [
        {
            "low": float(edges[number]),
            "high": float(edges[min(number + 1, len(edges) - 1)]),
            "n_lenses": int(np.count_nonzero(bins == number)),
            "completeness": float(np.mean(called[bins == number])),
            "interval": _completeness_interval(called[bins == number], resampled[:, number], share),
        }
        for number in range(n_filled)
        if (bins == number).any()
    ]


def _completeness_interval(
    called: npt.NDArray[np.bool_], resampled: Floats, independent: float
) -> list[float] | None:
    n_found, n = int(np.count_nonzero(called)), len(called)
    if min(n_found, n - n_found) >= FEW:
        return interval(resampled)
    return [*proportion_interval(independent * n_found, independent * n)]


def _values(
    ranked: Ranked, weights: npt.NDArray[np.int64], threshold: float, settings: EvaluateSettings
) -> dict[str, float]:
    """Each metric of the objects so counted; NaN where it is undefined."""
    tp, fp = ranked.counts(weights)
    drawn = tp + fp > 0
    tp, fp, probs = tp[drawn], fp[drawn], ranked.thresholds[drawn]
    names = [f"tpr_at_fpr_{rate:g}" for rate in FALSE_POSITIVE_RATES] + ["tpr0", "tpr10", "completeness"]
    names += [
        f"{name}@{prevalence:g}"
        for prevalence in settings.prevalences
        for name in ("purity", "fbeta", "highest_fbeta", "completeness_at_purity")
    ]
    if not len(tp) or not tp[-1] or not fp[-1]:
        return dict.fromkeys(names, float("nan"))
    index = int(np.searchsorted(-probs, -threshold, side="right")) - 1
    completeness = tp / tp[-1]
    most = [allowed_by(rate, fp) for rate in FALSE_POSITIVE_RATES] + [0, 9]
    values = [tpr_with_few_false_positives(tp, fp, one) for one in most]
    values.append(float(completeness[index]) if index >= 0 else 0.0)
    for prevalence in settings.prevalences:
        purity = purity_of(tp, fp, prevalence)
        scores = fbeta_of(purity, completeness, settings.beta)
        values += [
            float(purity[index]) if index >= 0 else float("nan"),
            float(scores[index]) if index >= 0 else 0.0,
            float(scores.max()),
            float(np.max(completeness, where=purity >= settings.purity, initial=0)),
        ]
    return dict(zip(names, values, strict=True))


def _intervals_by_few(
    tp: Counts, fp: Counts, confusion: Confusion, settings: EvaluateSettings, independent: float
) -> dict[str, list[float] | None]:
    """The intervals that resampling cannot give; those of the other metrics are not among them."""
    if not len(tp) or not tp[-1] or not fp[-1]:
        return {}
    rates = {f"tpr_at_fpr_{rate:g}": rate for rate in FALSE_POSITIVE_RATES} | {"tpr0": 1 / fp[-1]}
    intervals: dict[str, list[float] | None] = {
        name: tpr_interval_by_rank(tp, fp, rate, independent)
        for name, rate in rates.items()
        if name == "tpr0" or allowed_by(rate, fp) < FEW_ALLOWED
    }
    exact = exact_intervals(confusion, independent)
    if exact:
        intervals["completeness"] = exact["recall"]
    for prevalence in settings.prevalences:
        purity = purity_of(tp, fp, prevalence)
        fbeta = fbeta_of(purity, tp / tp[-1], settings.beta)
        if fp[int(np.argmax(fbeta))] < FEW_ALLOWED:
            intervals[f"highest_fbeta@{prevalence:g}"] = None
        pure = purity >= settings.purity
        if not pure.any() or fp[int(np.argmax(np.where(pure, tp, -1)))] < FEW_ALLOWED:
            intervals[f"completeness_at_purity@{prevalence:g}"] = None
        if exact:
            ends = [
                _at_threshold(corner, prevalence, settings.beta) for corner in confusion.corners(independent)
            ]
            called = confusion.tp + confusion.fp > 0
            intervals[f"purity@{prevalence:g}"] = [end[0] for end in ends] if called else None
            intervals[f"fbeta@{prevalence:g}"] = [end[1] for end in ends]
    return intervals


def _at_threshold(confusion: Confusion, prevalence: float, beta: float) -> tuple[float, float]:
    """Purity and F-beta of what a threshold decides, in a sky of that prevalence."""
    recall = confusion.tp / (confusion.tp + confusion.fn)
    lenses = prevalence * recall
    nonlenses = (1 - prevalence) * confusion.fp / (confusion.fp + confusion.tn)
    purity = lenses / (lenses + nonlenses) if lenses + nonlenses else 0.0
    return purity, float(fbeta_of(np.array([purity]), np.array([recall]), beta)[0])


def in_words(metrics: Mapping[str, Any]) -> str:
    """The true positive rates at few false positives with their confidence intervals, in a line."""
    words = []
    for name, label in (("tpr_at_fpr_0.01", "TPR at FPR 0.01"), ("tpr0", "TPR0"), ("tpr10", "TPR10")):
        words.append(f"{label} {with_limits(metrics[name], metrics['intervals'][name])}")
    return ", ".join(words)
