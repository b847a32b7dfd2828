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
        return lambda true, false: _highest_fbeta(true, false, settings)
    if settings.method == "fpr":
        return lambda true, false: _most_lenses(true, false <= allowed_by(settings.fpr, false))
    return lambda true, false: _most_lenses(
        true, purity_of(true, false, settings.prevalence) >= settings.purity
    )


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
    falling, true, false = operating_points(labels, probs)
    place = chooser(settings)(true, false)
    if place is None:
        wanted = getattr(settings, settings.method)
        raise InputError(
            f"threshold: expected one with {settings.method} {wanted:g}, found none: of the objects with the "
            f"highest probability ({falling[0]:.4f}) {true[0]} are lenses and {false[0]} are not, of all "
            f"{true[-1]} and {false[-1]}; ask for less, or validate on more objects"
        )
    return float(falling[place])


def _highest_fbeta(true: Counts, false: Counts, settings: ThresholdSettings) -> int:
    purity = purity_of(true, false, settings.prevalence)
    fbeta = fbeta_of(purity, true / true[-1], settings.beta)
    return int(np.argmax(fbeta >= fbeta.max() * (1 - EQUAL)))


def _most_lenses(true: Counts, allowed: npt.NDArray[np.bool_]) -> int | None:
    place = int(np.argmax(np.where(allowed, true, -1)))
    return place if allowed[place] and true[place] > 0 else None
