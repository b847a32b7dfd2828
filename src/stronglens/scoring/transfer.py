"""How much is lost where networks that learnt from one domain look at another."""

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stronglens.formats.score_files import Measured, Transfer
from stronglens.running.errors import InputError
from stronglens.scoring.bootstrap import Ranked, interval, number_of_resamples, resamples
from stronglens.scoring.digits import with_limits
from stronglens.scoring.few_counts import CONFIDENCE
from stronglens.scoring.field_metrics import tpr_with_few_false_positives
from stronglens.scoring.operating_points import allowed_by
from stronglens.scoring.scored import Scored
from stronglens.settings.domains import side

log = logging.getLogger(__name__)

METRICS = ("roc_auc", "accuracy", "recall", "specificity")
FALSE_POSITIVE_RATE = 0.01

Values = dict[str, npt.NDArray[np.float64]]
"""By name of the metric, its value for all objects and then for each resample; NaN where undefined."""


def measure_transfer(
    scored: Scored,
    threshold: float,
    reference: Scored,
    reference_threshold: float,
    out: Path,
    *,
    source: Sequence[str],
    target: Sequence[str],
) -> None:
    """Compare what networks of one domain find there and in another domain.

    Parameters
    ----------
    scored : Scored
        Held-out objects of all domains, scored by networks that learnt from `source` alone.
    threshold : float
        Their t*, chosen on validation objects of `source`.
    reference : Scored
        The same objects, scored by networks that learnt from all domains.
    reference_threshold : float
        Their t*.
    out : Path
        JSON file. `in_domain`: metrics on `source`; `cross_domain`: on `target`; `drop`: what is lost on the
        way, the one less the other; `reference`: metrics on `target` of the networks that learnt from all;
        `gap`: what those find more there. Each with its confidence interval, from resampled objects: those of
        the two domains are drawn independently, those of a gap are the same for both.
    source, target : sequence of str
        The domains of either side.

    Raises
    ------
    InputError
        A domain has no objects, or the two tables are not of the same objects.
    """
    if scored.names is None or reference.names is None or not np.array_equal(scored.names, reference.names):
        raise InputError("expected the same objects scored by both ensembles, found others")
    # The same number for both domains, also where one is so large that it needs fewer.
    n_resamples = number_of_resamples(len(np.unique(scored.names)))
    # Objects of the two sides are drawn independently, also where there are as many of each.
    in_domain = _values(scored, threshold, source, n_resamples, seed=1)
    cross_domain = _values(scored, threshold, target, n_resamples, seed=2)
    of_reference = _values(reference, reference_threshold, target, n_resamples, seed=2)
    drop = _less(in_domain, cross_domain)
    stated = Transfer(
        source=side(source),
        target=side(target),
        confidence=CONFIDENCE,
        n_resamples=n_resamples,
        n_objects={side(one): int(np.count_nonzero(_inside(scored, one))) for one in (source, target)},
        in_domain=_measured(in_domain),
        cross_domain=_measured(cross_domain),
        drop=_measured(drop),
        reference=_measured(of_reference),
        gap=_measured(_less(of_reference, cross_domain)),
    )
    stated.write(out)
    for name in ("roc_auc", f"tpr_at_fpr_{FALSE_POSITIVE_RATE:g}"):
        log.info(
            "%s of networks trained on %s: %s there, %s on %s: a drop of %s; trained on all: %s",
            name,
            stated.source,
            _in_words(stated.in_domain[name]),
            _in_words(stated.cross_domain[name]),
            stated.target,
            _in_words(stated.drop[name]),
            _in_words(stated.reference[name]),
        )


def _values(
    scored: Scored, threshold: float, domains: Sequence[str], n_resamples: int, *, seed: int
) -> Values:
    inside = _inside(scored, domains)
    if not inside.any():
        raise InputError(f"domain {side(domains)}: expected scored objects, found none")
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


def _tpr(ranked: Ranked, weights: npt.NDArray[np.int64]) -> float:
    tp, fp = ranked.counts(weights)
    if not tp[-1] or not fp[-1]:
        return float("nan")
    return tpr_with_few_false_positives(tp, fp, allowed_by(FALSE_POSITIVE_RATE, fp))


def _inside(scored: Scored, domains: Sequence[str]) -> npt.NDArray[np.bool_]:
    if scored.domains is None:
        raise InputError("expected a table with a column domain, found none")
    return np.isin(scored.domains, list(domains))


def _less(one: Values, other: Values) -> Values:
    return {name: values - other[name] for name, values in one.items()}


def _measured(values: Values) -> dict[str, Measured]:
    return {
        name: Measured(
            value=float(of_all[0]) if np.isfinite(of_all[0]) else None, interval=interval(of_all[1:])
        )
        for name, of_all in values.items()
    }


def _in_words(measured: Measured) -> str:
    if measured.value is None or measured.interval is None:
        return "undefined"
    return with_limits(measured.value, measured.interval)
