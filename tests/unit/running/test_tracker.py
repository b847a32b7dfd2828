import sys
from pathlib import Path

import pytest

from event_files import curves_in
from stronglens.running.errors import InputError
from stronglens.running.tracker import CURVES, Tracker

COLUMNS = list(CURVES.values())


def state(n_epochs: int, lens_losses: bool = False) -> dict:
    """What a trainer shows after so many epochs."""
    records = [
        {"epoch": epoch} | {column: epoch + number / 8 for number, column in enumerate(COLUMNS)}
        for epoch in range(1, n_epochs + 1)
    ]
    losses = [0.5] * n_epochs if lens_losses else []
    return {"records": records, "seconds": [1.0] * n_epochs, "lens_losses": losses}


@pytest.fixture(autouse=True)
def _has_package(request: pytest.FixtureRequest) -> None:
    if "without" not in request.node.name:
        pytest.importorskip("tensorboardX")


@pytest.mark.parametrize("lens_losses", [False, True])
def test_epochs_are_written_once_as_they_end(tmp_path: Path, lens_losses: bool) -> None:
    with Tracker(tmp_path, "tensorboard") as tracker:
        assert not list(tmp_path.iterdir())
        for n_epochs in (1, 2, 2, 4):
            tracker(state(n_epochs, lens_losses))
            found = curves_in(tmp_path)  # at once, for whoever watches
            assert set(found) == {*CURVES, *(["loss/lens_parameters"] if lens_losses else [])}
            for number, name in enumerate(CURVES):
                assert found[name] == [(epoch, epoch + number / 8) for epoch in range(1, n_epochs + 1)]


def test_a_resumed_training_has_neither_doubled_nor_lost_epochs(tmp_path: Path) -> None:
    with Tracker(tmp_path, "tensorboard") as tracker:
        tracker(state(3))
    with Tracker(tmp_path, "tensorboard") as again:
        again(state(2))  # the third was lost with the job
        assert [epoch for epoch, _ in curves_in(tmp_path)["auc/validation"]] == [1, 2]
        again(state(4))
        assert [epoch for epoch, _ in curves_in(tmp_path)["auc/validation"]] == [1, 2, 3, 4]


def test_curves_of_an_earlier_training_are_removed_and_other_files_stay(tmp_path: Path) -> None:
    with Tracker(tmp_path, "tensorboard") as tracker:
        tracker(state(3))
    (tmp_path / "best.pt").touch()
    off = Tracker(tmp_path, "none")
    off(state(3))
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_a_file_that_cannot_be_written_ends_the_curves_alone(tmp_path: Path, caplog) -> None:
    tracker = Tracker(tmp_path / "gone", "tensorboard")
    tracker(state(1))
    tracker(state(2))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "training goes on" in warning
    assert str(tmp_path / "gone") in warning


def test_without_the_package_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.delitem(sys.modules, "tensorboardX.event_file_writer", raising=False)
    with pytest.raises(InputError, match="pip install tensorboardX"):
        Tracker(tmp_path, "tensorboard")
    Tracker(tmp_path, "none")(state(1))
