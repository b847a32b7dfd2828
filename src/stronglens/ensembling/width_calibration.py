"""Calibrated widths of lens parameters: one factor for each, fitted on the validation lenses."""

import logging
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from stronglens.settings.lens_parameters import std_column

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

WITHIN_ONE_STD = math.erf(1 / math.sqrt(2))
"""Fraction of a Gaussian within one standard deviation, 68.27 %."""

FEWEST_LENSES = 20
"""With fewer the factor is 1. Of so many it is known to roughly 20 %."""


def fit_factors(estimates: Mapping[str, Floats], truth: Mapping[str, Floats]) -> dict[str, float]:
    """What widths have to be multiplied by, so that 68 % of the true values are within one.

    Parameters
    ----------
    estimates : mapping of str to ndarray of float64, shape (n,)
        Of each parameter, and under `{name}_std` its width, above 0.
    truth : mapping of str to ndarray of float64, shape (n,)
        Of the parameters; NaN where it is not known, as for all that is no lens.

    Returns
    -------
    dict of str to float
        For each parameter; 1 where its true value is known of fewer than `FEWEST_LENSES`, and where every
        estimate is exact.

    Notes
    -----
    The k-th smallest |estimate - truth| / width, k = ceil(0.6827 (n + 1)): that of split conformal prediction
    (Lei et al. 2018, JASA 113, 1094, sec. 2.2; errors in units of their widths, sec. 5.2). New values like
    these are within one width with a probability of 68 % or a little more, whatever the form of the errors.
    """
    factors = {}
    for name, values in truth.items():
        known = np.isfinite(values)
        pulls = np.sort(np.abs(estimates[name] - values)[known] / estimates[std_column(name)][known])
        factors[name] = 1.0
        if len(pulls) < FEWEST_LENSES:
            log.warning(
                "%s is known of %d validation lenses, fewer than %d: its widths are not calibrated",
                name,
                len(pulls),
                FEWEST_LENSES,
            )
            continue
        factor = float(pulls[min(math.ceil(WITHIN_ONE_STD * (len(pulls) + 1)), len(pulls)) - 1])
        if factor > 0:
            factors[name] = factor
    return factors
