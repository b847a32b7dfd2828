"""Samples piece by piece are those of the whole set."""

from pathlib import Path

import numpy as np
import pytest

from packed_files import write_packed
from stronglens.formats import packed as module
from stronglens.formats.packed import PackedSet, open_packed, open_pieces
from stronglens.networks.samples import make_samples
from stronglens.prediction.sample_pieces import SamplePieces
from stronglens.running.errors import InputError

MISSING = [*((f"hsc_lenses/D_{number:08d}", band) for number in (0, 2) for band in "gr")]
"""Two objects of which the band i alone is there."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pieces")
    return write_packed(root / "packed", n_per_bucket=3, size_px=9, bands="gri", missing=MISSING)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_ROWS", 5)  # an object has three rows


def some(whole: PackedSet) -> np.ndarray:
    """Two thirds of the objects."""
    return whole.index["object"].str[-1].astype(int).lt(2).to_numpy()


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("bands", ["each", ["g", "r"], ["r"]])
@pytest.mark.parametrize("all_of_them", [True, False])
@pytest.mark.parametrize("most", [None, 1, 4, 1000])
def test_pieces_are_parts_of_the_whole(
    folder: Path, bands: str | list[str], all_of_them: bool, most: int | None
) -> None:
    whole = open_packed(folder)
    chosen = None if all_of_them else some(whole)
    everything = np.ones(len(whole.index), dtype=bool)
    expected = make_samples(whole.index, bands, everything if chosen is None else chosen, list("gri"))  # type: ignore[arg-type]
    n_expected = len(expected) if most is None else min(most, len(expected))
    pieces = SamplePieces(open_pieces(folder), bands, chosen, most)  # type: ignore[arg-type]
    start, found = 0, 0
    for piece, samples in pieces:
        rows = np.where(samples.rows >= 0, samples.rows + start, -1)
        np.testing.assert_array_equal(rows, expected.rows[found : found + len(samples)])
        wanted = expected.table[found : found + len(samples)].reset_index(drop=True)
        assert samples.table.reset_index(drop=True).equals(wanted)
        start, found = start + len(piece.index), found + len(samples)
    assert found == n_expected
    counted = pieces.count()
    assert counted.n_samples == n_expected
    blind = [
        name for name, rows in zip(expected.table["object"], expected.rows, strict=True) if (rows < 0).all()
    ]
    blind = [name for name in expected.table["object"][:n_expected] if name in blind]
    assert (counted.n_blind, counted.blind) == (len(blind), blind)


@pytest.mark.usefixtures("small_pieces")
def test_a_band_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="x"):
        SamplePieces(open_pieces(folder), ["g", "x"]).count()
