"""The submission: one answer for each object of a test set, whether it could be read or not."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.ensembling.member_predictions import starts_of_runs
from stronglens.ensembling.scored_set import row_ids
from stronglens.formats.artefact import sha256_of, write_aside
from stronglens.formats.digits import probability
from stronglens.formats.ensemble_table import KEY_COLUMN, EnsembleTable, Level, open_ensemble
from stronglens.formats.packed import CUTOUTS, INDEX, REJECTED, PackedObjects, open_objects
from stronglens.formats.submission_record import SubmissionRecord
from stronglens.formats.tables import (
    INTEGER,
    REAL,
    TEXT,
    finite,
    line_of,
    probabilities,
    read_header,
    read_table,
    write_table,
)
from stronglens.running.errors import InputError
from stronglens.settings.decide import SubmissionSettings, ThresholdSettings
from stronglens.settings.lens_parameters import in_order
from stronglens.submitting.record import Origins, describe_origins
from stronglens.submitting.submission_forms import FORMS, SubmissionForm
from stronglens.submitting.surroundings import code_state, machine, versions

log = logging.getLogger(__name__)

DECIMALS = 6
"""Decimals of estimated parameters: far below their errors."""


@dataclass(frozen=True)
class Answers:
    """Answers in the order of the submission.

    Attributes
    ----------
    ids : Array of large_string, shape (n_rows,)
        In ascending order, each once.
    preds : ndarray of int64, shape (n_rows,)
        1 lens, 0 none.
    probs : ndarray of float64, shape (n_rows,)
        Probability of being a lens; equal to `preds` where nothing could be read.
    unreadable : Array of large_string
        Those of the ids of which nothing could be read, or nothing in a band that a member looks at.
    estimates : mapping of str to ndarray of float64, shape (n_rows,)
        Lens parameters, if they are submitted: NaN for what is not called a lens or could not be read.
    """

    ids: pa.Array
    preds: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float64]
    unreadable: pa.Array
    estimates: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def make_submission(
    ensemble_csv: Path,
    packed: Sequence[Path],
    out: Path,
    provenance: Path,
    settings: SubmissionSettings,
    *,
    simulated: bool = False,
    origins: Origins | None = None,
    threshold_settings: ThresholdSettings | None = None,
) -> None:
    """Write the submission, checked before it takes its name, and a record of what made it.

    Parameters
    ----------
    ensemble_csv : Path
        `test_ens.csv`, with its description beside it.
    packed : sequence of Path
        All parts of the packed test set, in any order.
    out, provenance : Path
        The submission and the JSON file for the record.
    settings : SubmissionSettings
        Its form, and the answer for what cannot be read.
    simulated : bool
        Whether the data are simulated; goes into the record.
    origins : Origins, optional
        The steps before, for the record.
    threshold_settings : ThresholdSettings, optional
        How t* was chosen, for the record.

    Raises
    ------
    InputError
        An object with readable cutouts has no probability, or one with a probability is not in the test set;
        two files would have the same id; a file is missing, malformed or changed since it was made; what is
        given for the record is not what the ensemble was made from; or lens parameters are to be submitted
        and the ensemble or the form has none.
    """
    ensemble = open_ensemble(ensemble_csv)
    threshold = ensemble.description.threshold
    if threshold is None:
        raise InputError(
            f"{ensemble_csv}: expected the ensemble of a test set, found one without a threshold"
        )
    parts = [open_objects(folder) for folder in packed]
    form = FORMS[settings.form]
    estimated = estimates_for(ensemble, form) if settings.lens_parameters else []
    answers = collect_answers(ensemble, parts, settings.unreadable_pred, estimated)
    origin = describe_origins(ensemble, packed, origins or Origins())
    with write_aside(out) as aside:
        write_submission(aside, answers, form)
        check_submission(aside, form, answers.ids, estimated)
        csv_sha256 = sha256_of(aside)
    n_lenses = int(np.count_nonzero(answers.preds))
    unreadable = answers.unreadable.to_pylist()
    code = code_state()
    stated = {
        "form": settings.form,
        "n_rows": len(answers.ids),
        "n_lenses": n_lenses,
        "threshold": threshold,
        "level": ensemble.level,
        "ensemble": settings.ensemble,
        "members": origin["members"],
        "testset": settings.testset,
        "data_sha256": [
            {name: part.summary.sha256[name] for name in (CUTOUTS, INDEX, REJECTED)} for part in parts
        ],
        "unreadable": unreadable,
        "unreadable_pred": settings.unreadable_pred,
        **_estimates_in_record(ensemble, answers),
        "simulated": simulated,
        "settings": origin["settings"]
        | {
            "submission": settings.model_dump(mode="json"),
            "threshold": threshold_settings and threshold_settings.model_dump(mode="json"),
        },
        "folders": origin["folders"],
        "files": origin["files"],
        "versions": versions(),
        "code": code,
        "machine": machine(),
        "sha256": {out.name: csv_sha256},
    }
    SubmissionRecord.model_validate(stated).write(provenance)
    if code["dirty"]:
        log.warning(
            "the code differs from revision %s: %s", code["revision"][:12], ", ".join(code["changed"])
        )
    if unreadable:
        answer = "a lens" if settings.unreadable_pred else "no lens"
        log.warning(
            "%d of %d could not be read and are answered with: %s: %s",
            len(unreadable),
            len(answers.ids),
            answer,
            ", ".join(unreadable),
        )
    kind = "simulated data, " if simulated else ""
    log.info(
        "%s: %s%d rows, %d lenses at t* = %s", out, kind, len(answers.ids), n_lenses, probability(threshold)
    )


def estimates_for(ensemble: EnsembleTable, form: SubmissionForm) -> list[str]:
    """Lens parameters that an ensemble estimates and a form has columns for.

    Raises
    ------
    InputError
        There are none.
    """
    estimated = ensemble.description.lens_parameters
    found = [name for name in in_order(set(estimated)) if form.columns_of(name)]
    if not found:
        raise InputError(
            f"{ensemble.csv}: expected estimates of lens parameters for columns of the submission, found "
            "none: the form has no columns for them, or no member estimates one"
        )
    return found


def _estimates_in_record(ensemble: EnsembleTable, answers: Answers) -> dict[str, Any]:
    """What the record says of lens parameters, where they are submitted."""
    if not answers.estimates:
        return {}
    n_members = ensemble.description.lens_parameters
    n_values = {name: int(np.isfinite(values).sum()) for name, values in answers.estimates.items()}
    return {
        "lens_parameters": {
            name: {"n_members": n_members[name], "n_objects": n_values[name]} for name in answers.estimates
        }
    }


def collect_answers(
    ensemble: EnsembleTable,
    parts: Sequence[PackedObjects],
    unreadable_pred: int,
    estimated: Sequence[str] = (),
) -> Answers:
    """Bring together the ensemble's answers and the objects it could not see.

    Parameters
    ----------
    ensemble : EnsembleTable
        Of a test set.
    parts : sequence of PackedObjects
        The test set.
    unreadable_pred : 0 or 1
        The answer for an object (a file, at level "file") of which nothing could be read.
    estimated : sequence of str
        Lens parameters to submit, columns of the ensemble's table.

    Returns
    -------
    Answers
        Ids are object keys, or stems of files at level "file".

    Raises
    ------
    InputError
        See `make_submission`.
    """
    level = ensemble.level
    estimates = dict.fromkeys(estimated, REAL)
    table = ensemble.read(
        {KEY_COLUMN[level]: TEXT, "prob": REAL, "pred": INTEGER, "n_cutouts": INTEGER, **estimates}
    )
    probs = probabilities(ensemble.csv, table)
    preds = table["pred"].to_numpy()
    wrong = ~np.isin(preds, (0, 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{ensemble.csv}: line {line_of(row)}: expected pred 0 or 1, found {preds[row]}")
    ids, order = _sorted_ids(table, level)
    _check_each_once(ensemble.csv, ids)
    readable = _distinct([_sorted_ids(part.index([KEY_COLUMN[level]]), level)[0] for part in parts])
    if not ids.equals(readable):
        raise InputError(_difference(ensemble.csv, ids, readable))
    rejected = _distinct([_sorted_ids(part.rejected(), level)[0] for part in parts])
    # Few are rejected: looking for them among the others is faster than the other way round.
    seen = readable.filter(compute.is_in(readable, value_set=rejected))
    unreadable = rejected.filter(compute.invert(compute.is_in(rejected, value_set=seen)))
    answer = np.full(len(unreadable), unreadable_pred)
    unseen = table["n_cutouts"].to_numpy() == 0  # objects without any of the bands that the members look at
    preds = np.where(unseen, unreadable_pred, preds)
    probs = np.where(unseen, unreadable_pred, probs)
    all_ids = pa.concat_arrays([ids, unreadable])
    rows = compute.sort_indices(all_ids).to_numpy()
    nothing = np.full(len(unreadable), np.nan)
    return Answers(
        ids=all_ids.take(rows),
        preds=np.concatenate([preds[order], answer])[rows],
        probs=np.concatenate([probs[order], answer.astype(np.float64)])[rows],
        unreadable=_distinct([ids.filter(pa.array(unseen[order])), unreadable]),
        estimates={
            # An estimate is one for a lens: of another object it would mean nothing.
            name: np.concatenate(
                [np.where((preds == 1) & ~unseen, finite(ensemble.csv, table, name), np.nan)[order], nothing]
            )[rows]
            for name in estimated
        },
    )


def write_submission(path: Path, answers: Answers, form: SubmissionForm) -> None:
    """Write answers in a form; what the form asks for and nobody estimated gets its filler."""
    values = answers.preds if form.answer == "preds" else answers.probs
    parameters = dict.fromkeys(form.parameters, pa.repeat(form.filler, len(answers.ids)))
    for name, estimates in answers.estimates.items():
        filled = np.where(np.isfinite(estimates), estimates.round(DECIMALS), form.filler)
        parameters |= dict.fromkeys(form.columns_of(name), pa.array(filled))
    table = pa.table([answers.ids, values, *parameters.values()], names=form.columns)
    write_table(path, form.columns, [table])


def check_submission(path: Path, form: SubmissionForm, ids: pa.Array, estimated: Sequence[str] = ()) -> None:
    """Read a submission back and refuse it unless it is what the challenge asks for.

    Parameters
    ----------
    path : Path
        The file.
    form : SubmissionForm
        Its form.
    ids : Array of large_string
        The ids it must hold, in ascending order.
    estimated : sequence of str
        Lens parameters that it gives for what it calls lenses.

    Raises
    ------
    InputError
        Columns or their order differ; an id is missing, additional, repeated or out of place; an answer is
        not 0 or 1, or no probability; an estimate is not finite, or one is given for what is no lens.
    """
    header = read_header(path, "utf-8")  # a submission has no byte-order mark
    if header != list(form.columns):
        raise InputError(f"{path}: expected the columns {','.join(form.columns)}; found {','.join(header)}")
    table = read_table(path, {"id": TEXT, form.answer: INTEGER if form.answer == "preds" else REAL})
    if len(table) != len(ids):
        raise InputError(f"{path}: expected {len(ids)} rows, found {len(table)}")
    found = table["id"].combine_chunks()
    differ = compute.not_equal(found, ids).to_numpy(zero_copy_only=False)
    if differ.any():
        row = int(np.argmax(differ))
        raise InputError(
            f"{path}: line {line_of(row)}: expected id {ids[row].as_py()}, found {found[row].as_py()}"
        )
    _check_each_once(path, found)
    answers = probabilities(path, table, form.answer)
    if form.answer == "preds" and not np.isin(answers, (0, 1)).all():
        raise InputError(f"{path}: expected preds 0 or 1, found {sorted(set(answers.tolist()))}")
    columns = [column for name in estimated for column in form.columns_of(name)]
    values = read_table(path, dict.fromkeys(columns, REAL)) if columns else None
    for column in columns:
        stray = (finite(path, values, column) != form.filler) & (answers != 1)
        if stray.any():
            row = int(np.argmax(stray))
            raise InputError(
                f"{path}: line {line_of(row)}: expected {form.filler} in column {column} for what is called "
                "no lens, found an estimate"
            )


def _sorted_ids(table: pa.Table, level: Level) -> tuple[pa.Array, npt.NDArray[np.uint64]]:
    """Ids of the rows of a table in ascending order, and the rows in this order."""
    ids = row_ids(table, level)
    order = compute.sort_indices(ids).to_numpy()
    return ids.take(order), order


def _distinct(ids: Sequence[pa.Array]) -> pa.Array:
    """All ids in ascending order, each once."""
    together = pa.concat_arrays(ids)
    together = together.take(compute.sort_indices(together))
    return together.take(starts_of_runs(together))


def _check_each_once(path: Path, ids: pa.Array) -> None:
    """Refuse ids, in ascending order, of which one is repeated."""
    starts = starts_of_runs(ids)
    if len(starts) < len(ids):
        repeated = ids[int(starts[np.diff(starts, append=len(ids)) > 1][0])].as_py()
        raise InputError(f"{path}: expected each id once, found {repeated} more than once")


def _difference(path: Path, ids: pa.Array, readable: pa.Array) -> str:
    lost = readable.filter(compute.invert(compute.is_in(readable, value_set=ids)))
    if len(lost):
        return (
            f"{path}: expected a probability for each readable object of the test set, "
            f"found none for {len(lost)}: {_first(lost)}"
        )
    strange = ids.filter(compute.invert(compute.is_in(ids, value_set=readable)))
    return (
        f"{path}: expected objects of the test set only, "
        f"found {len(strange)} that are not in it: {_first(strange)}"
    )


def _first(ids: pa.Array) -> str:
    return ", ".join(ids.slice(0, 5).to_pylist()) + (", …" if len(ids) > 5 else "")
