"""What tests of networks share."""

import pytest

from packed_files import write_packed
from stronglens.formats.packed import PackedSet, open_packed


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> PackedSet:
    """Rings, of which two cutouts are missing."""
    missing = [("slsim_lenses/D_00000001", "g"), ("hsc_lenses/D_00000002", "y")]
    return open_packed(write_packed(tmp_path_factory.mktemp("data") / "packed", missing=missing))
