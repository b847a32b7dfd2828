"""What tests of searches share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from packed_files import write_packed, write_splits
from stronglens.training import trainer


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Packed rings in two bands, and their split."""
    root = tmp_path_factory.mktemp("data")
    packed = write_packed(root / "packed", bands="gi")
    return packed, write_splits(root / "splits", packed)


@pytest.fixture
def aucs(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Lets validation give these figures, epoch by epoch."""

    def give(values: list[float]) -> None:
        left = iter(values)
        monkeypatch.setattr(trainer, "score", lambda *given: trainer.Scores(0.5, 0.5, next(left)))

    return give
