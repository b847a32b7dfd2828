"""The units of lens parameters: what a network gives is in standard deviations from the mean."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stronglens.settings.base import Settings
from stronglens.settings.lens_parameters import columns_of, std_column

Floats = npt.NDArray[np.float64]


class LensScaling(Settings):
    """Mean and standard deviation of each lens parameter among the training split's lenses."""

    names: tuple[str, ...] = ()
    """Parameters, in the order of the network's outputs after the logit."""
    means: tuple[float, ...] = ()
    """In units of the parameters."""
    stds: tuple[float, ...] = ()
    """In units of the parameters; above 0."""

    def to_outputs(self, values: Floats) -> Floats:
        """From units of the parameters to those of the outputs, shape (n, n_parameters); NaN stays NaN."""
        return np.asarray((values - np.array(self.means)) / np.array(self.stds))

    def from_outputs(self, outputs: Floats) -> Floats:
        """From units of the outputs to those of the parameters, shape (n, n_parameters)."""
        return np.asarray(outputs * np.array(self.stds) + np.array(self.means))

    def columns(self, outputs: Floats) -> dict[str, Floats]:
        """Estimates by the names of their columns.

        Parameters
        ----------
        outputs : ndarray of float64, shape (n, n_parameters) or (n, 2 n_parameters)
            In units of the outputs: means, and after them standard deviations where there are some.

        Returns
        -------
        dict of str to ndarray of float64, shape (n,)
            Each parameter in its units, followed by `{name}_std` where there are standard deviations.
        """
        n = len(self.names)
        found = dict(zip(self.names, self.from_outputs(outputs[:, :n]).T, strict=True))
        if outputs.shape[1] == n:
            return found
        stds = (outputs[:, n:] * np.array(self.stds)).T
        found |= {std_column(name): values for name, values in zip(self.names, stds, strict=True)}
        return {column: found[column] for column in columns_of(self.names)}


def fit_scaling(names: Sequence[str], values: Floats) -> LensScaling:
    """Mean and standard deviation of each parameter.

    Parameters
    ----------
    names : sequence of str
        The parameters.
    values : ndarray of float64, shape (n_lenses, n_parameters)
        A row for each lens, NaN where a value is not known; each parameter is known of at least one.

    Returns
    -------
    LensScaling
        With a standard deviation of 1 where all known values are equal.
    """
    means, stds = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return LensScaling(
        names=tuple(names), means=tuple(means.tolist()), stds=tuple(np.where(stds > 0, stds, 1.0).tolist())
    )
