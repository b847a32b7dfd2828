"""Checking a submission against its record: the file, the files it came from, and the way between them."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import compute

from stronglens.ensembling.ensemble import combination_of, make_ensemble
from stronglens.formats.artefact import sha256_of
from stronglens.formats.ensemble_table import EnsembleDescription, json_name, open_ensemble
from stronglens.formats.packed import CUTOUTS, SUMMARY, PackSummary, open_objects
from stronglens.formats.prediction_files import PredictionDescription, description_name
from stronglens.formats.sidecar import Sidecar
from stronglens.formats.split_table import DESCRIPTION as SPLIT
from stronglens.formats.split_table import SplitDescription
from stronglens.formats.submission_record import SubmissionRecord
from stronglens.formats.tables import TEXT, read_table
from stronglens.formats.threshold_file import THRESHOLD_TXT, read_threshold
from stronglens.running.errors import InputError
from stronglens.scoring.threshold import choose_threshold
from stronglens.settings.decide import SubmissionSettings, ThresholdSettings
from stronglens.submitting.submission import (
    check_submission,
    collect_answers,
    estimates_for,
    write_submission,
)
from stronglens.submitting.submission_forms import FORMS
from stronglens.submitting.surroundings import code_state, machine, versions

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Sidecar)


def check_against_record(submission: Path, record_path: Path, root: Path) -> None:
    """Check a submission against its record, and the record against what is left of what it names.

    Three things, each in the log: the submission is the file that the record states; the files along the way
    are those that it states, and say of one another what they must; and what follows from the predictions
    (t*, the ensemble, the submission) comes out the same when it is computed again. Files that are not there
    any more are counted. Another code, library or machine is told and is no fault.

    Parameters
    ----------
    submission, record_path : Path
        `submission.csv` and `submission.json`.
    root : Path
        Folder from which the record's paths are told: the working folder of the run.

    Raises
    ------
    InputError
        With a line for each thing that differs.
    """
    record = SubmissionRecord.read(record_path)
    problems = list(_wrong_submission(submission, record))
    if not problems:
        log.info("%s: the file that %s states, %d rows", submission, record_path, record.n_rows)
    missing = [path for path in record.files if not (root / path).is_file()]
    changed = list(_changed_files(record, root))
    problems += changed
    if not changed:
        log.info("%d files that it came from are unchanged", len(record.files) - len(missing))
    if missing:
        log.warning("%d files that it came from are not there, %s first", len(missing), root / missing[0])
    problems += _wrong_links(record, root)
    if not missing and not problems:
        problems += _differences_when_made_again(submission, record, root)
    for line in _elsewhere(record):
        log.info("%s", line)
    if problems:
        raise InputError("\n".join(problems))


def _wrong_submission(submission: Path, record: SubmissionRecord) -> Iterator[str]:
    if not submission.is_file():
        yield f"{submission}: expected the submission, found none"
        return
    # By content: a copy may have any name.
    _, expected = record.submission
    if sha256_of(submission) != expected:
        yield f"{submission}: expected sha256 {expected[:12]}…, found {sha256_of(submission)[:12]}…"
    form = FORMS[record.form]
    try:
        ids = read_table(submission, {"id": TEXT})["id"].combine_chunks()
        estimated = list(record.lens_parameters)
        check_submission(submission, form, ids.take(compute.sort_indices(ids)), estimated)
    except InputError as error:
        yield str(error)
        return
    if len(ids) != record.n_rows:
        yield f"{submission}: expected {record.n_rows} rows, found {len(ids)}"
    if form.answer == "preds":
        found = compute.sum(read_table(submission, {"preds": pa.int64()})["preds"]).as_py()
        if found != record.n_lenses:
            yield f"{submission}: expected {record.n_lenses} lenses, found {found}"


def _changed_files(record: SubmissionRecord, root: Path) -> Iterator[str]:
    for path, expected in record.files.items():
        if (root / path).is_file():
            found = sha256_of(root / path)
            if found != expected:
                yield f"{root / path}: expected sha256 {expected[:12]}…, found {found[:12]}…"


def _wrong_links(record: SubmissionRecord, root: Path) -> Iterator[str]:
    """What the descriptions say of one another: predictions of weights and data, weights of data."""
    folders = record.folders
    weights = {(member["model"], member["seed"]): member for member in record.members}
    labelled = _stated(PackSummary, root, folders.labelled, SUMMARY)
    split = _stated(SplitDescription, root, folders.splits, SPLIT)
    of_test = {
        summary.identity
        for summary in (_stated(PackSummary, root, folder, SUMMARY) for folder in folders.packed)
        if summary
    }
    if labelled and split and split.cutouts_sha256 != labelled.sha256[CUTOUTS]:
        yield f"{folders.splits}: expected the split of {folders.labelled}, found one of other data"
    for which, predictions, packed in (
        ("val", folders.val_predictions, {labelled.identity} if labelled else set()),
        ("test", folders.test_predictions, of_test),
    ):
        for folder in predictions:
            stated = _stated(PredictionDescription, root, folder, description_name(which))
            if stated is None:
                continue
            member = weights.get((stated.model, stated.seed))
            if member is None or member["weights_sha256"] != stated.weights_sha256:
                yield f"{folder}: expected predictions by a member of the record, found others"
            if packed and stated.made_from not in packed:
                yield f"{folder}: expected predictions from the data of the record, found others"
    for member in record.members:
        own = member.get("cutouts_sha256")
        if own and labelled and own != labelled.sha256[CUTOUTS]:
            yield (
                f"{member['model']} seed {member['seed']}: expected weights trained on "
                f"{folders.labelled}, found other data"
            )


def _stated(kind: type[S], root: Path, folder: str | None, name: str) -> S | None:
    if folder is None or not (root / folder / name).is_file():
        return None
    return kind.read(root / folder / name)


def _differences_when_made_again(submission: Path, record: SubmissionRecord, root: Path) -> Iterator[str]:
    folders, settings = record.folders, record.settings
    validation, labelled = folders.validation, folders.labelled
    named = folders.test_predictions, folders.val_predictions, settings.get("threshold")
    if validation is None or labelled is None or not all(named):
        log.warning("the record does not name the predictions: nothing was computed again")
        return
    packed = [root / folder for folder in folders.packed]
    val_predictions = [root / folder for folder in folders.val_predictions]
    submitted = SubmissionSettings.model_validate(settings["submission"])
    labelled_test = folders.ensemble_csv.endswith("_labeled.csv")
    with TemporaryDirectory() as name:
        again = Path(name)
        make_ensemble(
            val_predictions,
            [root / labelled],
            again / "val",
            which="val",
            level=record.level,
            settings=combination_of(EnsembleDescription.read(root / validation / json_name("val"))).settings,
        )
        choose_threshold(
            again / "val/val_ens.csv",
            again / "val",
            ThresholdSettings.model_validate(settings["threshold"]),
            val_predictions,
        )
        threshold = read_threshold(again / "val" / THRESHOLD_TXT)
        if threshold != record.threshold:
            yield f"t*: expected {record.threshold!r}, found {threshold!r} when chosen again"
        make_ensemble(
            [root / folder for folder in folders.test_predictions],
            packed,
            again / "test",
            which="test",
            level=record.level,
            threshold=threshold,
            labelled=labelled_test,
            validation=again / "val" / json_name("val"),
        )
        table = again / "test" / Path(folders.ensemble_csv).name
        parts = [open_objects(folder) for folder in packed]
        made_again, form = open_ensemble(table), FORMS[submitted.form]
        estimated = estimates_for(made_again, form) if submitted.lens_parameters else []
        answers = collect_answers(made_again, parts, submitted.unreadable_pred, estimated)
        write_submission(again / "submission.csv", answers, form)
        if (again / "submission.csv").read_bytes() != submission.read_bytes():
            yield f"{submission}: another submission comes out when it is made again from the predictions"
            return
    log.info("t*, the ensemble and the submission come out the same when computed again")


def _elsewhere(record: SubmissionRecord) -> Iterator[str]:
    """What is not as it was when the submission was made, and need not be."""
    state = record.code
    if state.revision:
        added = f" with changes in {', '.join(state.changed)}" if state.dirty else ""
        yield f"made by revision {state.revision}{added}"
    facts: list[tuple[str, Callable[[], Any], Any]] = [
        ("code", lambda: code_state()["sha256"], state.sha256),
        ("versions", versions, record.versions),
        ("machine", machine, record.machine),
    ]
    other = [name for name, read, expected in facts if read() != expected]
    yield (
        f"not the same here: {', '.join(other)}" if other else "code, versions and machine are the same here"
    )
