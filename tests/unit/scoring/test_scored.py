"""Labels and probabilities from any file that holds them."""

import codecs
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stronglens.formats.artefact import sha256_of, write_json
from stronglens.running.errors import InputError
from stronglens.scoring.scored import number_objects, read_scored_csv, read_scored_npy

LABELS = "label,prob,domain\n1,0.75,hsc\n0,0.25,slsim\n"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("quote", ["", '"'])
def test_labels_with_a_byte_order_mark_and_any_line_ends(
    tmp_path: Path, mark: bytes, ending: str, quote: str
) -> None:
    text = LABELS.replace("label", f"{quote}label{quote}", 1).replace("\n", ending)
    (tmp_path / "x.csv").write_bytes(mark + text.encode())
    scored = read_scored_csv(tmp_path / "x.csv")
    assert scored.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(scored.probs, [0.75, 0.25])
    assert scored.domains is not None
    assert scored.domains.tolist() == ["hsc", "slsim"]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rows_of_objects_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "object,label,prob,prob_raw\nb,1,0.75,0.5\na,0,0.25,0\nb,1,1,1\n")
    scored = read_scored_csv(path)
    assert scored.unit == "samples"
    assert scored.objects is not None
    assert scored.objects.tolist() == [0, 1, 0]
    assert scored.names is not None
    assert scored.names.tolist() == ["b", "a", "b"]
    assert scored.raw_probs is not None
    assert scored.raw_probs.tolist() == [0.5, 0, 1]
    assert scored.domains is None


def test_a_row_an_object_needs_no_numbers(tmp_path: Path) -> None:
    scored = read_scored_csv(write(tmp_path / "x.csv", "object,label,prob\nb,1,0.75\na,0,0.25\n"))
    assert (scored.unit, scored.objects, scored.raw_probs) == ("objects", None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label,prob\n", "expected labelled objects, found none"),
        ("label,prob\n1,0.5\n-1,0.5\n", "line 3: expected label 1, a lens, or 0, found -1; only labelled"),
        ("label,prob\n1,1.5\n", "line 2: expected a probability"),
        ("label,prob,prob_raw\n1,1,-0.5\n", "line 2: expected a probability"),
        ("prob\n1\n", "found none named label"),
    ],
)
def test_other_tables_are_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"x\.csv: .*{said}"):
        read_scored_csv(write(tmp_path / "x.csv", text))


@pytest.mark.parametrize(
    ("table", "description"), [("pred_val.csv", "pred_val.json"), ("val_ens_labeled.csv", "val_ens.json")]
)
def test_a_table_that_was_changed_since_it_was_described_is_refused(
    table: str, description: str, tmp_path: Path
) -> None:
    path = write(tmp_path / table, LABELS)
    write_json(tmp_path / description, {"sha256": {table: sha256_of(path)}})
    assert read_scored_csv(path).labels.tolist() == [1, 0]
    write(path, LABELS.replace("0.75", "0.8"))
    with pytest.raises(InputError, match=f"{table}: expected sha256 .*{description}"):
        read_scored_csv(path)


def test_objects_are_numbered_as_they_first_appear() -> None:
    names = pa.chunked_array([["c", "a"], ["c", "b"]])
    assert number_objects(names).tolist() == [0, 1, 0, 2]


def test_arrays_of_labels_and_probabilities(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array([1, 0, 1], dtype=np.int8))
    np.save(tmp_path / "probs.npy", np.array([1, 0.5, 0], dtype=np.float32))
    scored = read_scored_npy(tmp_path / "labels.npy", tmp_path / "probs.npy")
    assert scored.labels.tolist() == [1, 0, 1]
    assert scored.probs.tolist() == [1, 0.5, 0]
    assert scored.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "probs", "said"),
    [
        (
            [1, 0],
            [0.5],
            r"probs\.npy: expected one probability for each label .* found shapes",
        ),
        ([[1, 0]], [[0.5, 0.5]], "expected one probability for each label"),
        ([1, 2], [0.5, 0.5], r"labels\.npy: element 1: expected label 1"),
        ([], [], r"labels\.npy: expected labelled objects, found none"),
        ([1, 0], [0.5, np.nan], r"probs\.npy: element 1: expected a probability from 0 to 1, found nan"),
        ([1, 0], [-0.1, 1], r"probs\.npy: element 0: expected a probability"),
        (["a", "b"], [1, 0], r"labels\.npy: expected an NPY file of numbers, found another kind"),
    ],
)
def test_other_arrays_are_refused(
    labels: list[object], probs: list[object], said: str, tmp_path: Path
) -> None:
    for name, values in (("labels", labels), ("probs", probs)):
        np.save(tmp_path / f"{name}.npy", np.array(values))
    with pytest.raises(InputError, match=said):
        read_scored_npy(tmp_path / "labels.npy", tmp_path / "probs.npy")


def test_what_is_no_array_is_named(tmp_path: Path) -> None:
    write(tmp_path / "x.npy", "text")
    with pytest.raises(InputError, match=r"x\.npy: expected an NPY file of numbers, found something else"):
        read_scored_npy(tmp_path / "x.npy", tmp_path / "x.npy")
    with pytest.raises(InputError, match=r"none\.npy: expected an NPY file, found none"):
        read_scored_npy(tmp_path / "none.npy", tmp_path / "x.npy")
