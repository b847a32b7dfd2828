"""Whether probabilities tell lenses from non-lenses at all."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from stronglens.formats.digits import with_limits
from stronglens.running.errors import InputError

ROUNDING = 1e-5
"""Logits that differ by less are equal but for float32's rounding: networks give some ten units, and order of
sums, size of batches and compilation move them by a few 1e-7 of that."""

LARGEST_SHARE = 0.1
"""Of the objects that rounding may move across t*. Of spread probabilities it moves about one in 100,000."""

CHANCE = 0.5
"""Area under the ROC curve of scores that know nothing."""


def refuse_rounding_noise(source: str, probs: npt.NDArray[np.float64], threshold: float) -> None:
    """Refuse a threshold that rounding decides on: of a network that has learnt nothing.

    Parameters
    ----------
    source : str
        Whose probabilities, for the error.
    probs : ndarray of float64, shape (n_objects,)
        From 0 to 1. Probabilities that are exactly the threshold, as a calibration by steps gives them, are
        on one side of it.
    threshold : float
        Chosen on them.

    Raises
    ------
    InputError
        All probabilities are equal, but for rounding; or a tenth of them differ from the threshold by no
        more than that.
    """
    hint = (
        "the networks have learnt nothing: look at their training_log.csv and at the input (make report), "
        "then train again"
    )
    if _logits(probs.max()) - _logits(probs.min()) <= ROUNDING:
        raise InputError(
            f"{source}: expected probabilities that differ, found {threshold:.6g} for all {len(probs)} rows; "
            f"{hint}"
        )
    near = (np.abs(_logits(probs) - _logits(threshold)) <= ROUNDING) & (probs != threshold)
    if np.mean(near) >= LARGEST_SHARE:
        raise InputError(
            f"{source}: expected a threshold that tells objects apart, found t* = {threshold!r} within the "
            f"rounding of the probabilities of {np.count_nonzero(near)} of {len(probs)} rows; {hint}"
        )


def chance_warning(metrics: Mapping[str, Any]) -> str | None:
    """What to warn of where the ranking may be by chance, or the wrong way round; else None.

    Parameters
    ----------
    metrics : mapping
        A block of `metrics_*.json`: `roc_auc`, and its interval under `intervals`. Nothing is said of
        objects of one class, for which it is None.
    """
    area, interval = metrics["roc_auc"], metrics["intervals"]["roc_auc"]
    lowest = area if interval is None else interval[0]
    if area is None or lowest > CHANCE:
        return None
    return (
        f"AUC {with_limits(area, interval)} is not above {CHANCE:g} beyond doubt: the probabilities may not "
        "tell lenses from non-lenses, or do so the wrong way round (are the labels?), and no threshold helps"
    )


def _logits(probs: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
    """Logits; 0 and 1 are brought to the nearest that have one."""
    return np.asarray(logit(np.clip(probs, np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg)))
