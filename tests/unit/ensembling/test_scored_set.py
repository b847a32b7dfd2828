"""Ids of rows in a submission."""

import pyarrow as pa
import pytest

from stronglens.ensembling.scored_set import row_ids
from stronglens.formats.tables import TEXT

PATHS = {
    "/d/a_g.fits": "a_g",
    "b.FITS.gz": "b",
    "/d.fits/c.fit": "c",
    "/d/e.v2.fits": "e.v2",
    "/d/f.txt": "f.txt",
    "/d/fits": "fits",
}


def test_objects_keep_their_keys() -> None:
    table = pa.table({"object": pa.array(["b/x.fits", "a"], TEXT), "path": pa.array(["p", "q"], TEXT)})
    assert row_ids(table, "object").to_pylist() == ["b/x.fits", "a"]


@pytest.mark.parametrize("path", PATHS)
def test_files_lose_folders_and_ending(path: str) -> None:
    assert row_ids(pa.table({"path": pa.array([path], TEXT)}), "file").to_pylist() == [PATHS[path]]
