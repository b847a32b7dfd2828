"""Cells of tables, however they are written."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stronglens.running.errors import InputError
from stronglens.sources.columns import cells_of, coordinates_of, id_of, known_columns, label_of, text_of


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (" a ", "a"),
        (b"a\xff ", "a\\xff"),
        (None, ""),
        (math.nan, ""),
        (np.ma.masked, ""),
        (7, "7"),
        (7.0, "7"),
        (np.float32(7.5), "7.5"),
        (np.int64(2**60), str(2**60)),
        ("7.0", "7.0"),
        (True, "True"),
    ],
)
def test_cells_as_text(cell: Any, text: str) -> None:
    assert text_of(cell) == text


@pytest.mark.parametrize("one", ["lens", "Lens ", 1, 1.0, "1", "1.0", True, "TRUE", "lenses", b"lens"])
def test_what_is_a_lens(one: Any) -> None:
    assert label_of(one, "row 1") == 1


@pytest.mark.parametrize("one", ["nonlens", 0, 0.0, "0", False, "false", "non-lens", "nonlenses"])
def test_what_is_none(one: Any) -> None:
    assert label_of(one, "row 1") == 0


@pytest.mark.parametrize("one", ["", None, 2, -1, "yes", 0.5])
def test_what_is_no_label(one: Any) -> None:
    with pytest.raises(InputError, match=r"row 1: expected a label \(lens, nonlens, 1 or 0\), found "):
        label_of(one, "row 1")


def test_coordinates_are_both_or_neither() -> None:
    assert coordinates_of("150.5", -2, "row 1") == (150.5, -2.0)
    assert coordinates_of(-10.0, 90, "row 1") == (-10.0, 90.0)
    assert all(math.isnan(value) for value in coordinates_of(None, "", "row 1"))


@pytest.mark.parametrize(
    ("ra", "dec"), [(150, None), ("", 2), ("10h", "2"), (361, 0), (10, -90.5), (math.inf, 1)]
)
def test_what_is_no_place(ra: Any, dec: Any) -> None:
    with pytest.raises(InputError, match="row 1: expected ra and dec in degrees, found '"):
        coordinates_of(ra, dec, "row 1")


def test_columns_that_are_needed() -> None:
    known_columns(["path", "id", "x", "x"], Path("t.csv"), ["path", "id"])
    with pytest.raises(
        InputError, match=r"t\.csv: expected a column ra, found path, id; .*columns: \{ra: path\}"
    ):
        known_columns(["path", "id"], Path("t.csv"), ["path", "ra"])
    with pytest.raises(InputError, match=r"t\.csv: expected one column id, found 2; rename the others"):
        known_columns(["id", "path", "id"], Path("t.csv"), ["id"])


def test_floats_that_lost_their_last_digits_are_no_ids() -> None:
    assert [id_of(one, "row 1") for one in (7.0, 2**60, "1e17")] == ["7", str(2**60), "1e17"]
    with pytest.raises(
        InputError, match=r"row 1: expected .* found the float 41112345678901240, whose last d"
    ):
        id_of(41112345678901237.0, "row 1")


@pytest.mark.parametrize("kind", ["numpy", "arrow"])
@pytest.mark.parametrize(("dtype", "largest"), [("float16", 2**11), ("float32", 2**24), ("float64", 2**53)])
def test_each_kind_of_float_holds_ids_up_to_its_own_precision(dtype: str, largest: int, kind: str) -> None:
    values: Any = np.array([largest - 1, largest], dtype)
    exact, lost = cells_of(values if kind == "numpy" else pa.chunked_array([pa.array(values)]))
    assert id_of(exact, "row 1") == str(largest - 1)
    with pytest.raises(InputError, match=rf"row 2: .* found the float {largest}, whose last digits are lost"):
        id_of(lost, "row 2")


def test_cells_are_those_of_python() -> None:
    assert cells_of(np.array([[1.5], [2]], np.float32)) == [[1.5], [2.0]]
    assert cells_of(np.array(["a", "b"])) == cells_of(pa.array(["a", "b"])) == ["a", "b"]
    assert [text_of(one) for one in cells_of(pa.array([0.1, None], pa.float32()))] == [
        "0.10000000149011612",  # the number that is stored
        "",
    ]
