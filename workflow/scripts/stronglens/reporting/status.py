"""How far a run is, read from what it has left so far."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from stronglens.artefact import read_json
from stronglens.configuring.config import Config
from stronglens.errors import InputError

HELDOUT = "heldout"

SILENT_S = 180.0
"""A training that has said nothing for so long, or for three epochs, is taken not to run any more."""

_START = re.compile(r" INFO .*, seed \d+ on .* samples$")
_GOING_ON = re.compile(r" INFO going on after epoch (\d+)")
_EPOCH = re.compile(r" INFO epoch (\d+)/(\d+): .* auc ([\d.]+|nan), .*, ([\d.]+) s, ")


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training: the AUC on validation, NaN where undefined, and its seconds."""

    val_auc: float
    seconds: float


@dataclass(frozen=True)
class TrainLog:
    """What the log of a training tells.

    Attributes
    ----------
    n_epochs : int
        How many there will be at most; 0 before the first has ended.
    epochs : dict of int to Epoch
        Those that have ended, by their numbers from 1.
    """

    n_epochs: int = 0
    epochs: Mapping[int, Epoch] = field(default_factory=dict)

    @property
    def best_epoch(self) -> int:
        """The epoch with the highest AUC; 0 before the first has ended."""
        return max(self.epochs, key=lambda number: (self.epochs[number].val_auc, -number), default=0)

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch, the median of the last five; 0 before the first has ended."""
        return median([epoch.seconds for epoch in list(self.epochs.values())[-5:]] or [0.0])


@dataclass(frozen=True)
class MemberStatus:
    """How far a member is.

    Attributes
    ----------
    name : str
        Model and seed.
    state : str
        done, runs, cut off, or waits.
    says : str
        More of it, in words.
    auc : float or None
        The best on validation so far, of cutouts.
    left_s : float or None
        Seconds left at most, for a training that runs.
    predictions : dict of str to (int, int)
        For validation and each test set, how many parts are there and how many there will be.
    """

    name: str
    state: str
    says: str
    auc: float | None
    left_s: float | None
    predictions: Mapping[str, tuple[int, int]]


def read_train_log(text: str) -> TrainLog:
    """Read the log of a training, with all its tries: one goes on where another was cut, or starts anew."""
    n_epochs = 0
    epochs: dict[int, Epoch] = {}
    fresh = False
    for line in text.splitlines():
        if _START.search(line):
            fresh = True
        elif going_on := _GOING_ON.search(line):
            fresh = False
            epochs = {number: epoch for number, epoch in epochs.items() if number <= int(going_on[1])}
        elif ended := _EPOCH.search(line):
            if fresh:
                epochs, fresh = {}, False
            number, n_epochs = int(ended[1]), int(ended[2])
            epochs[number] = Epoch(float(ended[3]), float(ended[4]))
    return TrainLog(n_epochs, epochs)


def member_status(config: Config, model: str, seed: int, results: Path, now_s: float) -> MemberStatus:
    """How far one member is; `now_s` is the time, in seconds since 1970."""
    folder = results / "models" / model / f"seed_{seed}"
    predictions = _predictions(config, results / "predictions" / model / f"seed_{seed}")
    name = f"{model} seed {seed}"
    if (folder / "best.json").is_file():
        best = read_json(folder / "best.json")
        if best.get("imported"):
            return MemberStatus(name, "done", "trained elsewhere", None, None, predictions)
        n_epochs = (
            read_json(folder / "results.json")["n_epochs"] if (folder / "results.json").is_file() else "?"
        )
        says = f"best epoch {best['best_epoch']} of {n_epochs}"
        return MemberStatus(name, "done", says, best["val_auc"], None, predictions)
    path = folder / "train.log"
    try:
        log = read_train_log(path.read_text(encoding="utf-8", errors="replace"))
        silent_s = max(0.0, now_s - path.stat().st_mtime)
    except OSError:
        return MemberStatus(name, "waits", "", None, None, predictions)
    done = max(log.epochs, default=0)
    auc = log.epochs[log.best_epoch].val_auc if log.epochs else None
    says = f"epoch {done} of {log.n_epochs}" if log.epochs else "before its first epoch"
    if silent_s > max(SILENT_S, 3 * log.epoch_s):
        says += f", silent for {duration(silent_s)}"
        return MemberStatus(name, "cut off", says, auc, None, predictions)
    left_s = max(0.0, (log.n_epochs - done) * log.epoch_s - silent_s) if log.epochs else None
    return MemberStatus(name, "runs", says, auc, left_s, predictions)


def status_lines(config: Config, results: Path, submission: Path, now_s: float | None = None) -> list[str]:
    """Say how far a run is.

    Parameters
    ----------
    config : Config
        What is to be computed.
    results : Path
        The folder `results`. It may be missing, and nothing in it is read that is not small.
    submission : Path
        `submission.csv`.
    now_s : float, optional
        The time, in seconds since 1970; now if not given.

    Returns
    -------
    list of str
        Packed data, a table of members, ensembles, and a sum.
    """
    now_s = time.time() if now_s is None else now_s
    members = [
        member_status(config, model, seed, results, now_s)
        for model, block in config.models.items()
        for seed in block.member_seeds
    ]
    lines = [f"packed     {_packed(config, results)}", "", *_member_table(members), ""]
    lines += [_ensemble(results, name) for name in config.ensembles]
    lines.append(f"submission {submission} {'is there' if submission.is_file() else 'is not there yet'}")
    counts = {state: sum(member.state == state for member in members) for state in _STATES}
    text = ", ".join(f"{n} {_STATES[state]}" for state, n in counts.items() if n)
    left = [member.left_s for member in members if member.left_s is not None]
    # Waiting members take as long as those that run or have run, but how many run at once is not known here.
    text += f"; those that train need {duration(max(left))} more at most" if left else ""
    return [*lines, "", f"{len(members)} members: {text}"]


_STATES = {
    "done": "trained",
    "runs": "training",
    "cut off": "cut off, go on when run again",
    "waits": "waiting",
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


def _predictions(config: Config, folder: Path) -> dict[str, tuple[int, int]]:
    wanted = {"val": [folder / "val/pred_val.json"], HELDOUT: [folder / HELDOUT / "part_0/pred_test.json"]}
    for name, testset in config.testsets.items():
        wanted[name] = [folder / name / f"part_{part}/pred_test.json" for part in range(testset.parts)]
    return {name: (sum(path.is_file() for path in paths), len(paths)) for name, paths in wanted.items()}


def _member_table(members: Sequence[MemberStatus]) -> list[str]:
    sets = list(members[0].predictions)
    rows = [("member", "training", "", "best AUC", "left", *(f"predicts {name}" for name in sets))]
    for member in members:
        rows.append(
            (
                member.name,
                member.state,
                member.says,
                "" if member.auc is None else f"{member.auc:.4f}",
                "" if member.left_s is None else f"≤ {duration(member.left_s)}",
                *(_share(*member.predictions[name]) for name in sets),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


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


def _ensemble(results: Path, name: str) -> str:
    folder = results / "ensemble" / name
    try:
        threshold = (folder / "val/threshold.txt").read_text(encoding="utf-8").strip()
    except OSError:
        return f"ensemble   {name}: no t* yet"
    text = f"ensemble   {name}: t* = {float(threshold):.4f}"
    try:
        scores = read_json(folder / HELDOUT / "metrics_test_ens.json")["global"]
    except InputError:
        return text
    auc, interval = scores["roc_auc"], scores.get("intervals", {}).get("roc_auc")
    if auc is not None:
        text += f", held-out AUC {auc:.4f}"
        text += f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
    return text
