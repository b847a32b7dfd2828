"""What the trials of a search leave."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from stronglens.formats.sidecar import Sidecar
from stronglens.running.errors import InputError


class TrialResult(Sidecar):
    """What `trial_NUMBER.json` says."""

    KIND: ClassVar[str] = "a trial of a search"

    trial: int
    """Number of the trial in the search."""
    study: str
    """Name of the study that keeps its trials."""
    state: Literal["complete", "pruned", "failed"]
    params: dict[str, Any]
    """What was tried, by the keys of the config."""
    val_auc: list[float]
    """AUC of validation samples after each epoch."""
    best_val_auc: float | None
    seconds: float
    """Of all tries."""
    search: str = ""
    """Name of the search."""
    number_in_study: int | None = None
    message: str | None = None
    """Why it failed."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of `stronglens.settings.member.MemberSettings`, with what was tried."""
    member_seed: int | None = None
    best_epoch: int | None = None
    """From 1."""
    device: str | None = None
    torch: str | None = None
    precision: str | None = None
    same_bytes_again: bool | None = None
    """As those of `stronglens.formats.member_files.TrainingResults`."""

    @property
    def auc(self) -> float:
        """`best_val_auc`, NaN where there is none."""
        return math.nan if self.best_val_auc is None else self.best_val_auc


def read_trials(paths: Sequence[Path]) -> list[TrialResult]:
    """Read trials in the order of their files.

    Raises
    ------
    InputError
        A file is missing or malformed.
    """
    return [TrialResult.read(path) for path in paths]


def best_of(trials: Sequence[TrialResult]) -> TrialResult:
    """The trial with the highest validation AUC of those that were trained to their end; of equals the first.

    Raises
    ------
    InputError
        There is none.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    if not complete:
        why = next((f": {trial.message}" for trial in trials if trial.message), "")
        raise InputError(f"none of {len(trials)} trials was trained to its end{why}")
    return min(complete, key=lambda trial: (-trial.auc, trial.trial))
