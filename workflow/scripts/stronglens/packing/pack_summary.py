"""What a packed data set holds and what is odd about it, in numbers and with examples."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.packing.find import Found, FoundFile, Leftover, bands_of
from stronglens.packing.names import NO_BAND, printable
from stronglens.packing.rejected import kind_of
from stronglens.settings.data import PackSettings

_LOG = logging.getLogger("stronglens")
_MOST_EXAMPLES = 10
_MOST_LOGGED = 100


class RejectedFile(NamedTuple):
    """A row of `rejected.csv`: a file, its bucket and object ("" if it is no cutout at all), and why."""

    path: str
    bucket: str
    object: str
    reason: str


def summarise(
    settings: PackSettings, found: Found, index: pa.Table, rejected: Mapping[int, RejectedFile]
) -> dict[str, Any]:
    """Describe a packed data set.

    Parameters
    ----------
    settings : PackSettings
        How it was packed.
    found : Found
        The files it was packed from.
    index : Table
        A row per cutout (see `stronglens.packing.pack.SCHEMA`).
    rejected : mapping of int to RejectedFile
        By number in `found.files`.

    Returns
    -------
    dict
        For `summary.json`. `n_objects` are those with a cutout, `unreadable_objects` the others.
        `missing_bands`: objects for which no file of a band was found. `n_objects_incomplete`: objects that
        lack a band for that reason or another.
    """
    readable = np.ones(len(found.files), dtype=bool)
    readable[list(rejected)] = False
    objects, on_disk, packed = _bands_of_objects(found.files, readable, settings)
    lost = np.flatnonzero(~packed.any(axis=1))
    return {
        "format": 1,
        "dataset": settings.dataset,
        "labelled": settings.labelled is not None,
        "size_px": settings.size_px,
        "bands": settings.bands,
        "n_files": len(found.files),
        "n_cutouts": len(index),
        "n_rejected": len(rejected),
        "n_objects": len(objects) - len(lost),
        "n_objects_incomplete": int((packed.any(axis=1) & ~packed.all(axis=1)).sum()),
        "unreadable_objects": sorted(printable(objects[number]) for number in lost),
        "counts": {name: _count_rows(index[name]) for name in ("bucket", "domain", "label", "band")},
        "rejected": _count(kind_of(file.reason) for file in rejected.values()),
        "leftovers": _count(left.reason for left in found.leftovers),
        "missing_bands": {
            band: {
                "n_objects": int((~has_band).sum()),
                "first": [
                    printable(objects[number]) for number in np.flatnonzero(~has_band)[:_MOST_EXAMPLES]
                ],
            }
            for band, has_band in zip(settings.bands, on_disk.T, strict=True)
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
    _LOG.info(
        "%s: %d cutouts of %d objects packed",
        summary["dataset"],
        summary["n_cutouts"],
        summary["n_objects"],
    )
    for reason, n in summary["leftovers"].items():
        paths = (left.path for left in leftovers if left.reason == reason)
        _LOG.info("%d not cutouts, %s: %s", n, reason, _listed(islice(paths, _MOST_EXAMPLES)))
    for file in islice(rejected.values(), _MOST_LOGGED):
        _LOG.warning("rejected: %r: %s", file.path, file.reason)
    if len(rejected) > _MOST_LOGGED:
        _LOG.warning("%d more files rejected: see rejected.csv", len(rejected) - _MOST_LOGGED)
    for band, lacking in summary["missing_bands"].items():
        _LOG.warning(
            "%d objects have no file in band %s: %s", lacking["n_objects"], band, _listed(lacking["first"])
        )
    filled = summary["filled"]
    if filled["n_cutouts"]:
        _LOG.warning(
            "%d pixels of %d cutouts were not finite and are filled with the median of the others: %s",
            filled["n_pixels"],
            filled["n_cutouts"],
            _listed(filled["first"]),
        )
    if summary["unreadable_objects"]:
        lost = summary["unreadable_objects"]
        _LOG.warning("%d objects without any readable cutout: %s", len(lost), _listed(lost[:_MOST_EXAMPLES]))
    for key, thing, member in (
        ("shared_header_ids", "ids in the files", "objects"),
        ("identical_cutouts", "images", "cutouts"),
    ):
        shared = summary[key]
        if shared["n"]:
            examples = "; ".join(_listed(group) for group in shared["first"])
            _LOG.warning(
                "%d %s belong to %d %s: %s", shared["n"], thing, shared["n_members"], member, examples
            )
        if shared["n_both_labels"]:
            _LOG.warning("%d %s belong to lenses and to others", shared["n_both_labels"], thing)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _count_rows(column: pa.ChunkedArray) -> dict[str, int]:
    counted = compute.value_counts(column).to_pylist()
    return {str(row["values"]): row["counts"] for row in sorted(counted, key=lambda row: row["values"])}


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _bands_of_objects(
    files: Sequence[FoundFile], readable: npt.NDArray[np.bool_], settings: PackSettings
) -> tuple[list[str], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Objects in the order of their files, which configured bands they have, and which of those are readable.

    An object with a bare name has one cutout: it lacks no band.
    """
    names: list[str] = []
    numbers = np.empty(len(files), dtype=np.int64)
    for place, file in enumerate(files):
        if not names or names[-1] != file.object:
            names.append(file.object)
        numbers[place] = len(names) - 1
    bands = np.fromiter((file.band for file in files), dtype=np.int64, count=len(files))
    on_disk = np.zeros((len(names), len(bands_of(settings))), dtype=bool)
    packed = np.zeros_like(on_disk)
    on_disk[numbers, bands] = True
    packed[numbers[readable], bands[readable]] = True
    bare = bands_of(settings).index(NO_BAND)
    configured = len(settings.bands)
    return names, on_disk[:, :configured] | on_disk[:, [bare]], packed[:, :configured] | packed[:, [bare]]


def _shared(index: pa.Table, column: str, member: str) -> dict[str, Any]:
    """Values of a column that several members have in common: how many, and the first of them."""
    repeated = _repeated(index, column, member)
    # One thread: groups come in the order in which they are met.
    pairs = repeated.group_by([column, member], use_threads=False).aggregate([("label", "max")])
    groups = pairs.group_by(column, use_threads=False).aggregate(
        [(member, "count"), ("label_max", "min"), ("label_max", "max")]
    )
    groups = groups.filter(compute.greater(groups[f"{member}_count"], 1))
    both = compute.not_equal(groups["label_max_min"], groups["label_max_max"])
    first = groups[column].slice(0, _MOST_EXAMPLES)
    examples = pairs.filter(compute.is_in(pairs[column], first.combine_chunks()))
    members: dict[str, list[str]] = {value: [] for value in first.to_pylist()}
    for value, name in zip(examples[column].to_pylist(), examples[member].to_pylist(), strict=True):
        members[value].append(name)
    return {
        "n": len(groups),
        "n_members": compute.sum(groups[f"{member}_count"]).as_py() or 0,
        "n_both_labels": compute.sum(both).as_py() or 0,
        "first": [group[:_MOST_EXAMPLES] for group in members.values()],
    }


def _repeated(index: pa.Table, column: str, member: str) -> pa.Table:
    """Rows whose value several members may have: few of many, so that the memory stays small."""
    values, members = _hashes(index[column]), _hashes(index[member])
    new = np.ones(len(index), dtype=bool)  # not just another cutout of the same object
    new[1:] = (values[1:] != values[:-1]) | (members[1:] != members[:-1])
    new &= values != hash("")
    distinct, counts = np.unique(values[new], return_counts=True)
    chosen = new & np.isin(values, distinct[counts > 1])
    return index.select([column, member, "label"]).filter(pa.array(chosen))


def _hashes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    chunks = [np.fromiter(map(hash, chunk.to_pylist()), np.int64, len(chunk)) for chunk in column.chunks]
    return np.concatenate([np.empty(0, dtype=np.int64), *chunks])
