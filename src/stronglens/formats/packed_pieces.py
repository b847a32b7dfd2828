"""Reading a packed data set piece by piece: what is in memory does not grow with the number of cutouts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from stronglens.formats.packed import INDEX, PackedSet, PackSummary, open_cutouts, reading_parquet

PIECE_ROWS = 2**17
"""Cutouts of a piece: their rows of the index take some 40 MB."""


@dataclass(frozen=True)
class PackedPieces:
    """A packed data set of which the index is not read as a whole.

    Attributes
    ----------
    folder, cutouts, summary
        As those of `stronglens.formats.packed.PackedSet`.
    """

    folder: Path
    cutouts: npt.NDArray[np.float32]
    summary: PackSummary

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[PackedSet]:
        """Give the set in pieces of whole objects, in order, each as a set of its own.

        Parameters
        ----------
        columns : sequence of str, optional
            Columns of the index that are wanted, `object` among them; all if not given.

        Raises
        ------
        InputError
            The index cannot be read.
        """
        start = 0
        for table in self._whole_objects(columns):
            end = start + len(table)
            yield PackedSet(self.folder, self.cutouts[start:end], table.to_pandas(), self.summary)
            start = end

    def _whole_objects(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        path = self.folder / INDEX
        read: pa.Table | None = None
        # Buffered in advance, a whole group of a million rows would be held.
        with reading_parquet(path), parquet.ParquetFile(path, pre_buffer=False) as index:
            for batch in index.iter_batches(PIECE_ROWS, columns=columns):
                following = pa.Table.from_batches([batch])
                if read is None:
                    read = following
                    continue
                n_whole = _n_before_last(read["object"])
                if n_whole:
                    yield read.slice(0, n_whole)
                read = pa.concat_tables([read.slice(n_whole), following])
        if read is not None:
            yield read


def _n_before_last(objects: pa.ChunkedArray) -> int:
    """Number of cutouts before those of the last object, which may go on in the next batch."""
    names = objects.to_numpy()
    of_others = np.flatnonzero(names != names[-1])
    return int(of_others[-1]) + 1 if len(of_others) else 0


def open_pieces(folder: Path) -> PackedPieces:
    """Open a packed data set to be read piece by piece; its large files are checked.

    Raises
    ------
    InputError
        As `stronglens.formats.packed.open_packed`.
    """
    return PackedPieces(folder, *open_cutouts(folder))
