"""What `show_status.py` says of runs that are done, going on, cut off, or not begun."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import show_status
from stronglens.artefact import write_json
from stronglens.configuring.config import Config, check_config
from stronglens.reporting.status import duration, member_status, read_train_log, status_lines

START = (
    "2026-11-24T03:00:00Z INFO nano, seed 1 on cpu, 2 threads: "
    "70 train samples, 20 val samples, 10 test samples"
)
CONFIG: dict[str, Any] = {
    "data": {
        "labelled": dict.fromkeys(("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses"), "/d")
    },
    "testsets": {"challenge": {"path": "/t", "parts": 3}},
    "models": {"nano": {"seeds": [1, 2, 3, 4]}},
    "ensembles": {"nano": {"models": ["nano"]}},
    "submission": {"ensemble": "nano"},
}


def epoch(number: int, auc: float | str, seconds: float = 10.0, n: int = 9, best: str = "") -> str:
    return (
        f"2026-11-24T03:00:01Z INFO epoch {number}/{n}: train loss 0.5954 acc 0.6817, "
        f"val loss 0.5802 acc 0.6906 auc {auc}, lr 0.000453, {seconds} s, 243 images/s{best}"
    )


@pytest.fixture
def config() -> Config:
    for number, bucket in enumerate(CONFIG["data"]["labelled"]):
        CONFIG["data"]["labelled"][bucket] = f"/d/{number}"
    return check_config(CONFIG, "test")


def write_log(results: Path, seed: int, lines: list[str], age_s: float) -> None:
    folder = results / f"models/nano/seed_{seed}"
    folder.mkdir(parents=True)
    (folder / "train.log").write_text("\n".join(lines) + "\n")
    os.utime(folder / "train.log", (1000 - age_s, 1000 - age_s))


def test_a_log_with_several_tries() -> None:
    going_on = "2026-11-24T03:00:00Z INFO going on after epoch 1"
    lines = [START, epoch(1, 0.7), epoch(2, 0.9), START, going_on, epoch(2, "0.8000"), epoch(3, "nan")]
    log = read_train_log("\n".join(lines))
    assert list(log.epochs) == [1, 2, 3]
    assert (log.best_epoch, log.epochs[2].val_auc, log.n_epochs) == (2, 0.8, 9)
    anew = read_train_log("\n".join([*lines, START, epoch(1, 0.6, 4.0)]))
    assert (list(anew.epochs), anew.epoch_s) == ([1], 4.0)
    # One that has not ended its first epoch keeps what is known of the last try.
    assert list(read_train_log("\n".join([*lines, START])).epochs) == [1, 2, 3]


def test_each_state(config: Config, tmp_path: Path) -> None:
    write_log(tmp_path, 1, [START, epoch(1, 0.7, 20.0), epoch(2, 0.75, 20.0)], age_s=15)
    write_log(tmp_path, 2, [START, epoch(1, 0.7, 20.0)], age_s=700)
    write_log(tmp_path, 3, [START], age_s=5)
    states = {
        seed: member_status(config, "nano", seed, tmp_path, tmp_path / "logs", 1000) for seed in (1, 2, 3, 4)
    }
    assert {seed: one.state for seed, one in states.items()} == {
        1: "runs",
        2: "cut off",
        3: "runs",
        4: "waits",
    }
    assert (states[1].auc, states[1].left_s, states[1].says) == (0.75, 7 * 20 - 15, "epoch 2 of 9")
    assert states[2].says == "epoch 1 of 9, silent for 12 min"
    assert (states[3].auc, states[3].left_s) == (None, None)
    # An epoch of ten minutes may be silent for ten.
    write_log(tmp_path, 4, [START, epoch(1, 0.7, 600.0)], age_s=700)
    assert member_status(config, "nano", 4, tmp_path, tmp_path / "logs", 1000).state == "runs"


def test_the_whole_run(config: Config, tmp_path: Path) -> None:
    write_json(tmp_path / "models/nano/seed_1/best.json", {"best_epoch": 5, "val_auc": 0.91234})
    write_json(tmp_path / "models/nano/seed_1/results.json", {"n_epochs": 8})
    write_json(tmp_path / "models/nano/seed_3/best.json", {"imported": True})
    write_log(tmp_path, 2, [START, epoch(1, 0.7, 3600.0, n=3)], age_s=0)
    write_json(tmp_path / "buckets/labelled/summary.json", {})
    for part in (0, 2):
        write_json(tmp_path / f"buckets/challenge/part_{part}/summary.json", {})
        write_json(tmp_path / f"predictions/nano/seed_1/challenge/part_{part}/pred_test.json", {})
    write_json(tmp_path / "predictions/nano/seed_1/val/pred_val.json", {})
    (tmp_path / "ensemble/nano/val").mkdir(parents=True)
    (tmp_path / "ensemble/nano/val/threshold.txt").write_text("0.4321987\n")
    scores = {"global": {"roc_auc": 0.95, "intervals": {"roc_auc": [0.94, 0.96]}}}
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
    assert rows["1"] == "done best epoch 5 of 8 0.9123 done - 2 of 3, 1 run"
    assert rows["2"] == "runs epoch 1 of 3 0.7000 ≤ 2 h 00 min - - 0 of 3"
    assert rows["3"] == "done trained elsewhere runs - 0 of 3"
    assert rows["4"] == "waits ≈ 20 h 00 min - - 0 of 3"  # 20 epochs, as long as those of seed 2
    assert "nano: t* = 0.4322, held-out AUC 0.9500 [0.9400, 0.9600]" in text
    assert "submission.csv is not there yet" in text
    assert lines[-3:] == [
        "4 members: 2 trained, 1 training, 1 waiting",
        "20 predictions: 3 done, 2 running, 15 waiting",
        "trainings need about 22 h 00 min more, 1 at once",
    ]


def test_time_left_of_those_of_which_little_is_known(config: Config, tmp_path: Path) -> None:
    def last_lines() -> list[str]:
        return status_lines(config, tmp_path, tmp_path / "s.csv", tmp_path / "logs", now_s=1000)[-2:]

    write_log(tmp_path, 1, [START], age_s=5)
    assert last_lines()[1].startswith("20 predictions")  # no guess before an epoch has ended
    write_log(tmp_path, 2, [START, *(epoch(number, 0.7, 60.0, n=20) for number in (1, 2))], age_s=0)
    # 18 minutes for seed 2, 20 for each of the others; two of them run.
    assert last_lines()[1] == "trainings need about 39 min more, 2 at once"


def test_the_command_line_takes_the_config_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], config: Config
) -> None:
    monkeypatch.chdir(tmp_path)
    assert show_status.main([]) == 1
    assert "config/config.yaml: expected a config" in capsys.readouterr().err
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(CONFIG))
    assert show_status.main([]) == 0
    said = capsys.readouterr().out
    assert "config     config/config.yaml" in said and "4 members: 4 waiting\n20 predictions: 0 done" in said
    (tmp_path / "config/local.yaml").write_text(yaml.safe_dump(CONFIG | {"models": {"nano": {"seeds": [1]}}}))
    assert show_status.main([]) == 0
    assert "1 members: 1 waiting" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5.4, "5 s"), (59.4, "59 s"), (90, "2 min"), (3700, "1 h 02 min"), (200_000, "2 d 7 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
