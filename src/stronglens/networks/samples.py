"""What a network is shown: cutouts one by one, or the bands of an object as channels, in one form."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from stronglens.running.errors import InputError

log = logging.getLogger(__name__)

MOST_NAMED = 10
"""Objects that a message names."""


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

    def part(self, start: int, end: int) -> "Samples":
        """Some of them, by their numbers."""
        return Samples(self.rows[start:end], self.table.iloc[start:end])

    def take(self, chosen: npt.NDArray[np.int64]) -> "Samples":
        """Some of them in the order of these numbers."""
        return Samples(self.rows[chosen], self.table.iloc[chosen].reset_index(drop=True))


def join_samples(samples: Sequence[Samples], n_cutouts: Sequence[int]) -> Samples:
    """Samples of several sets, one set after the other, as those of the sets joined.

    Parameters
    ----------
    samples : sequence of Samples
        Those of each set, of as many channels.
    n_cutouts : sequence of int
        Packed cutouts of each set.
    """
    starts = np.cumsum([0, *n_cutouts])
    rows = [
        np.where(part.rows >= 0, part.rows + start, -1) for part, start in zip(samples, starts, strict=False)
    ]
    tables = [part.table for part in samples]
    return Samples(np.concatenate(rows), pd.concat(tables, ignore_index=True))


def make_samples(
    index: pd.DataFrame,
    bands: Literal["each"] | Sequence[str],
    chosen: npt.NDArray[np.bool_],
    known_bands: Sequence[str],
) -> Samples:
    """Arrange cutouts as samples.

    Parameters
    ----------
    index : DataFrame
        A row per packed cutout (see `stronglens.formats.packed.PackedSet`).
    bands : "each" or sequence of str
        "each" makes every cutout a sample of one channel. A list makes every object a sample with these
        bands as channels, in this order.
    chosen : ndarray of bool, shape (n_cutouts,)
        The cutouts that take part; the order of the index is kept.
    known_bands : sequence of str
        The bands of the data set, as its `summary.json` states them.

    Returns
    -------
    Samples
        Empty if nothing was chosen. An object that has none of the bands is a sample all the same: no object
        is ever dropped.

    Raises
    ------
    InputError
        A band is asked for that the data set does not have.
    """
    part = index.loc[chosen, ["path", "domain", "label", "object", "band"]].reset_index(drop=True)
    numbers = np.flatnonzero(chosen)
    if isinstance(bands, str):
        return Samples(numbers[:, None], part)
    _refuse_unknown(bands, known_bands)
    sample, objects = pd.factorize(part["object"])
    channel = part["band"].map({band: number for number, band in enumerate(bands)})
    used = channel.notna().to_numpy()
    rows = np.full((len(objects), len(bands)), -1, dtype=np.int64)
    rows[sample[used], channel[used].to_numpy(dtype=np.int64)] = numbers[used]
    # The path of a sample is that of its first channel; an object without any has that of its first cutout.
    order = np.lexsort((channel.fillna(len(bands)).to_numpy(), sample))
    first = order[np.searchsorted(sample[order], np.arange(len(objects)))]
    table = part.iloc[first].reset_index(drop=True)
    table["band"] = "".join(bands)
    return Samples(rows, table)


def objects_seen(
    index: pd.DataFrame, bands: Sequence[str], chosen: npt.NDArray[np.bool_], known_bands: Sequence[str]
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    """The objects of which `make_samples` makes samples, and whether each has any of the bands.

    Takes what `make_samples` takes, a list of bands; of the index only `object` and `band`.
    """
    _refuse_unknown(bands, known_bands)
    part = index.loc[chosen, ["object", "band"]]
    sample, objects = pd.factorize(part["object"])
    seen = np.zeros(len(objects), dtype=bool)
    seen[sample[part["band"].isin(bands)]] = True
    return np.asarray(objects, dtype=object), seen


def report_unseen(
    source: str, bands: Sequence[str], n_objects: int, unseen: Sequence[str], n_unseen: int
) -> None:
    """Warn of objects that a network sees nothing of, and refuse to go on with nothing else.

    Parameters
    ----------
    source : str
        Where the objects lie and who looks at them, for the error.
    bands : sequence of str
        What the network looks at.
    n_objects, n_unseen : int
        All objects, and those that have none of the bands.
    unseen : sequence of str
        The first of these.

    Raises
    ------
    InputError
        No object has any of the bands: the input would be 0 everywhere.
    """
    if not n_unseen:
        return
    looked_at = ", ".join(bands)
    if n_unseen == n_objects:
        raise InputError(
            f"{source}: expected objects with a readable cutout in one of the bands {looked_at}, found none "
            f"among {n_objects}; the first is {unseen[0]!r}; see how its files are named, and data.bands"
        )
    log.warning(
        "%d objects have no readable cutout in the bands %s, and nothing of them is seen: %s",
        n_unseen,
        looked_at,
        ", ".join(map(repr, unseen[:MOST_NAMED])),
    )


def refuse_unseen_classes(
    folder: Path, split: str, samples: Samples, bands: Literal["each"] | Sequence[str]
) -> None:
    """Refuse to learn from, or to score, a split of which a network sees nothing, or nothing of one class.

    Parameters
    ----------
    folder : Path
        Of the packed set, for the error.
    split : str
        Its name.
    samples : Samples
        Those of the split.
    bands : "each" or sequence of str
        See `make_samples`.

    Raises
    ------
    InputError
        No lens, or no non-lens, of the split has any of the bands. A network could tell the others by their
        being there.
    """
    if isinstance(bands, str):
        return
    unseen = (samples.rows < 0).all(axis=1)
    objects = samples.table["object"].to_numpy(dtype=object)
    labels = samples.table["label"].to_numpy()
    for label, kind in ((1, "lenses"), (0, "non-lenses")):
        inside = labels == label
        found = objects[unseen & inside]
        report_unseen(
            f"{folder}, {kind} of split {split}", bands, inside.sum(), found[:MOST_NAMED], len(found)
        )


def _refuse_unknown(bands: Sequence[str], known_bands: Sequence[str]) -> None:
    unknown = [band for band in bands if band not in known_bands]
    if unknown:
        raise InputError(f"bands: expected some of {', '.join(known_bands)}, found {', '.join(unknown)}")
