"""Predictions of members: whose they are, and one probability for each object."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_predictions import cutouts_of, replace_csv, write_packed_tables, write_prediction
from stronglens.ensembling.member_predictions import members_of, read_object_probs, rows_by_key
from stronglens.formats.prediction_files import Prediction, open_prediction
from stronglens.formats.tables import TEXT
from stronglens.running.errors import InputError


@given(st.lists(st.sampled_from(["", "a", "b", "ä", "aa", "z"]), max_size=12))
def test_rows_are_brought_together_in_any_order(names: list[str]) -> None:
    rows = rows_by_key(pa.chunked_array([pa.array(names[:5], TEXT), pa.array(names[5:], TEXT)]))
    places = {key: [n for n, name in enumerate(names) if name == key] for key in sorted(set(names))}
    assert rows.keys.to_pylist() == list(places)
    assert rows.order.tolist() == [row for own in places.values() for row in own]
    assert rows.order[rows.starts].tolist() == [own[0] for own in places.values()]
    assert rows.n_rows.tolist() == [len(own) for own in places.values()]
    assert rows.sums(np.arange(len(names))).tolist() == [sum(own) for own in places.values()]


def test_tables_with_the_same_rows_are_sorted_once() -> None:
    names = pa.chunked_array([["b", "a", "b"]], TEXT)
    known = rows_by_key(names)
    assert rows_by_key(pa.chunked_array([["b"], ["a", "b"]], TEXT), [known]) is known
    assert rows_by_key(names.slice(1), [known]) is not known


def prob_of(key: str, band: str) -> float:
    return {"g": 0.25, "r": 0.5, "i": 1.0}[band] / (2 if key.endswith("/0") else 1)


@pytest.fixture
def prediction(tmp_path: Path) -> Prediction:
    """Of two lenses and a non-lens; one of the lenses lacks a band."""
    cutouts = [*cutouts_of(["hsc_lenses/1"], "gri"), *cutouts_of(["hsc_lenses/0"], "gi")]
    packed = write_packed_tables(tmp_path / "packed", [*cutouts, ("hsc_nonlenses/0", "r")])
    return open_prediction(write_prediction(tmp_path / "pred", packed, prob_of), "val")


def test_an_object_has_the_mean_of_its_bands(prediction: Prediction) -> None:
    found = read_object_probs(prediction, "object")
    assert found.keys.to_pylist() == ["hsc_lenses/0", "hsc_lenses/1", "hsc_nonlenses/0"]
    assert found.probs.tolist() == pytest.approx([(0.125 + 0.5) / 2, (0.25 + 0.5 + 1) / 3, 0.25])
    assert found.labels.tolist() == [1, 1, 0]
    assert found.bands == {"g", "r", "i"}
    assert (found.band_names, found.band_probs.shape) == ((), (3, 0))


def test_bands_one_by_one_in_order_of_their_names(prediction: Prediction) -> None:
    found = read_object_probs(prediction, "object", each_band=True)
    assert found.band_names == ("g", "i", "r")
    nan = np.nan
    expected = [[0.125, 0.5, nan], [0.25, 1.0, 0.5], [nan, nan, 0.25]]
    np.testing.assert_array_equal(found.band_probs, expected)


def test_a_file_has_its_own(prediction: Prediction) -> None:
    found = read_object_probs(prediction, "file")
    probs = dict(zip(found.keys.to_pylist(), found.probs.tolist(), strict=True))
    assert len(probs) == 6
    assert probs["/data/hsc_lenses/1_r.fits"] == 0.5
    assert probs["/data/hsc_lenses/0_i.fits"] == 0.5


@pytest.mark.parametrize("level", ["object", "file"])
def test_a_row_that_stood_before_is_named_with_its_line(prediction: Prediction, level: str) -> None:
    lines = prediction.csv.read_text().splitlines()
    replace_csv(prediction.csv.parent, "\n".join([*lines, lines[2]]) + "\n")
    again = open_prediction(prediction.csv.parent, "val")
    column = {"object": "object", "file": "path"}[level]
    with pytest.raises(InputError, match=f"line 8: expected each {column} and band once, found .*, again"):
        read_object_probs(again, level)  # type: ignore[arg-type]


def test_as_many_rows_as_are_stated(prediction: Prediction) -> None:
    replace_csv(prediction.csv.parent, prediction.csv.read_text(), n_samples=7)
    with pytest.raises(InputError, match=r"expected 7 rows, as .*pred_val\.json states; found 6"):
        read_object_probs(open_prediction(prediction.csv.parent, "val"), "object")


def parts_with(tmp_path: Path, **other: Any) -> list[Prediction]:
    """Two parts of one member's predictions, of which the second states something else."""
    packed = write_packed_tables(tmp_path / "packed", cutouts_of(["hsc_lenses/1"], "gri"))
    folders = [
        write_prediction(tmp_path / "a", packed, prob_of),
        write_prediction(tmp_path / "b", packed, prob_of, **other),
    ]
    return [open_prediction(folder, "val") for folder in folders]


def test_parts_of_a_member_are_one_member(tmp_path: Path) -> None:
    parts = parts_with(tmp_path)
    assert members_of(parts) == [parts[0].member]
    others = parts_with(tmp_path / "more", model="atto", weights_sha256="other")
    assert [str(member) for member in members_of([*parts, *others])] == ["atto seed 42", "nano seed 42"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"test_time_augmentation": True}, "with test-time augmentation in all parts or in none"),
        ({"lens_parameters": ["Rein"]}, r"expected nano seed 42 with the lens parameters of .*\(Rein; \)"),
        ({"weights_sha256": "0123456789abcdef"}, r"with the weights of .* found others \(0123456789ab…, "),
    ],
)
def test_parts_of_different_members_of_one_name_are_refused(
    tmp_path: Path, other: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        members_of(parts_with(tmp_path, **other))


def test_there_must_be_predictions() -> None:
    with pytest.raises(InputError, match="predictions: expected at least one folder, found none"):
        members_of([])
