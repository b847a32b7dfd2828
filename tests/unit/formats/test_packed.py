"""A packed set read piece by piece holds what it holds as a whole."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from packed_files import state_index, write_packed
from stronglens.formats import packed
from stronglens.formats.packed import open_packed, open_pieces
from stronglens.running.errors import InputError


@pytest.mark.parametrize("n_rows", [1, 2, 5, 7, 20, 1000])
@pytest.mark.parametrize("group_rows", [3, 1000])
def test_pieces_are_the_whole_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_rows: int, group_rows: int
) -> None:
    """However the rows are grouped in the file, and also where an object is longer than a piece."""
    monkeypatch.setattr(packed, "PIECE_ROWS", n_rows)
    folder = write_packed(tmp_path / "packed", n_per_bucket=3, missing=[("hsc_lenses/D_00000001", "r")])
    whole = open_packed(folder)
    whole.index.to_parquet(folder / "index.parquet", row_group_size=group_rows)
    state_index(folder)
    pieces = list(open_pieces(folder).pieces())
    assert (len(pieces) == 1) == (n_rows > len(whole.index))
    index = pd.concat([piece.index for piece in pieces], ignore_index=True)
    pd.testing.assert_frame_equal(index, whole.index)
    assert np.array_equal(np.concatenate([piece.cutouts for piece in pieces]), whole.cutouts)
    assert all(len(piece.index) == len(piece.cutouts) for piece in pieces)
    objects = [name for piece in pieces for name in piece.index["object"].unique()]
    assert len(objects) == len(set(objects)) == 12
    few = list(open_pieces(folder).pieces(["object", "band"]))
    assert [list(piece.index) for piece in few] == [["object", "band"]] * len(pieces)


@pytest.mark.parametrize("content", [b"", b"not Parquet", b"PAR1" + bytes(100) + b"PAR1"])
def test_refuses_an_index_that_is_none(tmp_path: Path, content: bytes) -> None:
    folder = write_packed(tmp_path / "packed", n_per_bucket=1)
    (folder / "index.parquet").write_bytes(content)
    state_index(folder)
    with pytest.raises(InputError, match=r"index.parquet: expected a Parquet file"):
        open_pieces(folder)


def test_refuses_an_index_of_other_cutouts(tmp_path: Path) -> None:
    folder = write_packed(tmp_path / "packed", n_per_bucket=1)
    open_packed(folder).index.head(7).to_parquet(folder / "index.parquet")
    state_index(folder)
    with pytest.raises(InputError, match="expected as many rows as cutouts, found 7 and 20"):
        open_pieces(folder)
