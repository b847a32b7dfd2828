"""Samples against a slow, obvious construction of the same."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stronglens.networks.samples import Samples, join_samples, make_samples
from stronglens.running.errors import InputError

BANDS = ["g", "r", "i", "z", "y"]
COLUMNS = ["path", "domain", "label", "object", "band"]


def make_index(cutouts: list[tuple[str, str]]) -> pd.DataFrame:
    """An index of (object, band) pairs, in this order."""
    return pd.DataFrame(
        {
            "object": [key for key, _ in cutouts],
            "band": [band for _, band in cutouts],
            "path": [f"/data/{key}_{band}.fits" for key, band in cutouts],
            "bucket": "slsim_lenses",
            "domain": ["hsc" if key == "c" else "slsim" for key, _ in cutouts],
            "label": np.array([ord(key) % 2 for key, _ in cutouts], dtype=np.int8),
        }
    )


PAIRS = [(key, band) for key in "cab" for band in BANDS]
INDEX = make_index(PAIRS)
ALL = np.ones(len(INDEX), dtype=bool)


def test_each_cutout_is_a_sample() -> None:
    chosen = ALL.copy()
    chosen[[0, 7]] = False
    samples = make_samples(INDEX, "each", chosen, BANDS)
    assert len(samples) == 13
    assert samples.rows.tolist() == [[row] for row in range(15) if row not in (0, 7)]
    pd.testing.assert_frame_equal(samples.table, INDEX.loc[chosen, COLUMNS].reset_index(drop=True))


def test_each_object_is_a_sample() -> None:
    samples = make_samples(INDEX, ["y", "g", "i"], ALL, BANDS)
    assert samples.rows.tolist() == [[4, 0, 2], [9, 5, 7], [14, 10, 12]]
    assert samples.table["object"].tolist() == ["c", "a", "b"]
    assert samples.table["path"].tolist() == [f"/data/{key}_y.fits" for key in "cab"]
    assert set(samples.table["band"]) == {"ygi"}
    assert samples.table["domain"].tolist() == ["hsc", "slsim", "slsim"]
    assert samples.table["label"].tolist() == [1, 1, 0]


def test_a_missing_band_has_no_row() -> None:
    index = make_index([("a", "r"), ("a", "y"), ("b", "y")])
    samples = make_samples(index, ["g", "r"], np.ones(3, dtype=bool), BANDS)
    assert samples.rows.tolist() == [[-1, 0], [-1, -1]]
    # The path is that of the first band there is; an object with none of the bands is not dropped.
    assert samples.table["path"].tolist() == ["/data/a_r.fits", "/data/b_y.fits"]


@pytest.mark.parametrize("bands", ["each", ["g", "r"]])
def test_nothing_chosen_is_no_sample(bands: str | list[str]) -> None:
    samples = make_samples(INDEX, bands, ~ALL, BANDS)
    assert len(samples) == 0
    assert samples.rows.shape == (0, 1 if bands == "each" else 2)
    assert list(samples.table.columns) == COLUMNS


def test_a_band_that_the_data_lack_is_refused() -> None:
    with pytest.raises(InputError, match="bands: expected some of g, r, found q"):
        make_samples(INDEX, ["g", "q"], ALL, ["g", "r"])


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([(key, band) for key in "abcdef" for band in BANDS]), unique=True),
    st.lists(st.sampled_from(BANDS), unique=True, min_size=1),
    st.data(),
)
def test_any_arrangement(pairs: list[tuple[str, str]], bands: list[str], data: st.DataObject) -> None:
    index = make_index(pairs)
    chosen = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs))), dtype=bool
    )
    samples = make_samples(index, bands, chosen, BANDS)
    place = {pair: row for row, pair in enumerate(pairs) if chosen[row]}
    objects = list(dict.fromkeys(key for key, _ in place))
    assert samples.table["object"].tolist() == objects
    for key, rows, path in zip(objects, samples.rows.tolist(), samples.table["path"], strict=True):
        assert rows == [place.get((key, band), -1) for band in bands]
        present = [band for band in bands if (key, band) in place] or [
            band for other, band in place if other == key
        ]
        assert path == f"/data/{key}_{present[0]}.fits"


def test_samples_of_several_sets_have_the_rows_of_the_sets_joined() -> None:
    stack = make_samples(
        INDEX, ["g", "y"], np.array([key != "a" or band != "y" for key, band in PAIRS]), BANDS
    )
    joined = join_samples([stack, stack.take(np.array([2, 0]))], [len(INDEX), 100])
    assert joined.rows.tolist() == [[0, 4], [5, -1], [10, 14], [25, 29], [15, 19]]
    assert joined.table["object"].tolist() == ["c", "a", "b", "b", "c"]
    assert joined.table.index.tolist() == list(range(5))
    assert isinstance(joined, Samples)
