"""The threshold with the highest Youden's J."""

import numpy as np
import numpy.typing as npt

from stronglens.errors import InputError


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
    J P N = TP N - FP P, for P lenses and N others, so that rounding cannot decide between two thresholds.
    """
    n_lenses = int(np.count_nonzero(labels))
    n_others = len(labels) - n_lenses
    if not n_lenses or not n_others:
        raise InputError(
            "labels: a threshold needs objects of both classes, "
            f"found {n_lenses} lenses and {n_others} non-lenses"
        )
    order = np.argsort(-probs, kind="stable")
    falling = probs[order]
    last_of_equals = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    true_positives = np.cumsum(labels[order], dtype=np.int64)[last_of_equals]
    false_positives = last_of_equals + 1 - true_positives
    scaled_j = true_positives * n_others - false_positives * n_lenses
    return float(falling[last_of_equals[np.argmax(scaled_j)]])
