"""What a finder says of objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntFlag

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Flag(IntFlag):
    """What was odd about an object; bits that add up."""

    NO_CUTOUT = 1
    """No band is there and can be read: there is no probability."""
    MISSING_BAND = 2
    """A band of the capsule is not there or cannot be read."""
    REJECTED = 4
    """A band is there but cannot be read, as packing would reject it: pixels that are not finite, the same
    value everywhere, absurd values, or a broken file. It counts as missing."""
    FILLED = 8
    """Pixels that were not finite have the median of the cutout's others, as the capsule says. Known for
    pixels in memory only."""
    UNSEEN = 16
    """A member looks at bands of which the object has none: what it says means nothing."""


@dataclass(frozen=True)
class Result:
    """Probabilities of some objects, in the order in which they were given.

    Attributes
    ----------
    prob : ndarray of float64, shape (n,)
        Probability of being a lens, from 0 to 1, calibrated as the ensemble is; NaN where there is no cutout.
    prob_std : ndarray of float64, shape (n,)
        Sample standard deviation over members (0 for one), each calibrated like the whole.
    pred : ndarray of int8, shape (n,)
        1 where prob >= t*, else 0; -1 where there is no cutout.
    prob_raw : ndarray of float64, shape (n,)
        Before calibration; `prob` itself where there is none.
    prob_sky : ndarray of float64, shape (n,), or None
        With the sky's fraction of lenses; None where the ensemble has no `sky_prevalence`.
    members : ndarray of float64, shape (n_members, n)
        Probability of each member, bands combined, not calibrated; in the order of `Finder.members`.
    lens_parameters : mapping of str to ndarray of float64, shape (n,)
        Estimates in the units of `parameters.fits`, each with its spread over members, `{name}_std`; they
        hold if the object is a lens. Empty where no member estimates any.
    n_cutouts : ndarray of int64, shape (n,)
        Bands that could be read and that any member looks at.
    flags : ndarray of int64, shape (n,)
        Sums of `Flag`.
    """

    prob: Floats
    prob_std: Floats
    pred: npt.NDArray[np.int8]
    prob_raw: Floats
    prob_sky: Floats | None
    members: Floats
    lens_parameters: Mapping[str, Floats]
    n_cutouts: Integers
    flags: Integers

    def __len__(self) -> int:
        return len(self.prob)

    def table(self) -> pd.DataFrame:
        """A row per object: prob, prob_std, pred, prob_raw, prob_sky, lens parameters, n_cutouts, flags."""
        columns = {"prob": self.prob, "prob_std": self.prob_std, "pred": self.pred, "prob_raw": self.prob_raw}
        if self.prob_sky is not None:
            columns["prob_sky"] = self.prob_sky
        more = {"n_cutouts": self.n_cutouts, "flags": self.flags}
        return pd.DataFrame({**columns, **self.lens_parameters, **more})


def joined(results: Sequence[Result]) -> Result:
    """The results of one finder, one after the other; there is at least one."""
    first = results[0]
    values: dict[str, object] = {
        field.name: np.concatenate([getattr(one, field.name) for one in results], axis=-1)
        for field in fields(Result)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    names = first.lens_parameters
    lens = {name: np.concatenate([one.lens_parameters[name] for one in results]) for name in names}
    return Result(**({"prob_sky": None} | values | {"lens_parameters": lens}))  # type: ignore[arg-type]
