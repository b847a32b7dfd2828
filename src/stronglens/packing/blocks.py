"""Packing blocks of files, side by side in several processes. Imports little: each process has to."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stronglens.packing.fits_image import CutoutReader, NonFinite
from stronglens.packing.names import printable
from stronglens.packing.rejected import Rejected
from stronglens.running.worker_processes import worker_processes

BLOCK_FILES = 1000
"""Files that a process packs at a time. The same for any number of processes, so that the result is, too."""


class Block(NamedTuple):
    """What packing a block of files gave.

    Attributes
    ----------
    header_ids, pixel_hashes : list of str
        For each cutout that was written.
    rejected : dict of int to str
        Reason by number of the file in the block.
    filled : dict of int to int
        How many pixels that were not finite were filled, where there were any, by number of the file.
    """

    header_ids: list[str]
    pixel_hashes: list[str]
    rejected: dict[int, str]
    filled: dict[int, int]


def pack_blocks(
    paths: Sequence[str], size_px: int, non_finite: NonFinite, target: Path, start: int, n_processes: int
) -> Iterator[Block]:
    """Read files and write their cutouts, float32 and little-endian.

    Block number k of `BLOCK_FILES` files is written at the place of its first file: at byte `start` plus the
    size of k blocks. Its cutouts lie next to each other; rejected files leave the gap at its end.

    Parameters
    ----------
    paths : sequence of str
        The files.
    size_px : int
        Side of every cutout in pixels.
    non_finite : "reject" or "fill"
        What becomes of cutouts with pixels that are not finite.
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
    firsts = range(0, len(paths), BLOCK_FILES)
    parts = [paths[first : first + BLOCK_FILES] for first in firsts]
    offsets = [start + first * size_px * size_px * 4 for first in firsts]
    n_processes = min(n_processes, len(parts))
    if n_processes <= 1:
        yield from map(_pack_block, parts, offsets, repeat(size_px), repeat(non_finite), repeat(target))
        return
    with worker_processes(n_processes, target.parent) as pool:
        yield from pool.map(_pack_block, parts, offsets, repeat(size_px), repeat(non_finite), repeat(target))


def _pack_block(
    paths: Sequence[str], offset: int, size_px: int, non_finite: NonFinite, target: Path
) -> Block:
    reader = CutoutReader(size_px, non_finite)
    cutouts = np.empty((len(paths), size_px, size_px), dtype="<f4")
    block = Block([], [], {}, {})
    for number, path in enumerate(paths):
        try:
            if printable(path) != path:
                raise Rejected("name is not UTF-8")
            image, header_id, n_filled = reader.read(path)
        except Rejected as reason:
            block.rejected[number] = str(reason)
            continue
        if n_filled:
            block.filled[number] = n_filled
        cutouts[len(block.header_ids)] = image
        block.header_ids.append(header_id)
        # 128 bits: two different images with one hash are not to be met
        block.pixel_hashes.append(sha256(image.data).hexdigest()[:32])
    with target.open("r+b") as packed:
        packed.seek(offset)
        packed.write(cutouts[: len(block.header_ids)].data)
    return block
