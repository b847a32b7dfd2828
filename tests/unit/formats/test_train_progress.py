"""How far a training is: what it wrote is read while it writes, and what is not whole says nothing."""

import json
import os
from pathlib import Path

import pytest

from stronglens.formats import train_progress
from stronglens.formats.train_progress import EndedEpoch, ProgressFile, TrainProgress, read_progress


def epochs(*seconds: float) -> list[EndedEpoch]:
    return [EndedEpoch(val_auc=0.5, seconds=one) for one in seconds]


def test_what_is_written_is_read_with_its_time(tmp_path: Path) -> None:
    written = TrainProgress(n_epochs=9, epochs=epochs(2.5, 1.5), step=3, n_steps=8)
    ProgressFile(tmp_path).write(written)
    os.utime(tmp_path / "progress.json", (1e9, 1.1e9))
    assert read_progress(tmp_path) == (written, 1.1e9)


def test_the_best_auc_passes_over_epochs_without_one() -> None:
    aucs = [None, 0.75, 0.875, None, 0.5]
    found = TrainProgress(epochs=[EndedEpoch(val_auc=auc, seconds=1) for auc in aucs])
    assert found.best_auc == 0.875
    assert TrainProgress(epochs=[EndedEpoch(val_auc=None, seconds=1)]).best_auc is None
    assert TrainProgress().best_auc is None


def test_an_epoch_takes_the_median_of_the_last_five() -> None:
    assert TrainProgress().epoch_s == 0
    assert TrainProgress(epochs=epochs(100, 90, 1, 7, 3, 5, 60)).epoch_s == 5


@pytest.mark.parametrize(
    "content",
    [b"", b'{"n_epochs": 3', b'{"n_epochs": "many"}', b"\xff", json.dumps({"format": 2}).encode()],
)
def test_what_is_not_whole_or_later_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "progress.json").write_bytes(content)
    assert read_progress(tmp_path)[0] == TrainProgress()
    with pytest.raises(FileNotFoundError):
        read_progress(tmp_path / "elsewhere")


def test_a_try_begins_with_what_the_one_before_left(tmp_path: Path) -> None:
    ProgressFile(tmp_path).begin()
    assert read_progress(tmp_path)[0] == TrainProgress()
    left = TrainProgress(n_epochs=9, epochs=epochs(2.5))
    ProgressFile(tmp_path).write(left)
    os.utime(tmp_path / "progress.json", (1e9, 1e9))
    ProgressFile(tmp_path).begin()
    found, written_s = read_progress(tmp_path)
    assert found == left
    assert written_s > 1e9


def test_it_is_due_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(train_progress.time, "monotonic", lambda: now)
    file = ProgressFile(tmp_path)
    assert file.due
    file.write(TrainProgress())
    now += 19.9
    assert not file.due
    now += 0.1
    assert file.due
