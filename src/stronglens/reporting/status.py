"""How far a run is, read from what it has left so far."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from pydantic import ValidationError

from stronglens.configuring.config import Config
from stronglens.formats.digits import probability, stated, with_limits
from stronglens.formats.member_files import DESCRIPTION, RESULTS, MemberDescription, TrainingResults
from stronglens.formats.score_files import Metrics
from stronglens.formats.train_progress import TrainProgress, read_progress
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings

HELDOUT, TRAIN_LOG = "heldout", "train.log"

SILENT_S = 180.0
"""A step that has written nothing for so long, to its log or to `progress.json`, is taken to be cut off."""


@dataclass(frozen=True)
class Parts:
    """Predictions of one member for one set of objects: how many parts are up to date, are running, and will
    be there in all; how many are older than the member's weights, and how many ended with an error.
    """

    n_done: int
    n_running: int
    n_all: int
    n_old: int = 0
    n_failed: int = 0


@dataclass(frozen=True)
class MemberStatus:
    """How far a member is.

    Attributes
    ----------
    name : str
        Model and seed.
    state : str
        done, out of date (trained with other settings than the config's), runs, failed, cut off, or to do.
    says : str
        More of it, in words.
    auc : float or None
        The best on validation so far, of cutouts.
    left_s : float or None
        Seconds of training left at most; None where it is done or nothing is known.
    predictions : dict of str to Parts
        For validation and each test set.
    training : TrainProgress
        What is known of its epochs.
    """

    name: str
    state: str
    says: str
    auc: float | None
    left_s: float | None
    predictions: Mapping[str, Parts]
    training: TrainProgress = field(default_factory=TrainProgress)


def member_status(
    config: Config, model: str, seed: int, results: Path, logs: Path, now_s: float
) -> MemberStatus:
    """How far one member is; `now_s` is the time, in seconds since 1970."""
    member = Path(model, f"seed_{seed}")
    folder = results / "models" / member
    predictions = _predictions(config, results, logs, member, now_s)
    name = f"{model} seed {seed}"
    try:
        training, written_s = read_progress(folder)
        silent_s = max(0.0, now_s - written_s)
    except OSError:
        training, silent_s = TrainProgress(), None
    if (folder / DESCRIPTION).is_file():
        best = MemberDescription.read(folder / DESCRIPTION)
        if best.imported:
            return MemberStatus(name, "done", "trained elsewhere", None, None, predictions)
        results = folder / RESULTS
        n_epochs = TrainingResults.read(results).n_epochs if results.is_file() else "?"
        says = f"best epoch {best.best_epoch} of {n_epochs}"
        state = "done"
        if not _has_settings(best, config.member_settings(model, seed)):
            state, says = "out of date", "trained with other settings"
        return MemberStatus(name, state, says, best.val_auc, None, predictions, training)
    error = last_error(folder / TRAIN_LOG)
    if error:
        return MemberStatus(name, "failed", error, training.best_auc, None, predictions, training)
    if silent_s is None:
        return MemberStatus(name, "to do", "", None, None, predictions)
    done, auc = len(training.epochs), training.best_auc
    says = f"epoch {done} of {training.n_epochs}" if done else "before the end of its first epoch"
    if silent_s > SILENT_S:
        says += f", silent for {duration(silent_s)}"
        return MemberStatus(name, "cut off", says, auc, None, predictions, training)
    left_s = None
    if done:
        begun = training.step / training.n_steps if training.n_steps else 0.0
        left_s = max(0.0, (training.n_epochs - done - begun) * training.epoch_s)
    return MemberStatus(name, "runs", says, auc, left_s, predictions, training)


def _has_settings(best: MemberDescription, settings: MemberSettings) -> bool:
    """Whether a member was trained with these settings; what it does not state had its default."""
    try:
        return MemberSettings.model_validate(best.settings).model_dump() == settings.model_dump()
    except ValidationError:  # of another version, with keys that are none any more
        return False


def last_error(log: Path) -> str:
    """The error that ended a step, from its log; empty if it did not end with one.

    A log begins anew with each try.
    """
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(" ERROR ")[2] for line in reversed(lines) if " ERROR " in line), "")


def estimated(config: Config, model: str, members: Mapping[int, MemberStatus]) -> dict[int, MemberStatus]:
    """The members of a model, by seed, with the time left of those that do not train or have just begun.

    An epoch of theirs is taken to last as long as the median of the others of that model; where none has
    ended one, nothing is known.
    """
    known = [one.training.epoch_s for one in members.values() if one.training.epochs]
    if not known:
        return dict(members)
    found = {}
    for seed, one in members.items():
        n_left = config.member_settings(model, seed).train.epochs - len(one.training.epochs)
        asked = one.state not in ("done", "out of date", "failed") and one.left_s is None
        found[seed] = replace(one, left_s=n_left * median(known)) if asked else one
    return found


def status_lines(
    config: Config, results: Path, submission: Path, logs: Path, now_s: float | None = None
) -> list[str]:
    """Report how far a run is.

    Parameters
    ----------
    config : Config
        What is to be computed.
    results : Path
        The folder `results`. It may be missing, and nothing in it is read that is not small.
    submission : Path
        `submission.csv`.
    logs : Path
        The folder `logs`, which tells the predictions that run.
    now_s : float, optional
        The time, in seconds since 1970; now if not given.

    Returns
    -------
    list of str
        Packed data, a table of members, ensembles, and a sum.
    """
    now_s = time.time() if now_s is None else now_s
    members: list[MemberStatus] = []
    for model, block in config.models.items():
        seeds = block.member_seeds
        states = {seed: member_status(config, model, seed, results, logs, now_s) for seed in seeds}
        members += estimated(config, model, states).values()
    lines = [f"packed     {_packed(config, results)}", "", *_member_table(members), ""]
    for name in config.ensembles:
        folders = [Path(model, f"seed_{seed}") for model, seed in config.members(name)]
        predictions = [results / "predictions" / folder / "val/pred_val.json" for folder in folders]
        lines.append(_ensemble(results, name, predictions))
    lines.append(f"submission {submission} {_submission_state(config, results, submission)}")
    counts = {state: sum(member.state == state for member in members) for state in _STATES}
    text = ", ".join(f"{n} {_STATES[state]}" for state, n in counts.items() if n)
    lines += ["", f"{len(members)} member{'s' if len(members) > 1 else ''}: {text}"]
    parts = [one for member in members for one in member.predictions.values()]
    names = {"done": "n_done", "out of date": "n_old", "failed": "n_failed", "running": "n_running"}
    n_all = sum(one.n_all for one in parts)
    n_of = {name: sum(getattr(one, key) for one in parts) for name, key in names.items()}
    n_of["to do"] = n_all - sum(n_of.values())
    text = ", ".join(f"{n} {name}" for name, n in n_of.items() if n)
    lines.append(f"{n_all} predictions: {text}")
    return [*lines, *_time_left(members)]


def _submission_state(config: Config, results: Path, submission: Path) -> str:
    if not submission.is_file():
        return "is not there yet"
    folder = results / "ensemble" / config.submission.ensemble / config.submission.testset
    tables = [path for path in (folder / "test_ens.csv", folder / "test_ens_labeled.csv") if path.is_file()]
    return "is out of date" if any(is_older(submission, path) for path in tables) else "is there"


def _time_left(members: Sequence[MemberStatus]) -> list[str]:
    unfinished = [member for member in members if member.state not in ("done", "out of date", "failed")]
    left = [member.left_s for member in unfinished if member.left_s is not None]
    if not left:
        return []
    n_at_once = max(1, sum(member.state == "runs" for member in unfinished))
    # No less than the longest: a training is not divided.
    seconds = max(sum(left) / n_at_once, *left)
    text = f"trainings need about {duration(seconds)} more, {n_at_once} at once"
    n_unknown = len(unfinished) - len(left)
    return [text + (f"; nothing is known yet of {n_unknown} others" if n_unknown else "")]


_STATES = {
    "done": "trained",
    "runs": "training",
    "out of date": "out of date",
    "failed": "failed",
    "cut off": "cut off (the next run resumes them)",
    "to do": "to do",
}


def duration(seconds: float) -> str:
    """A time in words: 40 s, 12 min, 3 h 05 min, 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def _predictions(config: Config, results: Path, logs: Path, member: Path, now_s: float) -> dict[str, Parts]:
    """Each part is described by a file once it is there; before, its log shows whether it runs."""
    folder = results / "predictions" / member
    n_parts = {HELDOUT: 1} | {name: testset.parts for name, testset in config.testsets.items()}
    wanted = {"val": [(folder / "val/pred_val.json", logs / "predict_val" / f"{member}.log")]} | {
        name: [
            (
                folder / name / f"part_{part}/pred_test.json",
                logs / "predict_test" / member / f"{name}_part_{part}.log",
            )
            for part in range(n)
        ]
        for name, n in n_parts.items()
    }
    weights = results / "models" / member / DESCRIPTION
    found = {}
    for name, files in wanted.items():
        there = [description for description, _ in files if description.is_file()]
        rest = [log for description, log in files if not description.is_file()]
        n_old = sum(is_older(path, weights) for path in there)
        n_failed = sum(bool(last_error(log)) for log in rest)
        n_running = sum(_runs(log, now_s) for log in rest)
        found[name] = Parts(len(there) - n_old, n_running, len(files), n_old, n_failed)
    return found


def is_older(path: Path, than: Path) -> bool:
    """Whether a file was written before another, both of which are there."""
    return than.is_file() and path.stat().st_mtime < than.stat().st_mtime


def _runs(log: Path, now_s: float) -> bool:
    """Whether a step that has not ended well has spoken lately, and not of an error."""
    try:
        return now_s - log.stat().st_mtime <= SILENT_S and not last_error(log)
    except OSError:
        return False


def _member_table(members: Sequence[MemberStatus]) -> list[str]:
    sets = list(members[0].predictions)
    rows = [("member", "training", "", "best AUC", "left", *(f"predicts {name}" for name in sets))]
    for member in members:
        rows.append(
            (
                member.name,
                member.state,
                member.says,
                "" if member.auc is None else stated(member.auc),
                _left(member),
                *(_progress(member.predictions[name]) for name in sets),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _left(member: MemberStatus) -> str:
    if member.left_s is None:
        return ""
    # What has ended epochs of its own ends at the latest then; of others it is said by comparison.
    return f"{'≤' if member.state == 'runs' and member.training.epochs else '≈'} {duration(member.left_s)}"


def _progress(parts: Parts) -> str:
    if parts.n_all == 1 and parts.n_running:
        return "runs"
    if parts.n_all == 1 and parts.n_old + parts.n_failed:
        return "out of date" if parts.n_old else "failed"
    more = {"run": parts.n_running, "out of date": parts.n_old, "failed": parts.n_failed}
    said = [f"{n} {state}" for state, n in more.items() if n]
    return ", ".join([_share(parts.n_done, parts.n_all), *said])


def _share(n_done: int, n_all: int) -> str:
    if n_all == 1:
        return "done" if n_done else "-"
    return f"{n_done} of {n_all}"


def _packed(config: Config, results: Path) -> str:
    buckets = results / "buckets"
    texts = ["labelled " + _share((buckets / "labelled/summary.json").is_file(), 1)]
    for name, testset in config.testsets.items():
        n_done = sum(
            (buckets / name / f"part_{part}/summary.json").is_file() for part in range(testset.parts)
        )
        texts.append(f"{name} {_share(n_done, testset.parts)}")
    return ", ".join(texts)


def _ensemble(results: Path, name: str, predictions: Sequence[Path]) -> str:
    """An ensemble, of which these are its members' predictions for validation."""
    folder = results / "ensemble" / name
    path = folder / "val/threshold.txt"
    newer = [one for one in predictions if one.is_file() and path.is_file() and is_older(path, one)]
    if newer:
        return f"ensemble   {name}: out of date (older than {newer[0].parent})"
    try:
        threshold = path.read_text(encoding="utf-8").strip()
    except OSError:
        return f"ensemble   {name}: no t* yet"
    text = f"ensemble   {name}: t* = {probability(float(threshold))}"
    try:
        scores = Metrics.read(folder / HELDOUT / "metrics_test_ens.json").of_all
    except InputError:
        return text
    auc, interval = scores["roc_auc"], scores.get("intervals", {}).get("roc_auc")
    if auc is not None:
        text += f", held-out AUC {with_limits(auc, interval)}"
    return text
