"""What is read of the trials of a search, to conclude it and to draw it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stronglens.formats.artefact import read_json
from stronglens.running.errors import InputError

Trial = dict[str, Any]
"""What `run_trial` writes of a trial."""


def read_trials(paths: Sequence[Path]) -> list[Trial]:
    """Read trials in the order of their files.

    Raises
    ------
    InputError
        A file is missing or malformed.
    """
    return [_read(path) for path in paths]


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial with the highest validation AUC of those that were trained to their end; of equals the first.

    Raises
    ------
    InputError
        There is none.
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    if not complete:
        told = next((f": {trial['message']}" for trial in trials if trial.get("message")), "")
        raise InputError(f"none of {len(trials)} trials was trained to its end{told}")
    return min(complete, key=lambda trial: (-trial["best_val_auc"], trial["trial"]))


def _read(path: Path) -> Trial:
    trial = read_json(path)
    missing = {"trial", "study", "state", "params", "val_auc", "best_val_auc", "seconds"} - set(trial)
    if missing:
        raise InputError(f"{path}: expected a trial with {', '.join(sorted(missing))}, found none of these")
    return trial
