"""Choosing a threshold as the settings say."""

import numpy as np
import numpy.typing as npt

from stronglens.running.errors import InputError
from stronglens.scoring.operating_points import (
    Choose,
    Counts,
    allowed_by,
    fbeta_of,
    highest_youden,
    operating_points,
    purity_of,
)
from stronglens.settings.decide import MEMBER_METHODS, ThresholdSettings

EQUAL = 1e-12
"""Relative: F-betas that differ by less are equal but for rounding."""


def chooser(settings: ThresholdSettings) -> Choose:
    """What chooses a threshold as the settings say; that of Youden's J where they start from members."""
    if settings.method == "youden" or settings.method in MEMBER_METHODS:
        return highest_youden
    if settings.method == "fbeta":
        return lambda tp, fp: _highest_fbeta(tp, fp, settings)
    if settings.method == "fpr":
        return lambda tp, fp: _most_lenses(tp, fp <= allowed_by(settings.fpr, fp))
    return lambda tp, fp: _most_lenses(tp, purity_of(tp, fp, settings.prevalence) >= settings.purity)


def best_threshold(
    labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], settings: ThresholdSettings
) -> float:
    """Choose the threshold.

    Parameters
    ----------
    labels : ndarray of int64, shape (n_objects,)
        1 lens, 0 none.
    probs : ndarray of float64, shape (n_objects,)
        Probabilities, no NaN.
    settings : ThresholdSettings
        The method.

    Returns
    -------
    float
        One of `probs`: an object is called a lens if its probability is at least this.

    Raises
    ------
    InputError
        There are no lenses, or nothing but lenses; or no threshold meets what is asked for.
    """
    falling, tp, fp = operating_points(labels, probs)
    index = chooser(settings)(tp, fp)
    if index is None:
        wanted = getattr(settings, settings.method)
        raise InputError(
            f"threshold: expected one with {settings.method} {wanted:g}, found none: of the objects with the "
            f"highest probability ({falling[0]:.4f}) {tp[0]} are lenses and {fp[0]} are not, of all "
            f"{tp[-1]} and {fp[-1]}; ask for less, or validate on more objects"
        )
    return float(falling[index])


def _highest_fbeta(tp: Counts, fp: Counts, settings: ThresholdSettings) -> int:
    purity = purity_of(tp, fp, settings.prevalence)
    fbeta = fbeta_of(purity, tp / tp[-1], settings.beta)
    return int(np.argmax(fbeta >= fbeta.max() * (1 - EQUAL)))


def _most_lenses(tp: Counts, allowed: npt.NDArray[np.bool_]) -> int | None:
    index = int(np.argmax(np.where(allowed, tp, -1)))
    return index if allowed[index] and tp[index] > 0 else None
