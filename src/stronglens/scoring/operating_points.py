"""Thresholds, and the true and false positives that each gives."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from stronglens.running.errors import InputError

Counts = npt.NDArray[np.int64]

Choose = Callable[[Counts, Counts], int | None]
"""Takes true and false positives at falling thresholds, shape (n_thresholds,), the last of which lets all
objects pass; both classes are there. Gives the index of the best threshold, of equals the highest; None if
none will do."""

_ROUNDING = 1e-9
"""Objects: far less than one, and more than floats round numbers of up to a million by."""


def operating_points(
    labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], Counts, Counts]:
    """All distinct probabilities, falling, and the true and false positives with each as the threshold.

    Parameters
    ----------
    labels : ndarray of int64, shape (n_objects,)
        1 lens, 0 none; both must occur.
    probs : ndarray of float64, shape (n_objects,)
        Probabilities, no NaN.

    Returns
    -------
    probs, tp, fp : ndarray, shape (n_thresholds,)

    Raises
    ------
    InputError
        There are no lenses, or nothing but lenses.
    """
    n_lenses = int(np.count_nonzero(labels))
    if not 0 < n_lenses < len(labels):
        raise InputError(
            "labels: a threshold needs objects of both classes, "
            f"found {n_lenses} lenses and {len(labels) - n_lenses} non-lenses"
        )
    order = np.argsort(-probs, kind="stable")
    falling = probs[order]
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    tp = np.cumsum(labels[order], dtype=np.int64)[ends]
    return falling[ends], tp, ends + 1 - tp


def highest_youden(tp: Counts, fp: Counts) -> int:
    """The index of the highest Youden's J (see `youden_threshold`)."""
    return int(np.argmax(tp * fp[-1] - fp * tp[-1]))


def youden_threshold(labels: npt.NDArray[np.int64], probs: npt.NDArray[np.float64]) -> float:
    """Find the threshold with the highest Youden's J, exactly.

    Parameters
    ----------
    labels : ndarray of int64, shape (n_objects,)
        1 lens, 0 none; both must occur.
    probs : ndarray of float64, shape (n_objects,)
        Probabilities, from 0 to 1, no NaN.

    Returns
    -------
    float
        One of `probs`: an object is called a lens if its probability is at least this. All distinct
        probabilities are tried. Of several with the same J it is the highest, which calls the fewest
        objects lenses.

    Raises
    ------
    InputError
        There are no lenses, or nothing but lenses.

    Notes
    -----
    J = true positive rate - false positive rate (Youden 1950, Cancer 3, 32). It is compared as the integer
    J P N = TP N - FP P, for P lenses and N non-lenses, so that rounding cannot decide between two thresholds.
    """
    falling, tp, fp = operating_points(labels, probs)
    return float(falling[highest_youden(tp, fp)])


def allowed_by(rate: float, fp: Counts) -> float:
    """How many false positives a false positive rate allows.

    Parameters
    ----------
    rate : float
        From 0 to 1.
    fp : ndarray of int64, shape (n_thresholds,)
        See `Choose`.

    Returns
    -------
    float
        Not rounded down. A rate times a number of objects may come out below the whole number that it is, and
        so this is a very little more.
    """
    return float(rate * fp[-1] + _ROUNDING)


def most_found(tp: Counts, fp: Counts, most_false: float) -> int:
    """Most lenses that a threshold finds with no more than so many false positives; 0 where all have more."""
    return int(np.max(tp, where=fp <= most_false, initial=0))


def purity_of(tp: Counts, fp: Counts, prevalence: float | None) -> npt.NDArray[np.float64]:
    """Fraction of lenses among what is called a lens.

    Parameters
    ----------
    tp, fp : ndarray of int64, shape (n_thresholds,)
        See `Choose`; at each threshold at least one object passes.
    prevalence : float or None
        Fraction of lenses in the sky, between 0 and 1: the two rates are those of the objects, the numbers
        of each class those of the sky. None takes the objects as the sky.

    Returns
    -------
    ndarray of float64, shape (n_thresholds,)
        From 0 to 1.
    """
    if prevalence is None:
        return np.asarray(tp / (tp + fp))
    of_lenses = prevalence * tp / tp[-1]
    return np.asarray(of_lenses / (of_lenses + (1 - prevalence) * fp / fp[-1]))


def fbeta_of(
    purity: npt.NDArray[np.float64], completeness: npt.NDArray[np.float64], beta: float
) -> npt.NDArray[np.float64]:
    """F-beta of purity P and completeness C, (1 + beta^2) P C / (beta^2 P + C); 0 where both are 0.

    Notes
    -----
    van Rijsbergen (1979), "Information Retrieval", ch. 7.
    """
    weighted = beta**2 * purity + completeness
    return np.asarray((1 + beta**2) * purity * completeness / np.where(weighted > 0, weighted, 1))
