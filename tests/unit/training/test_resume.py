"""States of trainings: found again by the same training alone, and never lost for a worse one."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from stronglens.running.errors import InputError
from stronglens.training import resume
from stronglens.training.resume import STATE, StateKeeper, clear_state, load_state, save_state

IDENTITY = {"settings": {"lr": 0.1, "epochs": 3}, "seed": 42, "code": "ab"}


def test_state_comes_back_for_the_same_training(tmp_path: Path) -> None:
    folder = tmp_path / "resume"
    save_state(folder, IDENTITY, {"network": {"w": torch.arange(3.0)}, "epoch": 2})
    # the order of keys is not part of what a training is
    again = {"code": "ab", "seed": 42, "settings": {"epochs": 3, "lr": 0.1}}
    state = load_state(folder, again)
    assert state is not None
    assert state["epoch"] == 2
    assert torch.equal(state["network"]["w"], torch.arange(3.0))


def test_state_of_another_training_is_set_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "resume"
    save_state(folder, IDENTITY, {"epoch": 2})
    with caplog.at_level(logging.WARNING, "stronglens"):
        assert load_state(folder, IDENTITY | {"seed": 43}) is None
    assert "other seed" in caplog.text
    assert not folder.exists()
    assert (tmp_path / "resume.stale" / STATE).is_file()


def test_unreadable_state_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "resume"
    folder.mkdir()
    (folder / STATE).write_bytes(b"cut short")
    assert load_state(folder, IDENTITY) is None
    assert "cannot be read" in caplog.text
    assert (tmp_path / "resume.stale" / STATE).is_file()


def test_nothing_to_resume_is_no_fault(tmp_path: Path) -> None:
    assert load_state(tmp_path / "resume", IDENTITY) is None
    clear_state(tmp_path / "resume")


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
