"""What `show_status.py` says of runs that are done, going on, cut off, or not begun."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import show_status
from stronglens.configuring.config import Config, check_config
from stronglens.formats.artefact import write_json
from stronglens.formats.train_progress import EndedEpoch, ProgressFile, TrainProgress, read_progress
from stronglens.reporting.status import duration, member_status, status_lines

CONFIG: dict[str, Any] = {
    "data": {
        "labelled": dict.fromkeys(("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses"), "/d")
    },
    "testsets": {"challenge": {"path": "/t", "parts": 3}},
    "models": {"nano": {"seeds": [1, 2, 3, 4]}},
    "ensembles": {"nano": {"models": ["nano"]}},
    "submission": {"ensemble": "nano"},
}


@pytest.fixture
def config() -> Config:
    for number, bucket in enumerate(CONFIG["data"]["labelled"]):
        CONFIG["data"]["labelled"][bucket] = f"/d/{number}"
    return check_config(CONFIG, "test")


def write_progress(
    results: Path,
    seed: int,
    aucs: list[float | None],
    seconds: float,
    age_s: float,
    n: int = 9,
    step: int = 0,
) -> None:
    folder = results / f"models/nano/seed_{seed}"
    epochs = [EndedEpoch(val_auc=auc, seconds=seconds) for auc in aucs]
    ProgressFile(folder).write(TrainProgress(n_epochs=n, epochs=epochs, step=step, n_steps=10))
    os.utime(folder / "progress.json", (1000 - age_s, 1000 - age_s))


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    ProgressFile(tmp_path).begin()
    assert read_progress(tmp_path)[0] == TrainProgress()
    ProgressFile(tmp_path).write(TrainProgress(n_epochs=4, step=2, n_steps=3))
    ProgressFile(tmp_path).begin()  # another try: what is known is kept
    assert read_progress(tmp_path)[0].n_epochs == 4
    for text in ("{", '{"format": 1, "n_epochs": "many"}', '{"format": 2, "n_epochs": 4}'):
        (tmp_path / "progress.json").write_text(text)
        assert read_progress(tmp_path)[0] == TrainProgress()


def test_each_state(config: Config, tmp_path: Path) -> None:
    write_progress(tmp_path, 1, [0.7, 0.75, None], 20.0, age_s=15, step=5)
    write_progress(tmp_path, 2, [0.7], 20.0, age_s=700)
    write_progress(tmp_path, 3, [], 0.0, age_s=5)
    states = {
        seed: member_status(config, "nano", seed, tmp_path, tmp_path / "logs", 1000) for seed in (1, 2, 3, 4)
    }
    assert {seed: one.state for seed, one in states.items()} == {
        1: "runs",
        2: "cut off",
        3: "runs",
        4: "to do",
    }
    assert (states[1].auc, states[1].left_s, states[1].says) == (0.75, 5.5 * 20, "epoch 3 of 9")
    assert states[2].says == "epoch 1 of 9, silent for 12 min"
    assert (states[3].auc, states[3].left_s) == (None, None)


def test_the_whole_run(config: Config, tmp_path: Path) -> None:
    nano = {"model": "nano", "settings": {}}
    size = {"weights_sha256": "0" * 64, "size_px": 41, "in_chans": 1}
    best = {"best_epoch": 5, "val_auc": 0.91234}
    results = {"best": {"epoch": 5, "val_auc": 0.91234}, "test": {"auc": 0.9}, "n_epochs": 8}
    write_json(tmp_path / "models/nano/seed_1/best.json", nano | {"seed": 1} | size | best)
    write_json(tmp_path / "models/nano/seed_1/results.json", nano | {"seed": 1} | results)
    write_json(tmp_path / "models/nano/seed_3/best.json", nano | {"seed": 3} | size | {"imported": True})
    write_progress(tmp_path, 2, [0.7], 3600.0, age_s=0, n=3)
    write_json(tmp_path / "buckets/labelled/summary.json", {})
    for part in (0, 2):
        write_json(tmp_path / f"buckets/challenge/part_{part}/summary.json", {})
        write_json(tmp_path / f"predictions/nano/seed_1/challenge/part_{part}/pred_test.json", {})
    write_json(tmp_path / "predictions/nano/seed_1/val/pred_val.json", {})
    (tmp_path / "ensemble/nano/val").mkdir(parents=True)
    (tmp_path / "ensemble/nano/val/threshold.txt").write_text("0.4321987\n")
    scores = {"global": {"roc_auc": 0.95, "threshold": 0.4321987, "intervals": {"roc_auc": [0.94, 0.96]}}}
    write_json(tmp_path / "ensemble/nano/heldout/metrics_test_ens.json", scores)
    for name, age_s, last in (
        ("predict_val/nano/seed_3", 30, "INFO predict: 3 of 9 chunks"),
        ("predict_test/nano/seed_1/challenge_part_1", 30, "INFO predict: 3 of 9 chunks"),
        ("predict_test/nano/seed_3/heldout_part_0", 900, "INFO predict: 3 of 9 chunks"),  # long silent
        ("predict_test/nano/seed_1/heldout_part_0", 30, "ERROR no memory"),
    ):
        path = tmp_path / f"logs/{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"2026-11-24T03:00:00Z {last}\n")
        os.utime(path, (1000 - age_s, 1000 - age_s))
    lines = status_lines(config, tmp_path, tmp_path / "submission.csv", tmp_path / "logs", now_s=1000)
    text = "\n".join(lines)
    assert lines[0].split() == ["packed", "labelled", "done,", "challenge", "2", "of", "3"]
    rows = {line.split()[2]: " ".join(line.split()[3:]) for line in lines if line.startswith("nano seed")}
    assert rows["1"] == "done best epoch 5 of 8 0.912 done failed 2 of 3, 1 run"
    assert rows["2"] == "runs epoch 1 of 3 0.700 ≤ 2 h 00 min - - 0 of 3"
    assert rows["3"] == "done trained elsewhere runs - 0 of 3"
    assert rows["4"] == "to do ≈ 20 h 00 min - - 0 of 3"  # 20 epochs, as long as those of seed 2
    assert "nano: t* = 0.432, held-out AUC 0.950 [0.940, 0.960]" in text
    assert "submission.csv is not there yet" in text
    assert lines[-3:] == [
        "4 members: 2 trained, 1 training, 1 to do",
        "20 predictions: 3 done, 1 failed, 2 running, 14 to do",
        "trainings need about 22 h 00 min more, 1 at once",
    ]


def test_what_failed_and_what_is_out_of_date(config: Config, tmp_path: Path) -> None:
    described: dict[str, Any] = {"model": "nano", "weights_sha256": "0" * 64, "size_px": 41, "in_chans": 1}
    best = {"best_epoch": 5, "val_auc": 0.9}
    other = {"train": {"lr": 0.5}}
    for seed, settings in ((1, {}), (2, other), (3, {"no_key_any_more": 1})):
        description = described | best | {"seed": seed, "settings": settings}
        write_json(tmp_path / f"models/nano/seed_{seed}/best.json", description)
        prediction = tmp_path / f"predictions/nano/seed_{seed}/val/pred_val.json"
        write_json(prediction, {})
    os.utime(tmp_path / "predictions/nano/seed_1/val/pred_val.json", (1000, 1000))
    log = tmp_path / "models/nano/seed_4/train.log"
    log.parent.mkdir()
    log.write_text(
        "2026-11-24T03:00:00Z INFO begins\n2026-11-24T03:00:01Z ERROR cutouts.npy: expected 5 bands\n"
    )
    (tmp_path / "ensemble/nano/val").mkdir(parents=True)
    (tmp_path / "ensemble/nano/val/threshold.txt").write_text("0.4\n")
    os.utime(tmp_path / "ensemble/nano/val/threshold.txt", (2000, 2000))
    submission = tmp_path / "submission.csv"
    submission.write_text("id,preds\n")
    os.utime(submission, (2000, 2000))
    (tmp_path / "ensemble/nano/challenge").mkdir()
    (tmp_path / "ensemble/nano/challenge/test_ens.csv").write_text("")
    lines = status_lines(config, tmp_path, submission, tmp_path / "logs", now_s=1000)
    rows = {line.split()[2]: " ".join(line.split()[3:]) for line in lines if line.startswith("nano seed")}
    assert rows["1"].startswith("done best epoch 5 of ? 0.900 out of date")
    assert rows["2"].startswith("out of date trained with other settings 0.900 done")
    assert rows["3"].startswith("out of date trained with other settings")
    assert rows["4"].startswith("failed cutouts.npy: expected 5 bands")
    text = "\n".join(lines)
    assert "nano: out of date (older than" in text and "submission.csv is out of date" in text
    assert "4 members: 1 trained, 2 out of date, 1 failed" in text
    assert "waiting" not in text


def test_time_left_of_those_of_which_little_is_known(config: Config, tmp_path: Path) -> None:
    def last_lines() -> list[str]:
        return status_lines(config, tmp_path, tmp_path / "s.csv", tmp_path / "logs", now_s=1000)[-2:]

    write_progress(tmp_path, 1, [], 0.0, age_s=5)
    assert last_lines()[1].startswith("20 predictions")  # no guess before an epoch has ended
    write_progress(tmp_path, 2, [0.7, 0.7], 60.0, age_s=0, n=20)
    # 18 minutes for seed 2, 20 for each of the others; two of them run.
    assert last_lines()[1] == "trainings need about 39 min more, 2 at once"


def test_the_command_line_takes_the_config_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], config: Config
) -> None:
    monkeypatch.chdir(tmp_path)
    assert show_status.main([]) == 1
    assert "config/config.yaml: expected a text file" in capsys.readouterr().err
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(CONFIG))
    assert show_status.main([]) == 0
    said = capsys.readouterr().out
    assert "config     config/config.yaml" in said and "4 members: 4 to do\n20 predictions: 20 to do" in said
    (tmp_path / "config/local.yaml").write_text(yaml.safe_dump(CONFIG | {"models": {"nano": {"seeds": [1]}}}))
    assert show_status.main([]) == 0
    assert "1 member: 1 to do" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5.4, "5 s"), (59.4, "59 s"), (90, "2 min"), (3700, "1 h 02 min"), (200_000, "2 d 7 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
