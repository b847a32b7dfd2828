"""What a network is shown: cutouts one by one, or the bands of an object as channels, in one form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from stronglens.errors import InputError


@dataclass(frozen=True)
class Samples:
    """Samples and where their pixels lie.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_samples, n_channels)
        Row of each channel in the packed cutouts; -1 where an object lacks the band.
    table : DataFrame
        A row per sample: path, domain, label, object, band. A stack has the path of its first band that is
        present, and all its bands' letters in `band`.
    """

    rows: npt.NDArray[np.int64]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.rows)


def make_samples(index: pd.DataFrame, bands: Literal["each"] | Sequence[str], chosen: npt.NDArray[np.bool_]) -> Samples:
    """Arrange cutouts as samples.

    Parameters
    ----------
    index : DataFrame
        A row per packed cutout (see `stronglens.packed.PackedSet`).
    bands : "each" or sequence of str
        "each" makes every cutout a sample of one channel. A list makes every object a sample with these
        bands as channels, in this order.
    chosen : ndarray of bool, shape (n_cutouts,)
        The cutouts that take part; the order of the index is kept.

    Returns
    -------
    Samples
        Empty if nothing was chosen. Objects that have none of the bands are no samples.

    Raises
    ------
    InputError
        A band is asked for that no cutout of the index has.
    """
    columns = ["path", "domain", "label", "object", "band"]
    numbers = np.flatnonzero(chosen)
    if isinstance(bands, str):
        return Samples(numbers[:, None].astype(np.int64), index.loc[chosen, columns].reset_index(drop=True))
    unknown = sorted(set(bands) - set(index["band"].unique()))
    if unknown and len(index):
        raise InputError(f"bands: no cutout has band {', '.join(unknown)}; there are {sorted(index['band'].unique())}")
    part = index.loc[chosen, columns]
    channel = part["band"].map({band: number for number, band in enumerate(bands)})
    used = channel.notna().to_numpy()
    part, numbers, channel = part[used], numbers[used], channel[used].astype(np.int64)
    objects, first = np.unique(part["object"].to_numpy(dtype=object), return_index=True)
    order = np.argsort(first)  # np.unique sorts by key; samples follow the index
    place = np.empty(len(objects), dtype=np.int64)
    place[order] = np.arange(len(objects))
    sample = place[np.searchsorted(objects, part["object"].to_numpy(dtype=object))]
    rows = np.full((len(objects), len(bands)), -1, dtype=np.int64)
    rows[sample, channel.to_numpy()] = numbers
    lead = np.where(rows >= 0, np.arange(len(bands)), len(bands)).argmin(axis=1)
    table = index.loc[rows[np.arange(len(rows)), lead], columns].reset_index(drop=True)
    table["band"] = "".join(bands)
    return Samples(rows, table)
