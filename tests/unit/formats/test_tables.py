"""CSV files of any make: read as what they say, or refused with what to do."""

import codecs
import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stronglens.formats.tables import (
    INTEGER,
    REAL,
    TEXT,
    read_header,
    read_table,
    write_names,
    write_rows,
    write_table,
)
from stronglens.running.errors import InputError

LABELS = "label,prob,domain\n1,0.75,hsc\n0,0.25,slsim\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LABELS.encode("utf-16"), "expected a CSV file in UTF-8, found UTF-16; save it as CSV UTF-8"),
        (codecs.BOM_UTF16_BE + LABELS.encode("utf-16-be"), "found UTF-16"),
        (LABELS.replace(",", ";").encode(), "expected commas between columns, found semicolons: 'label;prob"),
        (LABELS.replace(",", "\t").encode(), "expected commas between columns, found tabs"),
        (LABELS.replace("domain", "label").encode(), "expected each column once, found label more than once"),
        (LABELS.replace("label", "Label").encode(), "found none named label among 'Label', 'prob', 'domain'"),
        (LABELS.replace("hsc", "h\u00e4").encode("latin-1"), "expected a CSV file"),
        (codecs.BOM_UTF8, "found an empty one"),
    ],
)
def test_other_tables_are_refused_with_what_to_do(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_table(path, {"label": INTEGER, "prob": REAL})
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_byte_order_mark_is_seen_where_it_matters(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(codecs.BOM_UTF8 + b"id,preds\n")
    assert read_header(tmp_path / "x.csv", "utf-8") == ["\ufeffid", "preds"]
    assert read_header(tmp_path / "x.csv") == ["id", "preds"]


def test_line_breaks_in_values_survive_whatever_block_they_fall_into(tmp_path: Path) -> None:
    """The reader cuts files at line ends, into blocks of 1 MiB: within quotes there must be no cut."""
    paths = [f'/d/{number}\n"{number % 7 * "x"}",\r.fits' for number in range(80_000)]
    table = pa.table({"path": pa.array(paths, TEXT), "prob": np.linspace(0, 1, len(paths))})
    assert write_table(tmp_path / "x.csv", ["path", "prob"], [table]) == len(paths)
    assert (tmp_path / "x.csv").stat().st_size > 2**21
    read = read_table(tmp_path / "x.csv", {"path": TEXT, "prob": REAL})
    assert read["path"].to_pylist() == paths
    np.testing.assert_array_equal(read["prob"], table["prob"])


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
            st.floats(allow_nan=False, allow_infinity=False),
            st.integers(-(2**63), 2**63 - 1),
        ),
        min_size=1,
    )
)
def test_rows_come_back_as_they_were(rows: list[tuple[str, float, int]]) -> None:
    texts, floats, integers = zip(*rows, strict=True)
    columns = {"te,xt": pa.array(texts, TEXT), "real": pa.array(floats, REAL), "whole": pa.array(integers)}
    written = io.BytesIO()
    write_names(written, list(columns))
    write_rows(written, pa.table(columns))
    header, *found = csv.reader(io.StringIO(written.getvalue().decode(), newline=""))
    assert header == list(columns)
    assert [(text, float(real), int(whole)) for text, real, whole in found] == rows
    plain = written.getvalue().decode().partition("\n")[2]
    if not any(character in "".join(texts) for character in '",\r\n'):
        assert plain.count('"') == 0
