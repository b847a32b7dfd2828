"""Gaussians that are combined into one: the mean and the width of their mixture."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def mixture(means: Floats, stds: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of mixtures of Gaussians that all weigh the same.

    Parameters
    ----------
    means, stds : ndarray of float64, shape (n_components, ...)
        Of each component; standard deviations above 0.

    Returns
    -------
    mean, std : ndarray of float64, shape (...)

    Notes
    -----
    The variance of a mixture is mean(sigma^2 + mu^2) - mean(mu)^2: what each component is unsure of, and how
    far they differ. It is computed as mean(sigma^2) + mean((mu - mean(mu))^2), which loses no digits where mu
    is large beside sigma.
    """
    mean = means.mean(axis=0)
    variance = (stds**2).mean(axis=0) + ((means - mean) ** 2).mean(axis=0)
    return mean, np.sqrt(variance)


def mixture_by_group(
    means: Floats, stds: Floats, groups: npt.NDArray[np.int64], mean_of: Callable[[Floats], Floats]
) -> tuple[Floats, Floats]:
    """The same for groups of rows, such as the cutouts of each object.

    Parameters
    ----------
    means, stds : ndarray of float64, shape (n_rows,)
        Of each component.
    groups : ndarray of int64, shape (n_rows,)
        Number of each row's group, from 0.
    mean_of : callable
        Takes a value a row, gives the mean of each group.

    Returns
    -------
    mean, std : ndarray of float64, shape (n_groups,)
    """
    mean = mean_of(means)
    return mean, np.sqrt(mean_of(stds**2) + mean_of((means - mean[groups]) ** 2))
