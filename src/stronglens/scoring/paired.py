"""Metrics of one ensemble and of another on the same resampled objects, and what lies between them."""

from itertools import chain

import numpy as np
import numpy.typing as npt

from stronglens.formats.score_files import Measured
from stronglens.running.errors import InputError
from stronglens.scoring.bootstrap import Ranked, interval, number_of_resamples, resamples
from stronglens.scoring.field_metrics import tpr_with_few_false_positives
from stronglens.scoring.operating_points import allowed_by
from stronglens.scoring.scored import Scored

METRICS = ("roc_auc", "accuracy", "recall", "specificity")
FALSE_POSITIVE_RATE = 0.01

Values = dict[str, npt.NDArray[np.float64]]
"""By name of the metric, its value for all objects and then for each resample; NaN where undefined."""


def resampled(
    scored: Scored, threshold: float, inside: npt.NDArray[np.bool_], n_resamples: int, *, seed: int
) -> Values:
    """Measure `METRICS`, and the completeness at a low false-positive rate, of some objects.

    Parameters
    ----------
    scored : Scored
        Objects, with labels and probabilities.
    threshold : float
        t*, for accuracy, recall and specificity.
    inside : ndarray of bool, shape (n_objects,)
        Those that count, at least one.
    n_resamples : int
        How often objects are drawn.
    seed : int
        The same objects are drawn for the same seed and the same `inside`.
    """
    ranked = Ranked(scored.labels[inside], scored.probs[inside])
    objects = None if scored.objects is None else np.unique(scored.objects[inside], return_inverse=True)[1]
    n_rows = int(np.count_nonzero(inside))
    drawn = resamples(n_rows, objects, n_resamples, seed=seed)
    found: dict[str, list[float]] = {}
    for weights in chain([np.ones(n_rows, dtype=np.int64)], drawn):
        values = ranked.metrics(weights, threshold)
        chosen = {name: values[name] for name in METRICS}
        chosen[f"tpr_at_fpr_{FALSE_POSITIVE_RATE:g}"] = _tpr(ranked, weights)
        for name, value in chosen.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def less(one: Values, other: Values) -> Values:
    """What the one has more than the other, resample by resample."""
    return {name: values - other[name] for name, values in one.items()}


def measured_of(values: Values) -> dict[str, Measured]:
    """Each value, and its interval from the resamples."""
    return {
        name: Measured(
            value=float(of_all[0]) if np.isfinite(of_all[0]) else None, interval=interval(of_all[1:])
        )
        for name, of_all in values.items()
    }


def number_of_draws(one: Scored, other: Scored) -> int:
    """How often objects are drawn that two ensembles have scored.

    Raises
    ------
    InputError
        The two tables are not of the same objects in the same order.
    """
    if one.names is None or other.names is None or not np.array_equal(one.names, other.names):
        raise InputError("expected the same objects scored by both ensembles, found others")
    return number_of_resamples(len(np.unique(one.names)))


def lost(
    scored: Scored, threshold: float, reference: Scored, reference_threshold: float
) -> dict[str, dict[str, Measured]]:
    """Compare an ensemble with another, the reference, on the same objects.

    Parameters
    ----------
    scored, reference : Scored
        The same objects, scored by either.
    threshold, reference_threshold : float
        The t* of either.

    Returns
    -------
    dict
        `own`, `reference`, and `lost`, the latter less the former: by name of the metric, with intervals from
        objects that are drawn for both alike.

    Raises
    ------
    InputError
        The two tables are not of the same objects.
    """
    everywhere, n_resamples = np.ones(len(scored.labels), dtype=bool), number_of_draws(scored, reference)
    own = resampled(scored, threshold, everywhere, n_resamples, seed=1)
    other = resampled(reference, reference_threshold, everywhere, n_resamples, seed=1)
    return {
        "own": measured_of(own),
        "reference": measured_of(other),
        "lost": measured_of(less(other, own)),
    }


def _tpr(ranked: Ranked, weights: npt.NDArray[np.int64]) -> float:
    tp, fp = ranked.counts(weights)
    if not tp[-1] or not fp[-1]:
        return float("nan")
    return tpr_with_few_false_positives(tp, fp, allowed_by(FALSE_POSITIVE_RATE, fp))
