"""Several packed data sets read as one, one after the other: no pixel is copied for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stronglens.formats.packed import PackedSet
from stronglens.running.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


class JoinedCutouts:
    """Cutouts of several sets, read by rows as those of one are.

    Parameters
    ----------
    parts : sequence of ndarray of float32, shape (n_cutouts, height, width)
        Axes (cutout, y, x), all of one size; memory maps stay where they are.
    """

    def __init__(self, parts: Sequence[npt.NDArray[np.float32]]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape that all of them would have in one array."""
        return len(self), *self._parts[0].shape[1:]

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self.take(rows, out=np.empty((len(rows), *self.shape[1:]), dtype=np.float32))

    def take(
        self, rows: npt.NDArray[np.int64], *, out: npt.NDArray[np.float32], axis: int = 0, mode: str = "clip"
    ) -> npt.NDArray[np.float32]:
        """Read some rows, as `ndarray.take` does along the first axis; they are all in range."""
        sources = np.searchsorted(self._starts, rows, side="right") - 1
        for source in np.unique(sources):
            wanted = sources == source
            out[wanted] = self._parts[source][rows[wanted] - self._starts[source]]
        return out


@dataclass(frozen=True)
class JoinedSet:
    """Several packed sets as one, for whoever reads pixels of it.

    Attributes
    ----------
    parts : tuple of PackedSet
        In the order of rows. Objects of two parts are never the same, whatever their keys.
    """

    parts: tuple[PackedSet, ...]

    @cached_property
    def cutouts(self) -> JoinedCutouts:
        """All cutouts, in counts."""
        return JoinedCutouts([part.cutouts for part in self.parts])

    @cached_property
    def index(self) -> "pd.DataFrame":
        """A row per cutout: band and domain."""
        import pandas as pd  # noqa: PLC0415 - steps that read the other tables alone need not wait for it

        return pd.concat([part.index[["band", "domain"]] for part in self.parts], ignore_index=True)

    @cached_property
    def object_numbers(self) -> npt.NDArray[np.int64]:
        """Number of each cutout's object, as that of `PackedSet`."""
        numbers, n = [], 0
        for part in self.parts:
            numbers.append(part.object_numbers + n)
            n += int(part.object_numbers[-1]) + 1 if len(part.object_numbers) else 0
        return np.concatenate(numbers)


AnySet = PackedSet | JoinedSet
"""What pixels are read from."""


def join_sets(parts: Sequence[PackedSet]) -> JoinedSet:
    """Read several packed sets as one.

    Raises
    ------
    InputError
        Their cutouts are not of one size.
    """
    size = parts[0].summary.size_px
    for part in parts[1:]:
        if part.summary.size_px != size:
            raise InputError(
                f"{part.folder}: expected cutouts of {size} px, as in {parts[0].folder}, "
                f"found {part.summary.size_px} px"
            )
    return JoinedSet(tuple(parts))
