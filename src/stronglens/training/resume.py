"""The state from which a training that was cut short goes on."""

import io
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from stronglens.formats.artefact import write_aside
from stronglens.settings.train import Precision

log = logging.getLogger(__name__)

STATE = "state.pt"

SAVE_EVERY_S = 60.0
"""Seconds between two states, at least."""


def save_state(folder: Path, identity: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write what is needed to go on, replacing the state of before.

    Parameters
    ----------
    folder : Path
        The member's `resume` folder.
    identity : mapping
        All that must be the same for the state to be used again: settings, seed, data, code, versions.
    state : mapping
        Tensors, numbers, strings and containers of these.
    """
    # Written to memory first: on a full disk torch would report an error of its own, not that one.
    content = io.BytesIO()
    torch.save({"identity": json.dumps(identity, sort_keys=True), "state": dict(state)}, content)
    with write_aside(folder / STATE) as aside:
        aside.write_bytes(content.getbuffer())


def load_state(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read a state, if there is one for exactly this training.

    A state of another training (other settings, data, code) or one that cannot be read is moved to
    `resume.stale/` beside the folder, which is said in the log.

    Returns
    -------
    dict or None
        The state, or None if training starts anew.
    """
    if not (folder / STATE).is_file():
        return None
    try:
        found, state = _read(folder)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, training must not fail for it
        _set_aside(folder, f"it cannot be read ({type(error).__name__})")
        return None
    if differing := _differing(identity, found):
        _set_aside(folder, f"it belongs to a training with other {', '.join(differing)}")
        return None
    return state


def begun_in(folder: Path, identity: Mapping[str, Any]) -> Precision | None:
    """The precision of a state, if there is one of this training; its identity here is without one."""
    if not (folder / STATE).is_file():
        return None
    try:
        found, _ = _read(folder)
    except Exception:  # noqa: BLE001 - `load_state` says what is wrong with it
        return None
    precision: Precision | None = found.pop("precision", None)
    return None if _differing(identity, found) else precision


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    kept = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    return json.loads(kept["identity"]), kept["state"]


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return sorted(
        key
        for key in one.keys() | other.keys()
        if json.dumps(one.get(key), sort_keys=True) != json.dumps(other.get(key), sort_keys=True)
    )


class StateKeeper:
    """Keeps the state of a training: now and then beside it, and at once where it has to stop.

    A thread writes a copy while the training goes on; there is never more than one at a time. What fails
    there is raised by the next call.

    Parameters
    ----------
    folder, identity
        See `save_state`.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder, self._identity = folder, identity
        self._last_s = time.monotonic()
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> "StateKeeper":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.shutdown()
        if error is None:
            self._look()

    def offer(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Begin to keep a state, if the last one is old enough and has been written."""
        if time.monotonic() - self._last_s < SAVE_EVERY_S or (self._writing and not self._writing.done()):
            return
        self._look()
        self._last_s = time.monotonic()
        self._writing = self._writer.submit(save_state, self._folder, self._identity, _copied(state()))

    def keep(self, state: Mapping[str, Any]) -> None:
        """Keep a state; it is on the disk afterwards."""
        self._look()
        save_state(self._folder, self._identity, state)

    def _look(self) -> None:
        """Wait for what is being written, and raise what went wrong there."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _copied(value: Any) -> Any:
    """A copy on the CPU of a state: tensors, and dicts and lists of them."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(one) for one in value]
    return value


def clear_state(folder: Path) -> None:
    """Remove a state that is not needed any more."""
    shutil.rmtree(folder, ignore_errors=True)


def _set_aside(folder: Path, reason: str) -> None:
    stale = folder.with_name("resume.stale")
    shutil.rmtree(stale, ignore_errors=True)
    folder.rename(stale)
    log.warning("resume state %s is not used: %s; moved to %s, training starts anew", folder, reason, stale)
