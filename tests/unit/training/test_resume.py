import logging

import torch

from stronglens.training.resume import STATE, clear_state, load_state, save_state

IDENTITY = {"settings": {"lr": 0.1, "epochs": 3}, "seed": 42, "code": "ab"}


def test_state_comes_back_for_the_same_training(tmp_path):
    folder = tmp_path / "resume"
    save_state(folder, IDENTITY, {"network": {"w": torch.arange(3.0)}, "epoch": 2})
    # the order of keys is not part of what a training is
    again = {"code": "ab", "seed": 42, "settings": {"epochs": 3, "lr": 0.1}}
    state = load_state(folder, again)
    assert state is not None
    assert state["epoch"] == 2
    assert torch.equal(state["network"]["w"], torch.arange(3.0))


def test_state_of_another_training_is_set_aside_and_said(tmp_path, caplog):
    folder = tmp_path / "resume"
    save_state(folder, IDENTITY, {"epoch": 2})
    with caplog.at_level(logging.WARNING, "stronglens"):
        assert load_state(folder, IDENTITY | {"seed": 43}) is None
    assert "other seed" in caplog.text
    assert not folder.exists()
    assert (tmp_path / "resume.stale" / STATE).is_file()


def test_unreadable_state_is_set_aside(tmp_path, caplog):
    folder = tmp_path / "resume"
    folder.mkdir()
    (folder / STATE).write_bytes(b"cut short")
    assert load_state(folder, IDENTITY) is None
    assert "cannot be read" in caplog.text
    assert (tmp_path / "resume.stale" / STATE).is_file()


def test_nothing_to_resume_is_no_fault(tmp_path):
    assert load_state(tmp_path / "resume", IDENTITY) is None
    clear_state(tmp_path / "resume")
