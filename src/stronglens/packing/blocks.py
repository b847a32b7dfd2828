"""Packing blocks of cutouts, side by side in several processes. Imports little: each process has to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import groupby, repeat
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stronglens.running.worker_processes import worker_processes
from stronglens.sources.checked import LARGEST_VALUE, Cutout, NonFinite, checked
from stronglens.sources.fitting import Fit
from stronglens.sources.names import printable
from stronglens.sources.protocol import Reading, Request, Source, SourceReader
from stronglens.sources.rejected import Rejected

BLOCK_FILES = 1000
"""Cutouts that a process packs at a time. The same for any number of processes, so that the bytes are."""

_AT_A_TIME = 100
"""Images that are held as they were read, until they are judged."""


class Wanted(NamedTuple):
    """A cutout to be packed: number of its source, and what its reader asks for."""

    source: int
    request: Request


@dataclass(frozen=True)
class Reads:
    """Where the cutouts of a set come from, and what they must be.

    Attributes
    ----------
    sources : list of Source
        By number.
    fits : list of "refuse", "crop" or "pad"
        What becomes of images of another size, for each source.
    sentinels : list of tuple of float
        Pixel values that mean undefined, for each source.
    size_px : int
        Side of every cutout in pixels.
    non_finite : "reject" or "fill"
        What becomes of cutouts with pixels that are not finite.
    """

    sources: list[Source]
    fits: list[Fit]
    sentinels: list[tuple[float, ...]]
    size_px: int
    non_finite: NonFinite


class Block(NamedTuple):
    """What packing a block gave.

    Attributes
    ----------
    header_ids, pixel_hashes, units : list of str
        For each cutout that was written.
    numbers : list of ndarray of float64, shape (3,)
        Right ascension and declination in degrees, and zero point, of each; NaN where unknown.
    rejected : dict of int to str
        Reason by number of the cutout in the block.
    filled : dict of int to int
        How many pixels that were not finite were filled, where there were any, by number of the cutout.
    n_fitted : int
        How many images had another size.
    """

    header_ids: list[str]
    pixel_hashes: list[str]
    units: list[str]
    numbers: list[tuple[float, float, float]]
    rejected: dict[int, str]
    filled: dict[int, int]
    n_fitted: int


def pack_blocks(
    wanted: Sequence[Wanted], reads: Reads, target: Path, start: int, n_processes: int
) -> Iterator[Block]:
    """Read cutouts and write them, float32 and little-endian.

    Block number k of `BLOCK_FILES` cutouts is written at the place of its first: at byte `start` plus the
    size of k blocks. Its cutouts lie next to each other; rejected ones leave the gap at its end.

    Parameters
    ----------
    wanted : sequence of Wanted
        The cutouts.
    reads : Reads
        Where they come from, and what they must be.
    target : Path
        The file to write into; it exists.
    start : int
        Where the first block goes, in bytes.
    n_processes : int
        How many blocks are packed at a time.

    Yields
    ------
    Block
        In order.

    Raises
    ------
    InputError
        A process was killed.
    """
    firsts = range(0, len(wanted), BLOCK_FILES)
    parts = [wanted[first : first + BLOCK_FILES] for first in firsts]
    offsets = [start + first * reads.size_px * reads.size_px * 4 for first in firsts]
    n_processes = min(n_processes, len(parts))
    if n_processes <= 1:
        _prepare(reads)
        yield from map(_pack_block, parts, offsets, repeat(target))
        return
    with worker_processes(n_processes, target.parent, partial(_prepare, reads)) as pool:
        yield from pool.map(_pack_block, parts, offsets, repeat(target))


class _Reading:
    """What a process reads with: a reader for each source that it has met."""

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self._readers: dict[int, SourceReader] = {}

    def read(self, wanted: Sequence[Wanted]) -> Iterator[Reading | Rejected]:
        for number, group in groupby(wanted, key=_source_of):
            if number not in self._readers:
                self._readers[number] = self.reads.sources[number].reader()
            requests = [one.request for one in group]
            for request, reading in zip(requests, self._readers[number].read_block(requests), strict=True):
                yield reading if _is_printable(request.path) else Rejected("name is not UTF-8")

    def checked(self, reading: Reading, source: int) -> Cutout:
        reads = self.reads
        return checked(reading, reads.size_px, reads.non_finite, reads.fits[source], reads.sentinels[source])


_source_of = attrgetter("source")


def _is_printable(name: str) -> bool:
    return name.isascii() or printable(name) == name


_OF_PROCESS: list[_Reading] = []
"""One in each process: readers keep files open from one block to the next."""


def _prepare(reads: Reads) -> None:
    _OF_PROCESS[:] = [_Reading(reads)]


def _pack_block(wanted: Sequence[Wanted], offset: int, target: Path) -> Block:
    reading = _OF_PROCESS[0]
    size_px = reading.reads.size_px
    cutouts: npt.NDArray[np.float32] = np.empty((len(wanted), size_px, size_px), dtype="<f4")
    block = Block([], [], [], [], {}, {}, 0)
    n_fitted = n_good = 0
    readings = reading.read(wanted)
    for first in range(0, len(wanted), _AT_A_TIME):
        part = slice(first, first + _AT_A_TIME)
        found = list(_into(cutouts[part], readings))
        judged = _judged(cutouts[part], found, reading.reads, wanted[part])
        for number, (said, is_right) in enumerate(zip(found, judged, strict=True), start=first):
            try:
                if isinstance(said, Rejected):
                    raise said
                if not is_right:
                    cutout = reading.checked(said, wanted[number].source)
                    if cutout.n_filled:
                        block.filled[number] = cutout.n_filled
                    n_fitted += cutout.is_fitted
                    cutouts[number] = cutout.image
            except Rejected as why:
                block.rejected[number] = str(why)
                continue
            if n_good < number:  # close the gap that rejected cutouts left
                cutouts[n_good] = cutouts[number]
            # 128 bits: two different images with one hash are not to be met
            block.pixel_hashes.append(sha256(cutouts[n_good].data).hexdigest()[:32])
            block.header_ids.append(said.header_id)
            block.units.append(said.unit)
            block.numbers.append((said.ra, said.dec, said.zero_point))
            n_good += 1
    with target.open("r+b") as packed:
        packed.seek(offset)
        packed.write(cutouts[:n_good].data)
    return block._replace(n_fitted=n_fitted)


def _into(
    cutouts: npt.NDArray[np.float32], readings: Iterator[Reading | Rejected]
) -> Iterator[Reading | Rejected]:
    """Write each image that has the size of a cutout to its place."""
    with np.errstate(over="ignore", invalid="ignore"):
        for cutout, reading in zip(cutouts, readings, strict=False):
            if isinstance(reading, Reading) and reading.pixels.shape == cutout.shape:
                cutout[...] = reading.pixels
            yield reading


def _judged(
    cutouts: npt.NDArray[np.float32],
    found: Sequence[Reading | Rejected],
    reads: Reads,
    wanted: Sequence[Wanted],
) -> list[bool]:
    """Which images are cutouts as they are, by the rules of `stronglens.sources.checked`: nearly all.

    The others are judged one by one. All at once takes a fifth of the time.
    """
    there = [
        isinstance(one, Reading) and one.pixels.shape == cutouts.shape[1:] and not reads.sentinels[of.source]
        for one, of in zip(found, wanted, strict=True)
    ]
    flat = cutouts.reshape(len(cutouts), -1)
    with np.errstate(invalid="ignore"):
        low, high = flat.min(axis=1), flat.max(axis=1)
    limit = np.float32(LARGEST_VALUE) * np.float32(0.999)  # what is nearer is judged by itself
    right = (low >= -limit) & (high <= limit) & (low < high)  # false for NaN
    good: list[bool] = (right & np.array(there, dtype=bool)).tolist()
    return good
