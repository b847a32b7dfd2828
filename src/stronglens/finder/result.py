"""What a finder says of objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntFlag

import numpy as np
import numpy.typing as npt
import pandas as pd

from stronglens.sources.names import NO_BAND

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
        Estimates in the units of `parameters.fits`, each with `{name}_std`: its calibrated standard
        deviation where members give uncertainties, else its spread over members. They hold if the object is
        a lens. Empty where no member estimates any.
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


def flags_of_bands(
    objects: Integers,
    bands: npt.NDArray[np.object_],
    n_objects: int,
    known_bands: Sequence[str],
    members_bands: Sequence[Sequence[str] | str],
) -> Integers:
    """NO_CUTOUT, MISSING_BAND and UNSEEN of each object.

    Parameters
    ----------
    objects : ndarray of int64, shape (n_cutouts,)
        Number of each readable cutout's object.
    bands : ndarray of str, shape (n_cutouts,)
        Its band.
    n_objects : int
        Objects, with or without cutouts.
    known_bands : sequence of str
        Bands that an object may have.
    members_bands : sequence of (sequence of str or "each")
        Bands that each member looks at.

    Returns
    -------
    ndarray of int64, shape (n_objects,)
        Sums of `Flag`.
    """
    n_bands = np.bincount(objects, minlength=n_objects)
    # An image of no stated band is all that such an object has.
    alone = np.bincount(objects[bands == NO_BAND], minlength=n_objects) > 0
    flags = np.where(n_bands == 0, int(Flag.NO_CUTOUT), 0)
    flags |= np.where((n_bands < len(known_bands)) & ~alone, int(Flag.MISSING_BAND), 0)
    for looked_at in members_bands:
        if looked_at != "each":
            seen = np.isin(bands.astype(str), list(looked_at))
            blind = np.bincount(objects[seen], minlength=n_objects) == 0
            flags |= np.where(blind & (n_bands > 0), int(Flag.UNSEEN), 0)
    return flags.astype(np.int64)
