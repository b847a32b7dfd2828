"""The samples of a packed data set, or of a split of it, piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from stronglens.formats.packed import PackedPieces, PackedSet
from stronglens.networks.samples import MOST_NAMED, Samples, make_samples, objects_seen


@dataclass(frozen=True)
class SampleCount:
    """How many samples there are.

    Attributes
    ----------
    n_samples : int
        Of each piece together.
    n_blind : int
        Those of which a network sees nothing: objects without a readable cutout in any of its bands.
    blind : list of str
        The first of these objects.
    """

    n_samples: int
    n_blind: int
    blind: list[str]


@dataclass(frozen=True)
class SamplePieces:
    """Samples, piece by piece.

    Attributes
    ----------
    packed : PackedPieces
        Where the pixels lie.
    bands : "each" or sequence of str
        See `stronglens.networks.samples.make_samples`.
    chosen : ndarray of bool, shape (n_cutouts,), or None
        The cutouts that take part; None: all.
    most : int or None
        Only the first so many samples; None: all.
    """

    packed: PackedPieces
    bands: Literal["each"] | Sequence[str]
    chosen: npt.NDArray[np.bool_] | None = None
    most: int | None = None

    def count(self) -> SampleCount:
        """Count the samples, for which little of the index is read.

        Raises
        ------
        InputError
            A band is asked for that the data set does not have.
        """
        if isinstance(self.bands, str):
            n_chosen = len(self.packed.cutouts) if self.chosen is None else int(self.chosen.sum())
            return SampleCount(self._at_most(n_chosen), 0, [])
        n_samples, n_blind = 0, 0
        blind: list[str] = []
        for piece, chosen in self._pieces(["object", "band"]):
            objects, seen = objects_seen(piece.index, self.bands, chosen, self.packed.summary.bands)
            taken = slice(0, self._at_most(n_samples + len(objects)) - n_samples)
            unseen = objects[taken][~seen[taken]]
            n_samples += len(seen[taken])
            n_blind += len(unseen)
            blind += list(unseen[: MOST_NAMED - len(blind)])
        return SampleCount(n_samples, n_blind, blind)

    def __iter__(self) -> Iterator[tuple[PackedSet, Samples]]:
        """Give the samples of each piece, whose rows are counted within the piece."""
        n_samples = 0
        for piece, chosen in self._pieces():
            samples = make_samples(piece.index, self.bands, chosen, self.packed.summary.bands)
            samples = samples.part(0, self._at_most(n_samples + len(samples)) - n_samples)
            n_samples += len(samples)
            yield piece, samples
            if n_samples == self.most:
                return

    def _pieces(
        self, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[PackedSet, npt.NDArray[np.bool_]]]:
        start = 0
        for piece in self.packed.pieces(columns):
            end = start + len(piece.index)
            yield piece, np.ones(end - start, bool) if self.chosen is None else self.chosen[start:end]
            start = end

    def _at_most(self, n_samples: int) -> int:
        return n_samples if self.most is None else min(n_samples, self.most)
