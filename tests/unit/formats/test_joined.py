"""Several packed sets read as one."""

from pathlib import Path

import numpy as np
import pytest

from packed_files import write_packed
from stronglens.formats.joined import JoinedCutouts, join_sets
from stronglens.formats.packed import open_packed
from stronglens.running.errors import InputError


def test_rows_of_several_arrays_are_those_of_one() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(size=(n, 3, 4)).astype(np.float32) for n in (5, 0, 1, 7)]
    joined, whole = JoinedCutouts(parts), np.concatenate(parts)
    assert (len(joined), joined.shape) == (13, (13, 3, 4))
    for rows in (np.arange(13), rng.integers(0, 13, 40), np.array([], dtype=np.int64), np.array([12, 5, 4])):
        assert np.array_equal(joined[rows], whole[rows])
        out = np.empty((len(rows), 3, 4), dtype=np.float32)
        assert joined.take(rows, out=out) is out
        assert np.array_equal(out, whole[rows])


def test_objects_of_two_sets_are_not_the_same(tmp_path: Path) -> None:
    missing = [("slsim_lenses/D_00000001", "g")]
    first, second = (
        open_packed(write_packed(tmp_path / name, n_per_bucket=2, bands="gr", missing=lacking))
        for name, lacking in (("first", missing), ("second", []))
    )
    joined = join_sets([first, second, first])
    assert len(joined.cutouts) == len(joined.index) == 15 + 16 + 15
    assert joined.index["band"].tolist() == [
        band for part in (first, second, first) for band in part.index["band"]
    ]
    # Eight objects each, of the same keys.
    expected = [
        number + 8 * part for part, one in enumerate((first, second, first)) for number in one.object_numbers
    ]
    assert joined.object_numbers.tolist() == expected
    assert np.array_equal(joined.cutouts[np.array([20])][0], second.cutouts[5])


def test_sets_of_other_sizes_are_refused(tmp_path: Path) -> None:
    first, second = (
        open_packed(write_packed(tmp_path / f"{size}", n_per_bucket=1, bands="g", size_px=size))
        for size in (33, 21)
    )
    with pytest.raises(InputError, match=r"21: expected cutouts of 33 px, as in .*33, found 21 px"):
        join_sets([first, second])
