"""Uncertainties of fractions of few objects."""

import numpy as np
import numpy.typing as npt


def score_interval(
    fractions: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Ends of the 68 % score interval of binomial fractions.

    Parameters
    ----------
    fractions : ndarray of float64, shape (n,)
        From 0 to 1.
    counts : ndarray of int64, shape (n,)
        Of how many; at least 1.

    Notes
    -----
    Wilson (1927), J. Am. Stat. Assoc. 22, 209, with z = 1.
    """
    middle = (fractions + 0.5 / counts) / (1 + 1 / counts)
    half = np.sqrt(fractions * (1 - fractions) / counts + 0.25 / counts**2) / (1 + 1 / counts)
    # The interval holds the fraction; rounding must not let it slip out.
    return np.minimum(middle - half, fractions), np.maximum(middle + half, fractions)
