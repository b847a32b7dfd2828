"""CSV files of any make: read as what they say, or refused with what to do."""

import codecs
from pathlib import Path

import numpy as np
import pytest

from stronglens.errors import InputError
from stronglens.scoring.scored import read_scored_csv
from stronglens.tables import INTEGER, REAL, read_header, read_table

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
