"""Estimates of lens parameters by an ensemble: the mean over those of its members that give one."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from stronglens.networks.mixture import mixture
from stronglens.settings.lens_parameters import in_order, std_column

Floats = npt.NDArray[np.float64]


def n_estimating(estimated: Sequence[Sequence[str]]) -> dict[str, int]:
    """How many members estimate each parameter, in the order of columns; parameters of none are absent.

    Parameters
    ----------
    estimated : sequence of sequences of str
        For each member the parameters that it estimates.
    """
    names = [name for of_member in estimated for name in of_member]
    return {name: names.count(name) for name in in_order(set(names))}


def combine_estimates(estimates: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Mean and spread of the estimates of members.

    Parameters
    ----------
    estimates : sequence of mappings of str to ndarray of float64, shape (n_objects,)
        What each member estimates of the same objects, with `{name}_std` beside each if it gives widths:
        then all that estimate any do. Members without a parameter have no part in it.

    Returns
    -------
    dict of str to ndarray of float64, shape (n_objects,)
        For each parameter its mean and, under `{name}_std`, the standard deviation of the mixture of the
        members' Gaussians. Without widths it is the sample standard deviation over members (0 for one): how
        far members differ, which is less than how far they are from the truth.
    """
    found: dict[str, Floats] = {}
    for name in n_estimating([list(of_member) for of_member in estimates]):
        estimating = [of_member for of_member in estimates if name in of_member]
        of_members = np.stack([of_member[name] for of_member in estimating])
        width = std_column(name)
        if all(width in of_member for of_member in estimating):
            stds = np.stack([of_member[width] for of_member in estimating])
            found[name], found[width] = mixture(of_members, stds)
            continue
        found[name] = of_members.mean(axis=0)
        several = len(of_members) > 1
        found[width] = of_members.std(axis=0, ddof=1) if several else np.zeros(of_members.shape[1])
    return found
