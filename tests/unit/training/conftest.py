"""What tests of trainings share."""

from pathlib import Path

import pytest

from packed_files import write_packed, write_splits


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Packed rings, of which one band is missing, and their split."""
    root = tmp_path_factory.mktemp("data")
    packed = write_packed(root / "packed", missing=[("hsc_lenses/D_00000001", "z")])
    return packed, write_splits(root / "splits", packed)
