"""How far a training is, for whoever asks: a small file that it writes while it runs."""

import math
import time
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict, ValidationError

from stronglens.formats.artefact import write_text

PROGRESS = "progress.json"
"""Its name, in the member's folder."""

WRITE_EVERY_S = 20.0
"""Seconds between two writes within an epoch, at least."""

FORMAT = 1


class EndedEpoch(BaseModel):
    """An epoch: the AUC on validation, None where undefined, and its seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    val_auc: float | None
    seconds: float


class TrainProgress(BaseModel):
    """How far a training is.

    Attributes
    ----------
    n_epochs : int
        How many there will be at most; 0 where that is not known yet.
    epochs : list of EndedEpoch
        Those that have ended.
    step, n_steps : int
        Steps of the running epoch that have been taken, and all of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    n_epochs: int = 0
    epochs: list[EndedEpoch] = []
    step: int = 0
    n_steps: int = 0

    @property
    def best_auc(self) -> float | None:
        """The highest AUC on validation so far."""
        return max((one.val_auc for one in self.epochs if one.val_auc is not None), default=None)

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch, the median of the last five; 0 before the first has ended."""
        return median([epoch.seconds for epoch in self.epochs[-5:]] or [0.0])


def read_progress(folder: Path) -> tuple[TrainProgress, float]:
    """Read how far the training in a member's folder is, and when it said so, in seconds since 1970.

    A file that is not whole, or of a later version, counts as one that says nothing.

    Raises
    ------
    OSError
        There is no such file.
    """
    path = folder / PROGRESS
    written_s = path.stat().st_mtime
    try:
        found = TrainProgress.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, ValueError):
        return TrainProgress(), written_s
    return (found if found.format == FORMAT else TrainProgress()), written_s


class ProgressFile:
    """Writes how far a training is, not more often than anybody would look.

    Parameters
    ----------
    folder : Path
        The member's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS
        self._last_s = -math.inf

    def begin(self) -> None:
        """Say that a training begins; what an earlier try has left is kept until more is known."""
        try:
            found, _ = read_progress(self._path.parent)
        except OSError:
            found = TrainProgress()
        self.write(found)

    @property
    def due(self) -> bool:
        """Whether it was written long enough ago to be written again within an epoch."""
        return time.monotonic() - self._last_s >= WRITE_EVERY_S

    def write(self, progress: TrainProgress) -> None:
        """Write at once."""
        write_text(self._path, progress.model_dump_json(indent=2) + "\n")
        self._last_s = time.monotonic()
