"""Curves of a training for TensorBoard, epoch by epoch, while it runs."""

import importlib
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from stronglens.running.errors import InputError

log = logging.getLogger(__name__)

PACKAGE = "tensorboardX"
"""What writes event files; TensorBoard itself is only needed to look at them."""

EVENTS = "events.out.tfevents.*"

CURVES = {
    "loss/training": "train_loss",
    "loss/validation": "val_loss",
    "accuracy/training": "train_acc",
    "accuracy/validation": "val_acc",
    "auc/validation": "val_auc",
    "learning_rate": "lr",
}
"""Names of curves in TensorBoard, and the columns of `training_log.csv` that they show."""


class Tracker:
    """Writes the curves of one training into a folder; the epoch is the step. A context: it closes the file.

    A resumed training writes all its epochs anew, into a file that replaces that of the earlier try: no epoch
    is there twice, and none that the training has lost. A file that cannot be written is given up with a
    warning.

    Parameters
    ----------
    folder : Path
        The member's folder. Event files of earlier trainings and earlier tries are removed from it.
    kind : {"none", "tensorboard"}
        none only removes.

    Raises
    ------
    InputError
        The package that writes event files is not installed.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._on = kind != "none"
        self._folder = folder
        self._n_written = 0
        self._file: Any = None
        if self._on:
            try:
                self._events = importlib.import_module(f"{PACKAGE}.event_file_writer")
                self._messages = importlib.import_module(f"{PACKAGE}.proto.event_pb2")
            except ImportError as error:
                raise InputError(f"train.tracker: {kind} needs {PACKAGE}; pip install {PACKAGE}") from error
        for path in folder.glob(EVENTS):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def __call__(self, state: Mapping[str, Any]) -> None:
        """Write the epochs that have ended since the last call.

        Parameters
        ----------
        state : Mapping
            Of `stronglens.training.trainer.Trainer`: ``records`` of all epochs, their ``seconds``, and the
            ``lens_losses``.
        """
        if not self._on:
            return
        try:
            for number in range(self._n_written, len(state["records"])):
                self._write(state, number)
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            log.warning("%s: no curves any more: %s; training goes on", self._folder, error)
            self._on = False

    def _write(self, state: Mapping[str, Any], number: int) -> None:
        record = state["records"][number]
        values = {name: record[column] for name, column in CURVES.items()}
        if state["lens_losses"]:
            values["loss/lens_parameters"] = state["lens_losses"][number]
        if self._file is None:
            self._file = self._events.EventsWriter(str(self._folder / EVENTS.partition(".")[0]))
        # When it ended, if it was in an earlier try: as if there had been no pause.
        event = self._messages.Event(
            wall_time=time.time() - sum(state["seconds"][number + 1 :]), step=record["epoch"]
        )
        for name, value in values.items():
            event.summary.value.add(tag=name, simple_value=value)
        self._file.write_event(event)
        self._n_written = number + 1
