"""Packing a data set: every file read once, good cutouts into one array, bad ones into a list of reasons."""

import csv
import logging
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from stronglens.formats.artefact import sha256_of, write_aside
from stronglens.formats.digits import share
from stronglens.formats.packed import CUTOUTS, INDEX, PARAMETERS, REJECTED, SUMMARY, PackSummary
from stronglens.packing.blocks import BLOCK_FILES, Block, Reads, Wanted, pack_blocks
from stronglens.packing.pack_summary import RejectedFile, log_summary, object_bands, summarise
from stronglens.packing.parameters import match_parameters, with_coordinates
from stronglens.packing.pixel_scales import PixelScales
from stronglens.running.collection import older_objects_frozen
from stronglens.running.errors import InputError
from stronglens.running.progress import progress
from stronglens.settings.data import PackSettings, located
from stronglens.sources.bands_found import bands_of
from stronglens.sources.find import Found, FoundBucket, FoundFile, find_cutouts
from stronglens.sources.image_choice import linking_id
from stronglens.sources.names import printable
from stronglens.sources.protocol import Request
from stronglens.sources.rejected import kind_of

log = logging.getLogger(__name__)

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
        "ra": pa.float64(),
        "dec": pa.float64(),
        "unit": TEXT,
        "zero_point": pa.float64(),
    }
)
"""Columns of the index. `ra` and `dec` in degrees, `zero_point` the AB magnitude of one `unit`; NaN and ""
where nothing is known of them."""

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
    with _scratch_in(out_dir) as scratch:
        found = find_cutouts(settings, part, n_parts, scratch)
        log.info(
            "%s: %d files found, %d more paths lead to the same files, %d other files",
            settings.dataset,
            len(found.files),
            found.n_repeated,
            len(found.leftovers),
        )
        with write_aside(out_dir / CUTOUTS) as aside, older_objects_frozen():
            index, rejected, filled, n_fitted = _pack_files(found, settings, aside, n_processes)
            _refuse_many(rejected, len(found.files), settings, n_parts)
    objects = object_bands(found.files, rejected, settings)
    folders, leftovers, buckets = found.folders, found.leftovers, found.buckets
    del found  # its files take 0.2 GB a million, which are not needed any more
    parameters, parameter_counts = match_parameters(settings, folders, buckets, index)
    index = with_coordinates(index, parameters)
    ra = pa.array(index["ra"].to_numpy() % 360)  # a table may state it from -180, or 360
    index = index.set_column(index.schema.get_field_index("ra"), "ra", ra)
    with write_aside(out_dir / INDEX) as aside:
        parquet.write_table(index, aside)
    with write_aside(out_dir / PARAMETERS) as aside:
        parquet.write_table(parameters, aside)
    no_cutouts = [
        RejectedFile(printable(path), bucket, "", "", f"not a cutout ({reason})")
        for path, bucket, reason in leftovers
    ]
    _write_rejected(out_dir / REJECTED, [*rejected.values(), *no_cutouts])
    summary = summarise(settings, objects, index, rejected, leftovers) | {
        "filled": {
            "n_cutouts": len(filled),
            "n_pixels": sum(filled.values()),
            "first": [printable(path) for path in islice(filled, _MOST_EXAMPLES)],
        },
        "lists": {path: sha256_of(located(path)) for path in settings.list_paths if located(path).is_file()},
        "n_fitted": n_fitted,
        "part": part,
        "parts": n_parts,
        "parameters": parameter_counts,
        "sha256": {name: sha256_of(out_dir / name) for name in (CUTOUTS, INDEX, PARAMETERS, REJECTED)},
    }
    PackSummary.model_validate(summary).write(out_dir / SUMMARY)
    log_summary(summary, rejected, leftovers)


@contextmanager
def _scratch_in(out_dir: Path) -> Iterator[Path]:
    """A folder for whoever makes it, gone before and after, whatever a killed try left."""
    scratch = out_dir / ".unpacked"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Packed(NamedTuple):
    """What packing gave: index, rejected files by number, filled pixels by path, images fitted."""

    index: pa.Table
    rejected: dict[int, RejectedFile]
    filled: dict[str, int]
    n_fitted: int


def _pack_files(found: Found, settings: PackSettings, target: Path, n_processes: int) -> _Packed:
    """Write the cutouts."""
    files, size_px, bands = found.files, settings.size_px, bands_of(settings)
    n_bytes = size_px * size_px * 4  # of a cutout
    batches, rejected, n_fitted = [], {}, 0
    filled: dict[str, int] = {}
    scales = PixelScales()
    sources = list(settings.sources.values())
    reads = Reads(
        found.sources,
        [source.fit or "refuse" for source in sources],
        [tuple(source.sentinels or ()) for source in sources],
        size_px,
        settings.non_finite,
    )
    with target.open("wb") as packed:
        start = _write_header(packed, len(files), size_px)
        end = start
        blocks = pack_blocks(partial(_wanted, files, bands), len(files), reads, target, start, n_processes)
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
            n_fitted += block.n_fitted
            part = files[first : first + BLOCK_FILES]
            for row, reason in block.rejected.items():
                file = part[row]
                bucket = found.buckets[file.bucket].name
                rejected[first + row] = RejectedFile(
                    printable(file.path), bucket, printable(file.object), bands[file.band], reason
                )
            filled |= {part[row].path: n_pixels for row, n_pixels in block.filled.items()}
            good = [file for row, file in enumerate(part) if row not in block.rejected]
            batches.append(_index_of(good, block, found.buckets, bands))
            scales.see([(file.bucket, file.object) for file in good], block.scales_arcsec)
        packed.truncate(end)
        packed.seek(0)
        _write_header(packed, (end - start) // n_bytes, size_px)
    scales.warn(settings.dataset)
    return _Packed(pa.Table.from_batches(batches, SCHEMA), rejected, filled, n_fitted)


def _wanted(files: Sequence[FoundFile], bands: Sequence[str], first: int, last: int) -> Wanted:
    """What is asked of readers for some of the files."""
    part = files[first:last]
    requests = [(file.path, file.position, bands[file.band]) for file in part]
    # `Request(...)` takes four times as long, and there are many.
    return Wanted([file.source for file in part], [tuple.__new__(Request, request) for request in requests])


def _write_header(packed: BinaryIO, n_cutouts: int, size_px: int) -> int:
    """Write the header of an .npy file; its length, which NumPy keeps the same for any number of cutouts."""
    shape = (n_cutouts, size_px, size_px)
    np.lib.format.write_array_header_1_0(packed, {"descr": "<f4", "fortran_order": False, "shape": shape})
    packed.flush()
    return packed.tell()


def _index_of(
    good: Sequence[FoundFile], block: Block, buckets: Sequence[FoundBucket], bands: Sequence[str]
) -> pa.RecordBatch:
    """Rows of the files of a block that were written."""
    of_files = [buckets[file.bucket] for file in good]
    # What a table states goes before what a header does.
    numbers = [
        (ra, dec, zero_point) if math.isnan(file.sky[0]) else (*file.sky, zero_point)
        for file, (ra, dec, zero_point) in zip(good, block.numbers, strict=True)
    ]
    columns = [
        [file.object for file in good],
        [bands[file.band] for file in good],
        [file.path for file in good],
        [bucket.name for bucket in of_files],
        [bucket.domain for bucket in of_files],
        [bucket.label for bucket in of_files],
        [file.same or linking_id(header_id) for file, header_id in zip(good, block.header_ids, strict=True)],
        block.pixel_hashes,
        *([row[column] for row in numbers] for column in (0, 1)),
        block.units,
        [row[2] for row in numbers],
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
        log.warning("%r: %s", file.path, file.reason)
    kinds = Counter(kind_of(file.reason) for file in rejected.values())
    first = {kind_of(file.reason): file for file in reversed(rejected.values())}
    reasons = "; ".join(
        f"{n} x {kind}, such as {first[kind].path!r}: {first[kind].reason}" for kind, n in kinds.most_common()
    )
    expected = "less than all" if len(rejected) <= allowed else f"at most {100 * settings.max_rejected:g} %"
    raise InputError(
        f"{settings.dataset}: expected {expected} of the files to be unreadable (max_rejected), "
        f"found {len(rejected)} of {n_files} ({share(len(rejected), n_files)}): {reasons}"
    )


def _write_rejected(path: Path, files: Sequence[RejectedFile]) -> None:
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(RejectedFile._fields)
        writer.writerows(files)
