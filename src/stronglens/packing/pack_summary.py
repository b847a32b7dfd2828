"""What a packed data set holds and what is odd about it, in numbers and with examples."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.settings.data import PackSettings
from stronglens.sources.bands_found import bands_of
from stronglens.sources.find import FoundFile, Leftover
from stronglens.sources.names import NO_BAND, printable
from stronglens.sources.rejected import kind_of

log = logging.getLogger(__name__)
_MOST_EXAMPLES = 10
_MOST_LOGGED = 100


class RejectedFile(NamedTuple):
    """A row of `rejected.csv`: a file, its bucket, object and band ("" if it is no cutout), and why."""

    path: str
    bucket: str
    object: str
    band: str
    reason: str


@dataclass(frozen=True)
class ObjectBands:
    """The objects of a data set, and the bands of each.

    Attributes
    ----------
    names : list of str
        The objects' keys, in the order of their files.
    on_disk, packed : ndarray of bool, shape (n_objects, n_bands)
        Which of the configured bands an object has files of, and which of those could be read. An object with
        a bare name has one cutout: it lacks no band.
    """

    names: list[str]
    on_disk: npt.NDArray[np.bool_]
    packed: npt.NDArray[np.bool_]


def object_bands(files: Sequence[FoundFile], rejected: Iterable[int], settings: PackSettings) -> ObjectBands:
    """Find the objects that files belong to, and their bands.

    Parameters
    ----------
    files : sequence of FoundFile
        Sorted.
    rejected : iterable of int
        Numbers of the files that could not be read.
    settings : PackSettings
        Its bands.
    """
    names: list[str] = []
    numbers = np.empty(len(files), dtype=np.int64)
    for row, file in enumerate(files):
        if not names or names[-1] != file.object:
            names.append(file.object)
        numbers[row] = len(names) - 1
    bands = np.fromiter((file.band for file in files), dtype=np.int64, count=len(files))
    readable = np.ones(len(files), dtype=bool)
    readable[list(rejected)] = False
    on_disk = np.zeros((len(names), len(bands_of(settings))), dtype=bool)
    packed = np.zeros_like(on_disk)
    on_disk[numbers, bands] = True
    packed[numbers[readable], bands[readable]] = True
    bare = bands_of(settings).index(NO_BAND)
    configured = len(settings.bands)
    return ObjectBands(
        names, on_disk[:, :configured] | on_disk[:, [bare]], packed[:, :configured] | packed[:, [bare]]
    )


def summarise(
    settings: PackSettings,
    objects: ObjectBands,
    index: pa.Table,
    rejected: Mapping[int, RejectedFile],
    leftovers: Sequence[Leftover],
) -> dict[str, Any]:
    """Describe a packed data set.

    Parameters
    ----------
    settings : PackSettings
        How it was packed.
    objects : ObjectBands
        The objects that it was packed from.
    index : Table
        A row per cutout (see `stronglens.packing.pack.SCHEMA`).
    rejected : mapping of int to RejectedFile
        The files that could not be read.
    leftovers : sequence of Leftover
        The files that are no cutouts.

    Returns
    -------
    dict
        For `summary.json`. `n_objects` are those with a cutout, `unreadable_objects` the others.
        `missing_bands`: objects for which no file of a band was found. `n_objects_incomplete`: objects that
        lack a band for that reason or another.
    """
    packed = objects.packed
    lost = np.flatnonzero(~packed.any(axis=1))
    return {
        "dataset": settings.dataset,
        "labelled": settings.labelled is not None,
        "size_px": settings.size_px,
        "bands": settings.bands,
        "n_files": len(index) + len(rejected),
        "n_cutouts": len(index),
        "n_rejected": len(rejected),
        "n_objects": len(objects.names) - len(lost),
        "n_objects_incomplete": int((packed.any(axis=1) & ~packed.all(axis=1)).sum()),
        "unreadable_objects": sorted(printable(objects.names[number]) for number in lost),
        "counts": {name: _count_rows(index[name]) for name in ("bucket", "domain", "label", "band")},
        "rejected": _count(kind_of(file.reason) for file in rejected.values()),
        "leftovers": _count(left.reason for left in leftovers),
        "missing_bands": {
            band: {
                "n_objects": int((~has_band).sum()),
                "first": [
                    printable(objects.names[number]) for number in np.flatnonzero(~has_band)[:_MOST_EXAMPLES]
                ],
            }
            for band, has_band in zip(settings.bands, objects.on_disk.T, strict=True)
            if not has_band.all()
        },
        "shared_header_ids": _shared(index, "header_id", "object"),
        "identical_cutouts": _shared(index, "pixel_hash", "path"),
        "settings": settings.model_dump(mode="json"),
    }


def log_summary(
    summary: Mapping[str, Any], rejected: Mapping[int, RejectedFile], leftovers: Sequence[Leftover]
) -> None:
    """Say in the log what `summarise` found, oddities as warnings."""
    log.info(
        "%s: %d cutouts of %d objects packed",
        summary["dataset"],
        summary["n_cutouts"],
        summary["n_objects"],
    )
    for reason, n in summary["leftovers"].items():
        paths = (left.path for left in leftovers if left.reason == reason)
        log.info("%d not cutouts, %s: %s", n, reason, _listed(islice(paths, _MOST_EXAMPLES)))
    for file in islice(rejected.values(), _MOST_LOGGED):
        log.warning("rejected: %r: %s", file.path, file.reason)
    if len(rejected) > _MOST_LOGGED:
        log.warning("%d more files rejected: see rejected.csv", len(rejected) - _MOST_LOGGED)
    for band, lacking in summary["missing_bands"].items():
        log.warning(
            "%d objects have no file in band %s: %s", lacking["n_objects"], band, _listed(lacking["first"])
        )
    filled = summary["filled"]
    if filled["n_cutouts"]:
        log.warning(
            "%d pixels of %d cutouts were not finite and are filled with the median of the others: %s",
            filled["n_pixels"],
            filled["n_cutouts"],
            _listed(filled["first"]),
        )
    if summary["unreadable_objects"]:
        lost = summary["unreadable_objects"]
        log.warning("%d objects without any readable cutout: %s", len(lost), _listed(lost[:_MOST_EXAMPLES]))
    for key, thing, member in (
        ("shared_header_ids", "ids in the files", "objects"),
        ("identical_cutouts", "images", "cutouts"),
    ):
        shared = summary[key]
        if shared["n"]:
            examples = "; ".join(_listed(group) for group in shared["first"])
            log.warning(
                "%d %s belong to %d %s: %s", shared["n"], thing, shared["n_members"], member, examples
            )
        if shared["n_both_labels"]:
            log.warning("%d %s belong to lenses and to non-lenses", shared["n_both_labels"], thing)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _count_rows(column: pa.ChunkedArray) -> dict[str, int]:
    counted = compute.value_counts(column).to_pylist()
    return {str(row["values"]): row["counts"] for row in sorted(counted, key=lambda row: row["values"])}


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _shared(index: pa.Table, column: str, member: str) -> dict[str, Any]:
    """Values of a column that several members have in common: how many, and the first of them.

    Texts are compared by their 64-bit hashes, which takes a tenth of the memory: among a million, two are
    taken for one with a probability of 3e-8.
    """
    values, members = _hashes(index[column]), _hashes(index[member])
    labels = index["label"].to_numpy()
    given = np.flatnonzero(values != hash(""))
    rows = given[np.lexsort((given, members[given], values[given]))]
    rows = rows[_first_of_each(values[rows], members[rows])]  # one of each value and member, in that order
    starts = np.flatnonzero(_first_of_each(values[rows]))
    sizes = np.diff(np.append(starts, len(rows)))
    shared = sizes > 1
    if not shared.any():
        return {"n": 0, "n_members": 0, "n_both_labels": 0, "first": []}
    lowest, highest = (extreme.reduceat(labels[rows], starts) for extreme in (np.minimum, np.maximum))
    groups = np.flatnonzero(shared)
    groups = groups[np.argsort(np.minimum.reduceat(rows, starts)[groups])][:_MOST_EXAMPLES]
    return {
        "n": int(shared.sum()),
        "n_members": int(sizes[shared].sum()),
        "n_both_labels": int((lowest != highest)[shared].sum()),
        "first": [
            index[member].take(np.sort(rows[start : start + size])[:_MOST_EXAMPLES]).to_pylist()
            for start, size in zip(starts[groups], sizes[groups], strict=True)
        ],
    }


def _first_of_each(*sorted_columns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which rows differ from the one before them."""
    first = np.ones(len(sorted_columns[0]), dtype=bool)
    first[1:] = np.any([column[1:] != column[:-1] for column in sorted_columns], axis=0)
    return first


def _hashes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    chunks = [np.fromiter(map(hash, chunk.to_pylist()), np.int64, len(chunk)) for chunk in column.chunks]
    return np.concatenate([np.empty(0, dtype=np.int64), *chunks])
