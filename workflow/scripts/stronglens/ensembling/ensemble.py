"""Ensembles: the probability of an object, from all its bands and all members."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.artefact import sha256_of, write_aside, write_json
from stronglens.ensembling.ensemble_table import COLUMNS, csv_name, json_name
from stronglens.ensembling.member_predictions import (
    KEY_COLUMN,
    Level,
    Member,
    ObjectProbs,
    Prediction,
    Which,
    members_of,
    open_prediction,
    read_object_probs,
    starts_of_runs,
)
from stronglens.ensembling.merge import sorted_stream
from stronglens.ensembling.tables import write_table
from stronglens.errors import InputError
from stronglens.packing.packed_objects import PackedObjects, open_objects

log = logging.getLogger(__name__)


def make_ensemble(
    predictions: Sequence[Path],
    packed: Sequence[Path],
    out_dir: Path,
    *,
    which: Which,
    level: Level = "object",
    threshold: float | None = None,
    labelled: bool = False,
) -> None:
    """Combine the predictions of all members and write the ensemble's table with its description.

    Bands first, then members: p(object, member) is the mean over the object's readable cutouts; `prob` and
    `prob_std` are mean and sample standard deviation over members (0 for one). Every member weighs the same.

    Parameters
    ----------
    predictions : sequence of Path
        Folders, one for each member and part of the data, in any order: which member and which cutouts they
        belong to stands in them.
    packed : sequence of Path
        The packed data sets (parts) that were predicted, in any order.
    out_dir : Path
        Receives the table, a row per object (per path at level "file") in ascending order of its key, and
        the JSON file beside it. Both are the same bytes however many parts there are.
    which : "val" or "test"
        Which predictions, and so which names of files.
    level : "object" or "file"
        What a row is.
    threshold : float or None
        t*: the table gets a column `pred`, 1 where prob >= t*. Needed for "test", and only there.
    labelled : bool
        Whether the test set must have labels; decides the name of the table. Validation data always must.

    Raises
    ------
    InputError
        Members do not cover the same objects, or predictions and packed data do not belong together; or a
        file is missing, malformed or changed since it was made.
    """
    if (threshold is None) != (which == "val"):
        raise InputError(f"threshold: expected one for test and none for val, found {threshold} for {which}")
    opened = [open_prediction(folder, which) for folder in predictions]
    members = members_of(opened)
    parts = _match_parts(opened, [open_objects(folder) for folder in packed], members)
    if labelled or which == "val":
        _check_labelled(parts)
    columns = COLUMNS if threshold is None else (*COLUMNS, "pred")
    csv = out_dir / csv_name(which, labelled=labelled)
    tables = (_combine_part(part, of_part, level) for part, of_part in parts)
    with sorted_stream(tables, KEY_COLUMN[level], out_dir / ".parts") as stream, write_aside(csv) as aside:
        n_rows = write_table(aside, columns, stream if threshold is None else _decide(stream, threshold))
        if not n_rows:
            raise InputError(
                f"{opened[0].csv}: expected predictions, found none in any of {len(opened)} tables"
            )
        csv_sha256 = sha256_of(aside)
    description = {
        "format": 1,
        "members": [member.as_dict() for member in members],
        "level": level,
        "n_rows": n_rows,
        "sha256": {csv.name: csv_sha256},
    }
    if threshold is not None:
        description["threshold"] = threshold
    write_json(out_dir / json_name(which), description)
    log.info("%s: %d rows, the mean of %s", csv, n_rows, ", ".join(str(member) for member in members))


def _match_parts(
    predictions: Sequence[Prediction], packed: Sequence[PackedObjects], members: Sequence[Member]
) -> list[tuple[PackedObjects, list[Prediction]]]:
    """Bring together each part of the data and its predictions, one by each member in order of members.

    They know each other by the SHA-256 of the cutouts. Parts without cutouts are left out: a small data set
    may have several, and they all have the same SHA-256.
    """
    filled = [part for part in packed if part.n_cutouts]
    found: dict[str, dict[Member, Prediction]] = {part.cutouts_sha256: {} for part in packed}
    if len({part.cutouts_sha256 for part in filled}) < len(filled):
        raise InputError(f"packed: expected different data sets, found one twice in {_names(packed)}")
    for prediction in predictions:
        if prediction.cutouts_sha256 not in found:
            raise InputError(
                f"{prediction.stated_in}: expected predictions from the cutouts of {_names(packed)}, "
                f"found others (sha256 {prediction.cutouts_sha256[:12]}…)"
            )
        if prediction.n_samples:
            of_part = found[prediction.cutouts_sha256]
            if prediction.member in of_part:
                raise InputError(
                    f"{prediction.stated_in}: expected the predictions of {prediction.member} once for each "
                    f"part, found them in {of_part[prediction.member].stated_in} too"
                )
            of_part[prediction.member] = prediction
    parts = []
    for part in filled:
        of_part = found[part.cutouts_sha256]
        lacking = [str(member) for member in members if member not in of_part]
        if lacking:
            raise InputError(
                f"{part.folder}: expected predictions of every member, found none of {', '.join(lacking)}"
            )
        in_order = [of_part[member] for member in members]
        _check_one_split(in_order)
        parts.append((part, in_order))
    return parts


def _check_one_split(predictions: Sequence[Prediction]) -> None:
    first = predictions[0]
    for other in predictions[1:]:
        if other.objects_sha256 != first.objects_sha256:
            raise InputError(
                f"{other.stated_in}: expected the same split as in {first.stated_in}, found another: "
                "a member would be scored on objects it was trained on"
            )


def _check_labelled(parts: Sequence[tuple[PackedObjects, list[Prediction]]]) -> None:
    for part, _ in parts:
        if not part.labelled:
            raise InputError(f"{part.folder}: expected labelled data, found unlabelled")


def _combine_part(part: PackedObjects, predictions: Sequence[Prediction], level: Level) -> pa.Table:
    """The ensemble's rows for one part of the data, sorted by key."""
    index = part.index(["object", "band", "path", "bucket", "domain", "label"])
    first = read_object_probs(predictions[0], level)
    rows, n_cutouts = _rows_of(first.keys, index, predictions[0], part, KEY_COLUMN[level])
    probs = np.empty((len(predictions), len(rows)))
    for number, prediction in enumerate(predictions):
        reading = read_object_probs(prediction, level) if number else first
        if level == "file":
            _check_not_stacked(prediction, reading, index)
        if not reading.keys.equals(first.keys):
            raise InputError(_difference(predictions[0], first.keys, prediction, reading.keys))
        if part.labelled:
            _check_labels(prediction, reading, rows, part)
        probs[number] = reading.probs
    spread = probs.std(axis=0, ddof=1) if len(predictions) > 1 else np.zeros(len(rows))
    return pa.table(
        {name: rows[name] for name in rows.column_names}
        | {
            "prob": probs.mean(axis=0),
            "prob_std": spread,
            "n_members": np.full(len(rows), len(predictions)),
            "n_cutouts": n_cutouts,
        }
    )


def _rows_of(
    keys: pa.Array, index: pa.Table, prediction: Prediction, part: PackedObjects, key_column: str
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """What the index says of each key: the row of its first cutout, and how many cutouts it has."""
    names = index[key_column].combine_chunks()
    order = compute.sort_indices(names).to_numpy()  # stable: the first cutout of an object comes first
    names = names.take(order)
    starts = starts_of_runs(names)
    n_cutouts = np.diff(starts, append=len(names))
    places = compute.index_in(keys, value_set=names.take(starts))
    if places.null_count:
        unknown = keys.filter(places.is_null())[0].as_py()
        raise InputError(
            f"{prediction.csv}: expected objects of {part.folder}, found {unknown}, which it lacks"
        )
    place = places.to_numpy()
    rows = index.select(["object", "path", "bucket", "domain", "label"]).take(order[starts[place]])
    return rows, n_cutouts[place]


def _check_not_stacked(prediction: Prediction, reading: ObjectProbs, index: pa.Table) -> None:
    stacked = reading.bands - set(compute.unique(index["band"]).to_pylist())
    if stacked:
        raise InputError(
            f"{prediction.csv}: level file needs a probability for each file, found stacks of bands "
            f"{', '.join(sorted(stacked))} by {prediction.member}; take level object or leave this model out"
        )


def _check_labels(prediction: Prediction, reading: ObjectProbs, rows: pa.Table, part: PackedObjects) -> None:
    labels = rows["label"].to_numpy()
    differ = labels != reading.labels
    if differ.any():
        place = int(np.argmax(differ))
        raise InputError(
            f"{prediction.csv}: {reading.keys[place].as_py()}: expected label {labels[place]} "
            f"as in {part.folder}, found {reading.labels[place]}"
        )


def _difference(one: Prediction, one_keys: pa.Array, other: Prediction, other_keys: pa.Array) -> str:
    lines = ["expected all members to have predicted the same objects, found otherwise"]
    for has, has_keys, lacks, lacks_keys in (
        (one, one_keys, other, other_keys),
        (other, other_keys, one, one_keys),
    ):
        only = has_keys.filter(compute.invert(compute.is_in(has_keys, value_set=lacks_keys)))
        if len(only):
            shown = ", ".join(only.slice(0, 5).to_pylist()) + (", …" if len(only) > 5 else "")
            lines.append(f"{len(only)} of {has.member} lack in {lacks.member}: {shown}")
    return f"{other.csv}: " + "; ".join(lines)


def _decide(stream: Iterator[pa.Table], threshold: float) -> Iterator[pa.Table]:
    for table in stream:
        preds = (table["prob"].to_numpy() >= threshold).astype(np.int64)
        yield table.append_column("pred", pa.array(preds))


def _names(packed: Sequence[PackedObjects]) -> str:
    return ", ".join(str(part.folder) for part in packed)
