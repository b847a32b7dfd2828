"""How much is lost where networks that learnt from one domain look at another."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stronglens.formats.digits import with_limits
from stronglens.formats.score_files import Measured, Transfer
from stronglens.running.errors import InputError
from stronglens.scoring.few_counts import CONFIDENCE
from stronglens.scoring.paired import (
    FALSE_POSITIVE_RATE,
    Values,
    less,
    measured_of,
    number_of_draws,
    resampled,
)
from stronglens.scoring.scored import Scored
from stronglens.settings.domains import side

log = logging.getLogger(__name__)


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
    # The same number for both domains, also where one is so large that it needs fewer.
    n_resamples = number_of_draws(scored, reference)
    # Objects of the two sides are drawn independently, also where there are as many of each.
    in_domain = _values(scored, threshold, source, n_resamples, seed=1)
    cross_domain = _values(scored, threshold, target, n_resamples, seed=2)
    of_reference = _values(reference, reference_threshold, target, n_resamples, seed=2)
    drop = less(in_domain, cross_domain)
    stated = Transfer(
        source=side(source),
        target=side(target),
        confidence=CONFIDENCE,
        n_resamples=n_resamples,
        n_objects={side(one): int(np.count_nonzero(_inside(scored, one))) for one in (source, target)},
        in_domain=measured_of(in_domain),
        cross_domain=measured_of(cross_domain),
        drop=measured_of(drop),
        reference=measured_of(of_reference),
        gap=measured_of(less(of_reference, cross_domain)),
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
    return resampled(scored, threshold, inside, n_resamples, seed=seed)


def _inside(scored: Scored, domains: Sequence[str]) -> npt.NDArray[np.bool_]:
    if scored.domains is None:
        raise InputError("expected a table with a column domain, found none")
    return np.isin(scored.domains, list(domains))


def _in_words(measured: Measured) -> str:
    if measured.value is None or measured.interval is None:
        return "undefined"
    return with_limits(measured.value, measured.interval)
