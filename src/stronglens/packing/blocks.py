"""Packing blocks of cutouts, side by side in several processes. Imports little: each process has to."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from itertools import chain, groupby
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

_BLOCKS_AHEAD = 2
"""Blocks that wait for each process, beside the one that it packs."""


class Wanted(NamedTuple):
    """Cutouts to be packed: the number of each one's source, and what its reader is asked for."""

    sources: list[int]
    requests: list[Request]


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
    numbers : list of tuple of float
        Right ascension and declination in degrees, and zero point, of each; NaN where unknown.
    scales_arcsec : list of float
        Side of a pixel, of each; NaN where unknown.
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
    scales_arcsec: list[float]
    rejected: dict[int, str]
    filled: dict[int, int]
    n_fitted: int


def pack_blocks(
    wanted: Callable[[int, int], Wanted],
    n_cutouts: int,
    reads: Reads,
    target: Path,
    start: int,
    n_processes: int,
) -> Iterator[Block]:
    """Read cutouts and write them, float32 and little-endian.

    Block number k of `BLOCK_FILES` cutouts is written at the place of its first: at byte `start` plus the
    size of k blocks. Its cutouts lie next to each other; rejected ones leave the gap at its end.

    Parameters
    ----------
    wanted : callable
        Gives the cutouts from one number to before another: of a block at a time, which saves memory.
    n_cutouts : int
        How many there are.
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
    firsts = range(0, n_cutouts, BLOCK_FILES)
    jobs = (
        (wanted(first, first + BLOCK_FILES), start + first * reads.size_px * reads.size_px * 4, target)
        for first in firsts
    )
    n_processes = min(n_processes, len(firsts))
    if n_processes <= 1:
        _prepare(reads)
        yield from (_pack_block(*job) for job in jobs)
        return
    with worker_processes(n_processes, target.parent, partial(_prepare, reads)) as pool:
        waiting: deque[Future[Block]] = deque()
        for job in jobs:
            waiting.append(pool.submit(_pack_block, *job))
            if len(waiting) > n_processes * (1 + _BLOCKS_AHEAD):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Reading:
    """What a process reads with: a reader for each source that it has met."""

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self._readers: dict[int, SourceReader] = {}

    @cached_property
    def cutouts(self) -> npt.NDArray[np.float32]:
        """Room for the cutouts of a block, the same for all: new memory costs the system time.

        Not made while the process starts, where a lack of memory would look as if it had been killed.
        """
        return np.empty((BLOCK_FILES, self.reads.size_px, self.reads.size_px), dtype="<f4")

    def read(self, wanted: Wanted) -> Iterator[Reading | Rejected]:
        return chain.from_iterable(self._by_source(wanted))

    def _by_source(self, wanted: Wanted) -> Iterator[Iterator[Reading | Rejected]]:
        first = 0
        for number, same in groupby(wanted.sources):
            if number not in self._readers:
                self._readers[number] = self.reads.sources[number].reader()
            requests = wanted.requests[first : first + len(list(same))]
            first += len(requests)
            readings = self._readers[number].read_block(requests)
            is_ascii = all(request.path.isascii() for request in requests)
            yield readings if is_ascii else map(_of_printable_name, requests, readings)

    def checked(self, reading: Reading, source: int) -> Cutout:
        reads = self.reads
        return checked(reading, reads.size_px, reads.non_finite, reads.fits[source], reads.sentinels[source])


def _of_printable_name(request: Request, reading: Reading | Rejected) -> Reading | Rejected:
    return reading if printable(request.path) == request.path else Rejected("name is not UTF-8")


_OF_PROCESS: list[_Reading] = []
"""One in each process: readers keep files open from one block to the next."""


def _prepare(reads: Reads) -> None:
    _OF_PROCESS[:] = [_Reading(reads)]


def _pack_block(wanted: Wanted, offset: int, target: Path) -> Block:
    reading = _OF_PROCESS[0]
    n = len(wanted.requests)
    cutouts = reading.cutouts[:n]
    block = Block([], [], [], [], [], {}, {}, 0)
    n_fitted = n_good = 0
    readings = reading.read(wanted)
    for first in range(0, n, _AT_A_TIME):
        part = slice(first, first + _AT_A_TIME)
        found, fits = _into(cutouts[part], readings)
        right = _judged(cutouts[part], fits, reading.reads, wanted.sources[part])
        kept: list[Reading] = []
        n_before = n_good
        for number, (said, is_right) in enumerate(zip(found, right, strict=True), start=first):
            try:
                if isinstance(said, Rejected):
                    raise said
                if not is_right:
                    cutout = reading.checked(said, wanted.sources[number])
                    if cutout.n_filled:
                        block.filled[number] = cutout.n_filled
                    n_fitted += cutout.is_fitted
                    cutouts[number] = cutout.image
            except Rejected as why:
                block.rejected[number] = str(why)
                continue
            if n_good < number:  # close the gap that rejected cutouts left
                cutouts[n_good] = cutouts[number]
            kept.append(said)
            n_good += 1
        _describe(block, cutouts[n_before:n_good], kept)
    with target.open("r+b") as packed:
        packed.seek(offset)
        packed.write(cutouts[:n_good].data)
    return block._replace(n_fitted=n_fitted)


def _describe(block: Block, cutouts: npt.NDArray[np.float32], said: Sequence[Reading]) -> None:
    """Add to a block what is known of cutouts that were written."""
    if not said:
        return
    flat = cutouts.reshape(len(cutouts), -1)
    # 128 bits: two different images with one hash are not to be met
    block.pixel_hashes.extend([sha256(pixels.data).hexdigest()[:32] for pixels in flat])
    _, header_ids, ra, dec, units, zero_points, scales_arcsec = zip(*said, strict=True)
    block.header_ids.extend(header_ids)
    block.units.extend(units)
    block.numbers.extend(zip(ra, dec, zero_points, strict=True))
    block.scales_arcsec.extend(scales_arcsec)


def _into(
    cutouts: npt.NDArray[np.float32], readings: Iterator[Reading | Rejected]
) -> tuple[list[Reading | Rejected], list[bool]]:
    """Write each image that has the size of a cutout to its place; what was read, and whether it has."""
    found: list[Reading | Rejected] = []
    fits, shape = [], cutouts.shape[1:]
    with np.errstate(over="ignore", invalid="ignore"):
        for cutout, reading in zip(cutouts, readings, strict=False):
            found.append(reading)
            if isinstance(reading, Reading) and reading.pixels.shape == shape:
                cutout[...] = reading.pixels
                fits.append(True)
            else:
                fits.append(False)
    return found, fits


def _judged(
    cutouts: npt.NDArray[np.float32], fits: Sequence[bool], reads: Reads, sources: Sequence[int]
) -> list[bool]:
    """Which images are cutouts as they are, by the rules of `stronglens.sources.checked`: nearly all.

    The others are judged one by one. All at once takes a fifth of the time.
    """
    flat = cutouts.reshape(len(cutouts), -1)
    with np.errstate(invalid="ignore"):
        low, high = flat.min(axis=1), flat.max(axis=1)
    limit = np.float32(LARGEST_VALUE) * np.float32(0.999)  # what is nearer is judged by itself
    right = (low >= -limit) & (high <= limit) & (low < high)  # false for NaN
    right &= np.array(fits, dtype=bool)
    right &= np.array([not reads.sentinels[number] for number in sources], dtype=bool)
    good: list[bool] = right.tolist()
    return good
