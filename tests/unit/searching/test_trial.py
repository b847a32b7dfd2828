"""Trials that are trained, given up, killed, gone on with, and fail."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_searches import SETTINGS, call, told
from packed_files import write_packed, write_splits
from stronglens.training import resume, trainer


def test_trials_are_trained_given_up_or_fail_and_are_told(
    data: tuple[Path, Path], tmp_path: Path, aucs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    aucs([0.7, 0.9, 0.8, 0.85])
    assert call(data, tmp_path, 0) == 0
    first = told(tmp_path, 0)
    assert (first["state"], first["best_epoch"], first["best_val_auc"]) == ("complete", 2, 0.9)
    assert first["val_auc"] == [0.7, 0.9, 0.8, 0.85]
    assert set(first["params"]) == set(SETTINGS["space"])
    assert first["settings"]["train"]["lr"] == first["params"]["train.lr"]
    assert first["seconds"] > 0
    aucs([0.6, 0.6])  # worse after the second epoch, the first being given to all
    assert call(data, tmp_path, 1) == 0
    second = told(tmp_path, 1)
    assert (second["state"], second["val_auc"], second["best_val_auc"]) == ("pruned", [0.6, 0.6], 0.6)
    assert second["params"]["train.lr"] != first["params"]["train.lr"]
    assert first["study"] == second["study"]
    assert "given up" in caplog.text
    assert "test samples" not in caplog.text  # the held-out objects are never looked at
    # The study, its trials, and nothing else: no weights, no state.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.db", "trial_0.json", "trial_1.json"]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"train.warmup_epochs": {"choices": [9.0]}}, "warmup_epochs (9.0) must be less than epochs (4)"),
        ({"network.name": {"choices": ["convnextv2_ato"]}}, "has no network 'convnextv2_ato'"),
        ({"train.lr": {"choices": [1e-3]}}, "training has diverged"),
    ],
)
def test_a_setting_that_does_not_work_is_a_trial_that_failed(
    data: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    aucs: Any,
    space: Any,
    message: str,
) -> None:
    aucs([0.8, math.nan])
    scored = trainer.score

    def score(*given: Any) -> trainer.Scores:
        auc = scored(*given).auc
        return trainer.Scores(auc, 0.5, auc)  # the loss is NaN too

    monkeypatch.setattr(trainer, "score", score)
    assert call(data, tmp_path, 0, SETTINGS | {"space": space}) == 0
    found = told(tmp_path, 0)
    assert (found["state"], found["best_val_auc"]) == ("failed", None)
    assert message in found["message"]


def test_a_trial_may_tell_domains_apart(data: tuple[Path, Path], tmp_path: Path) -> None:
    assert call(data, tmp_path, 0, SETTINGS | {"space": {"train.domain_weight": {"choices": [0.5]}}}) == 0
    found = told(tmp_path, 0)
    assert (found["state"], found["settings"]["train"]["domain_weight"]) == ("complete", 0.5)


def test_trials_share_what_is_measured_on_a_gpu(
    data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def chosen(self: trainer.Trainer) -> tuple[str, None]:
        found.append(self._choices.folder)
        return "eager", None

    monkeypatch.setattr(trainer.Trainer, "_chosen", chosen)
    assert call(data, tmp_path, 0, SETTINGS, f"--choices={tmp_path / 'choices'}") == 0
    assert found == [tmp_path / "choices"]


def test_data_that_are_wrong_fail_the_job_and_not_the_trial(
    data: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packed = write_packed(tmp_path / "packed", bands="gi")
    splits = write_splits(tmp_path / "splits", packed)
    pixels = np.load(packed / "cutouts.npy", mmap_mode="r+")
    pixels[3, 2, 1] += 1
    pixels.flush()
    assert call((packed, splits), tmp_path / "search", 0) == 1
    assert "cutouts.npy: expected sha256" in caplog.text
    assert not (tmp_path / "search/trial_0.json").exists()


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_a_killed_trial_goes_on_with_the_same_setting_from_its_last_epoch(
    data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    settings = SETTINGS | {"storage": storage}
    assert call(data, tmp_path / "whole", 0, settings) == 0

    def save_then_die(keeper: Any, state: Any) -> None:
        resume.save_state(keeper._folder, keeper._identity, state())
        if len(state()["records"]) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(resume.StateKeeper, "offer", save_then_die)
        call(data, tmp_path / "cut", 0, settings)
    assert not (tmp_path / "cut/trial_0.json").exists()
    epochs = []
    run_epoch = trainer.Trainer._epoch

    def counted(one: trainer.Trainer, *given: Any) -> None:
        epochs.append(len(one.records))
        run_epoch(one, *given)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_epoch", counted)
        assert call(data, tmp_path / "cut", 0, settings) == 0
    assert epochs == [2, 3]
    cut, whole = told(tmp_path / "cut", 0), told(tmp_path / "whole", 0)
    assert cut.pop("seconds") > 0 and whole.pop("seconds") > 0
    assert cut == whole
    # Lost after it was told: told again, and not trained again.
    (tmp_path / "cut/trial_0.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_epoch", None)
        assert call(data, tmp_path / "cut", 0, settings) == 0
    assert told(tmp_path / "cut", 0)["val_auc"] == whole["val_auc"]


def test_other_settings_or_data_are_another_study_and_another_place_is_not(
    data: tuple[Path, Path], tmp_path: Path, aucs: Any
) -> None:
    other = write_packed(tmp_path / "packed", bands="gi", seed=1)
    cases = {
        "first": (data, SETTINGS),
        "place": (data, SETTINGS | {"storage": "journal"}),
        "seed": (data, SETTINGS | {"member_seed": 43}),
        "data": ((other, write_splits(tmp_path / "splits", other)), SETTINGS),
    }
    for name, (of, settings) in cases.items():
        aucs([0.7, 0.8, 0.9, 0.9])
        assert call(of, tmp_path / "out", 0, settings) == 0
        cases[name] = told(tmp_path / "out", 0)["study"]
    assert cases["place"] == cases["first"]
    assert len(set(cases.values())) == 3
