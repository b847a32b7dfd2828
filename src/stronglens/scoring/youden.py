"""The threshold with the highest Youden's J."""

import numpy as np
import numpy.typing as npt

from stronglens.scoring.operating_points import highest_youden, operating_points


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
    falling, true, false = operating_points(labels, probs)
    return float(falling[highest_youden(true, false)])
