"""Tables of files: a row is a file, with what the table says of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from stronglens.running.errors import InputError
from stronglens.settings.reading import ReadSettings
from stronglens.sources.protocol import Entry
from stronglens.sources.table import TableSource, is_table

PLAIN = ReadSettings()


def entries(path: Path, text: str, settings: ReadSettings = PLAIN) -> list[Entry]:
    path.write_text(text)
    return list(TableSource(path, 41, settings).entries())


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "path,id\n", True),
        ("a.CSV", " path \n", True),
        ("a.csv", "one,two\n", True),  # a table that lacks the column is no list
        ("a.csv", "id;path\n", True),  # and is refused as one
        ("a.csv", "/data/a.fits\n", False),
        ("a.csv", "/data/a;b.fits\n", False),
        ("a.csv", "", False),
        ("a.txt", "path,id\n", False),
    ],
)
def test_which_files_are_tables(tmp_path: Path, name: str, text: str, expected: bool) -> None:
    (tmp_path / name).write_text(text)
    assert is_table(tmp_path / name, PLAIN) == expected
    assert not is_table(tmp_path / "none.csv", PLAIN)
    assert is_table(tmp_path / "none.parquet", PLAIN)


def test_rows_say_object_band_label_domain_and_place(tmp_path: Path) -> None:
    text = (
        "path,id,band,label,domain,ra,dec,other\nx/a.fits,7,g,lens,hsc,150.5,-2,9\n/d/b.fits,b,r,0,slsim,,,\n"
    )
    one, other = entries(tmp_path / "t.csv", text)
    assert one[:7] == (str(tmp_path / "x/a.fits"), "", "7", "g", 0, 1, "hsc")
    assert (one.ra, one.dec, one.line, one.is_link) == (150.5, -2, 1, True)
    assert other[:7] == ("/d/b.fits", "", "b", "r", 0, 0, "slsim")
    assert other.ra != other.ra
    assert other.line == 2


def test_ids_in_single_precision_that_are_those_of_others_are_refused(tmp_path: Path) -> None:
    ids = np.array([7, 2**24 + 1], np.float32)
    parquet.write_table(pa.table({"path": ["a.fits", "b.fits"], "id": ids}), tmp_path / "t.parquet")
    found = TableSource(tmp_path / "t.parquet", 41, PLAIN).entries()
    assert next(found).object == "7"
    with pytest.raises(InputError, match="row 2: expected an id as an integer or text, found the float 1677"):
        next(found)


def test_what_a_row_does_not_say_is_left_to_the_name(tmp_path: Path) -> None:
    (entry,) = entries(tmp_path / "t.csv", "path,ra\na_g.fits,3\n")
    path = str(tmp_path / "a_g.fits")
    # A right ascension alone is no place.
    assert entry == Entry(path, path, line=1, is_link=True)


def test_columns_have_the_names_that_the_config_gives(tmp_path: Path) -> None:
    settings = ReadSettings(columns={"path": "file", "id": "object_id"})
    (entry,) = entries(tmp_path / "t.csv", "id,object_id,file\nwrong,right,a.fits\n", settings)
    assert (entry.object, entry.path) == ("right", str(tmp_path / "a.fits"))
    with pytest.raises(InputError, match="expected a column object_id, found file"):
        entries(tmp_path / "t.csv", "file\na.fits\n", settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,id\n,a\n", "row 1: expected a value in column path, found none"),
        ("path,id\na.fits,a\nb.fits,\n", "row 2: expected a value in column id, found none"),
        ("path,label\na.fits,perhaps\n", "row 1: expected a label"),
        ("path,ra,dec\na.fits,10,100\n", "row 1: expected ra and dec in degrees"),
        ("paths\na\n", "expected a column path, found paths"),
        ("path,path\na,b\n", "expected one column path, found 2"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"t\.csv: {said}"):
        entries(tmp_path / "t.csv", text)
