"""States are kept beside a training: copies, one at a time, and never instead of a good one."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from stronglens.running.errors import InputError
from stronglens.training import resume
from stronglens.training.resume import STATE, StateKeeper, load_state, save_state

IDENTITY = {"seed": 42, "code": "ab"}


def kept(folder: Path) -> int:
    state = load_state(folder, IDENTITY)
    assert state is not None
    return int(state["step"])


def test_a_thread_keeps_a_copy_at_most_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    saved = []

    def save(folder: Path, identity: dict[str, Any], state: dict[str, Any]) -> None:
        begun.set()
        assert go_on.wait(10)
        saved.append(state["w"].tolist())
        save_state(folder, identity, state)

    monkeypatch.setattr(resume, "save_state", save)
    weights = torch.zeros(2)
    with StateKeeper(tmp_path / "resume", IDENTITY) as keeper:
        keeper.offer(lambda: pytest.fail("the last state is not old enough"))
        monkeypatch.setattr(resume, "SAVE_EVERY_S", 0)
        keeper.offer(lambda: {"w": weights, "step": 1})
        assert begun.wait(10)
        weights += 1  # training goes on meanwhile
        keeper.offer(lambda: pytest.fail("the last state is being written"))
        go_on.set()
        keeper.keep({"w": weights, "step": 2})
        assert kept(tmp_path / "resume") == 2
    assert saved == [[0, 0], [1, 1]]


def test_what_fails_in_the_thread_is_raised_and_the_state_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SAVE_EVERY_S", 0)
    folder = tmp_path / "resume"
    save_state(folder, IDENTITY, {"step": 1})

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with (
        pytest.raises(InputError, match=r"state\.pt: "),
        StateKeeper(folder, IDENTITY) as keeper,
    ):
        keeper.offer(lambda: {"step": 2})
    with pytest.raises(InputError, match="no space left"), StateKeeper(folder, IDENTITY) as keeper:
        keeper.offer(lambda: {"step": 2})
        keeper.keep({"step": 3})
    monkeypatch.undo()
    assert kept(folder) == 1
    assert [path.name for path in folder.iterdir()] == [STATE]
