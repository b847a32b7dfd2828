"""Packing a data set: every file read once, good cutouts into one array, bad ones into a list of reasons."""

import csv
import logging
import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from stronglens.formats.artefact import sha256_of, write_aside
from stronglens.formats.packed import CUTOUTS, INDEX, PARAMETERS, REJECTED, SUMMARY, PackSummary
from stronglens.packing.blocks import BLOCK_FILES, Block, pack_blocks
from stronglens.packing.pack_summary import RejectedFile, log_summary, object_bands, summarise
from stronglens.packing.parameters import match_parameters
from stronglens.running.errors import InputError
from stronglens.running.progress import progress
from stronglens.settings.data import LABELS, PackSettings, located
from stronglens.settings.domains import UNKNOWN
from stronglens.sources.find import FoundFile, bands_of, find_cutouts
from stronglens.sources.image_choice import linking_id
from stronglens.sources.names import printable
from stronglens.sources.rejected import kind_of

_LOG = logging.getLogger("stronglens")

TEXT = pa.large_string()
SCHEMA = pa.schema(
    {
        "object": TEXT,
        "band": TEXT,
        "path": TEXT,
        "bucket": TEXT,
        "domain": TEXT,
        "label": pa.int8(),
        "header_id": TEXT,
        "pixel_hash": TEXT,
    }
)
"""Columns of the index."""

_MOST_LOGGED = 1000
_MOST_EXAMPLES = 10
_MANY_FILES = 10


def build_buckets(
    settings: PackSettings, out_dir: Path, *, n_processes: int = 1, part: int = 0, n_parts: int = 1
) -> None:
    """Find, check and pack the cutouts of a data set, or of a part of it.

    Writes `cutouts.npy`, `index.parquet`, `parameters.parquet`, `rejected.csv` and, last, `summary.json`,
    which holds the sha256 of the others. The same bytes for any number of processes.

    Parameters
    ----------
    settings : PackSettings
        Where the set lies, and what its cutouts must be.
    out_dir : Path
        Folder for the files.
    n_processes : int
        Processes that read.
    part, n_parts : int
        Which part of the set, and how many there are.

    Raises
    ------
    InputError
        The set is not as `stronglens.sources.find.find_cutouts` wants it, more of its files are rejected than
        `max_rejected` allows, or, whatever that allows, all of them; then nothing is left behind.
    """
    if not 0 <= part < n_parts:
        raise InputError(f"part: expected 0 to {n_parts - 1}, found {part}")
    found = find_cutouts(settings, part, n_parts)
    _LOG.info(
        "%s: %d files found, %d more paths lead to the same files, %d other files",
        settings.dataset,
        len(found.files),
        found.n_repeated,
        len(found.leftovers),
    )
    with write_aside(out_dir / CUTOUTS) as aside:
        index, rejected, filled = _pack_files(found.files, settings, aside, n_processes)
        _refuse_many(rejected, len(found.files), settings, n_parts)
    objects = object_bands(found.files, rejected, settings)
    folders, leftovers = found.folders, found.leftovers
    del found  # its files take 0.2 GB a million, which are not needed any more
    with write_aside(out_dir / INDEX) as aside:
        parquet.write_table(index, aside)
    parameters, parameter_counts = match_parameters(settings, folders, index)
    with write_aside(out_dir / PARAMETERS) as aside:
        parquet.write_table(parameters, aside)
    no_cutouts = [
        RejectedFile(printable(path), bucket, "", f"not a cutout ({reason})")
        for path, bucket, reason in leftovers
    ]
    _write_rejected(out_dir / REJECTED, [*rejected.values(), *no_cutouts])
    summary = summarise(settings, objects, index, rejected, leftovers) | {
        "filled": {
            "n_cutouts": len(filled),
            "n_pixels": sum(filled.values()),
            "first": [printable(path) for path in islice(filled, _MOST_EXAMPLES)],
        },
        "lists": {path: sha256_of(located(path)) for path in settings.paths if located(path).is_file()},
        "part": part,
        "parts": n_parts,
        "parameters": parameter_counts,
        "sha256": {name: sha256_of(out_dir / name) for name in (CUTOUTS, INDEX, PARAMETERS, REJECTED)},
    }
    PackSummary.model_validate(summary).write(out_dir / SUMMARY)
    log_summary(summary, rejected, leftovers)


def _pack_files(
    files: Sequence[FoundFile], settings: PackSettings, target: Path, n_processes: int
) -> tuple[pa.Table, dict[int, RejectedFile], dict[str, int]]:
    """Write the cutouts; give the index, rejected files by number, and counts of filled pixels by path."""
    size_px, bands, names = settings.size_px, bands_of(settings), _names_of_buckets(settings)
    n_bytes = size_px * size_px * 4  # of a cutout
    batches, rejected = [], {}
    filled: dict[str, int] = {}
    with target.open("wb") as packed:
        start = _write_header(packed, len(files), size_px)
        end = start
        paths = [file.path for file in files]
        blocks = pack_blocks(paths, size_px, settings.non_finite, target, start, n_processes)
        n_blocks = math.ceil(len(files) / BLOCK_FILES)
        for number, block in enumerate(progress(blocks, n_blocks, "reading", "thousand files")):
            first = number * BLOCK_FILES
            size = len(block.header_ids) * n_bytes
            if end != start + first * n_bytes and size:  # close the gap that rejected files left
                moved = np.fromfile(target, np.uint8, size, offset=start + first * n_bytes)
                packed.seek(end)
                packed.write(moved.data)
                packed.flush()
            end += size
            part = files[first : first + BLOCK_FILES]
            for place, reason in block.rejected.items():
                file = part[place]
                rejected[first + place] = RejectedFile(
                    printable(file.path), names[file.bucket], printable(file.object), reason
                )
            filled |= {part[place].path: n_pixels for place, n_pixels in block.filled.items()}
            batches.append(_index_of(part, block, settings, bands))
        packed.truncate(end)
        packed.seek(0)
        _write_header(packed, (end - start) // n_bytes, size_px)
    return pa.Table.from_batches(batches, SCHEMA), rejected, filled


def _write_header(packed: BinaryIO, n_cutouts: int, size_px: int) -> int:
    """Write the header of an .npy file; its length, which NumPy keeps the same for any number of cutouts."""
    shape = (n_cutouts, size_px, size_px)
    np.lib.format.write_array_header_1_0(packed, {"descr": "<f4", "fortran_order": False, "shape": shape})
    packed.flush()
    return packed.tell()


def _names_of_buckets(settings: PackSettings) -> list[str]:
    return [""] if settings.labelled is None else list(settings.places)


def _index_of(
    files: Sequence[FoundFile], block: Block, settings: PackSettings, bands: Sequence[str]
) -> pa.RecordBatch:
    good = [file for number, file in enumerate(files) if number not in block.rejected]
    names = _names_of_buckets(settings)
    buckets = [names[file.bucket] for file in good]
    stated = settings.labelled or {}
    domains = {"": UNKNOWN} | {name: str(bucket.domain) for name, bucket in stated.items()}
    labels = {"": -1} | {name: LABELS[str(bucket.label)] for name, bucket in stated.items()}
    columns = [
        [file.object for file in good],
        [bands[file.band] for file in good],
        [file.path for file in good],
        buckets,
        [domains[bucket] for bucket in buckets],
        [labels[bucket] for bucket in buckets],
        [linking_id(header_id) for header_id in block.header_ids],
        block.pixel_hashes,
    ]
    return pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _refuse_many(
    rejected: dict[int, RejectedFile], n_files: int, settings: PackSettings, n_parts: int
) -> None:
    allowed = settings.max_rejected * n_files
    if n_parts > 1:
        # Chance spreads the bad files of a set over its parts: what the whole may have, a part may exceed.
        allowed += 5 * math.sqrt(allowed) + 1
    # A set of which nothing is left is no set, whatever share is allowed; a small part may be so by chance.
    all_rejected = len(rejected) == n_files >= (1 if n_parts == 1 else _MANY_FILES)
    if len(rejected) <= allowed and not all_rejected:
        return
    for file in islice(rejected.values(), _MOST_LOGGED):
        _LOG.warning("%r: %s", file.path, file.reason)
    kinds = Counter(kind_of(file.reason) for file in rejected.values())
    first = {kind_of(file.reason): file for file in reversed(rejected.values())}
    reasons = "; ".join(
        f"{n} x {kind}, such as {first[kind].path!r}: {first[kind].reason}" for kind, n in kinds.most_common()
    )
    share = "less than all" if len(rejected) <= allowed else f"at most {settings.max_rejected:.3%}"
    raise InputError(
        f"{settings.dataset}: expected {share} of the files to be unreadable (max_rejected), "
        f"found {len(rejected)} of {n_files} ({len(rejected) / n_files:.3%}): {reasons}"
    )


def _write_rejected(path: Path, files: Sequence[RejectedFile]) -> None:
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(RejectedFile._fields)
        writer.writerows(files)
