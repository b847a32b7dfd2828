"""Tables of objects in every format, read as what they say."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from stronglens.running.errors import InputError
from stronglens.sources import catalogue
from stronglens.sources.catalogue import columns_in, names_in, numbers_in, read_catalogue

ENDINGS = ["csv", "csv.gz", "parquet", "fits", "fits.gz", "vot"]


def write(path: Path, table: Table) -> Path:
    """Write a table in the format of the path's ending."""
    if path.suffix == ".gz":
        inner = write(path.with_suffix(""), table)
        path.write_bytes(gzip.compress(inner.read_bytes()))
    elif path.suffix == ".parquet":
        table.to_pandas().to_parquet(path)
    elif path.suffix == ".vot":
        table.write(path, format="votable")
    else:
        table.write(path)
    return path


@pytest.fixture
def objects() -> Table:
    ids = MaskedColumn([7, 8, 9], mask=[False, True, False])
    return Table({"id": ids, "name": ["a", "b", "c"], "ra": [150.0, 0.1, -2.5]})


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_come_in_the_order_that_is_asked_for(ending: str, tmp_path: Path, objects: Table) -> None:
    path = write(tmp_path / f"x.{ending}", objects)
    assert columns_in(path) == ["id", "name", "ra"]
    (table,) = read_catalogue(path, ["ra", "name"])
    assert table.column_names == ["ra", "name"]
    assert names_in(path, "name", table, 0) == ["a", "b", "c"]
    assert numbers_in(path, "ra", table, 0).tolist() == [150.0, 0.1, -2.5]


@pytest.mark.parametrize("ending", ["csv", "parquet", "fits", "vot"])
def test_a_name_that_is_missing_is_said_with_its_row(ending: str, tmp_path: Path, objects: Table) -> None:
    path = write(tmp_path / f"x.{ending}", objects)
    (table,) = read_catalogue(path, ["id"])
    with pytest.raises(InputError, match=rf"x\.{ending}: row 102: expected a name in column id, found none"):
        names_in(path, "id", table, 100)


def test_values_that_astropy_masks_in_parquet_are_missing(tmp_path: Path, objects: Table) -> None:
    path = tmp_path / "x.parquet"
    objects["ra"] = MaskedColumn(objects["ra"], mask=[False, False, True])
    objects.write(path, format="parquet")
    assert columns_in(path) == ["id", "name", "ra"]
    (table,) = read_catalogue(path, ["ra", "id"])
    assert table["id"].to_pylist() == [7, None, 9]
    assert numbers_in(path, "ra", table, 0).tolist() == pytest.approx([150.0, 0.1, np.nan], nan_ok=True)


def test_names_in_csv_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,ra\n007,1\n1e3, 2\n")
    (table,) = read_catalogue(tmp_path / "x.csv", ["id", "ra"])
    assert names_in(tmp_path / "x.csv", "id", table, 0) == ["007", "1e3"]


@pytest.mark.parametrize("ending", ["fits", "vot"])
def test_radians_come_in_degrees(ending: str, tmp_path: Path) -> None:
    table = Table({"ra": np.radians([150.0, 2.0]) * units.rad, "dec": [1.0, 2.0] * units.deg})
    (found,) = read_catalogue(write(tmp_path / f"x.{ending}", table), ["ra", "dec"])
    assert found["ra"].to_pylist() == pytest.approx([150.0, 2.0])
    assert found["dec"].to_pylist() == [1.0, 2.0]


@pytest.mark.parametrize("ending", ["fits", "vot"])
@pytest.mark.parametrize(
    ("unit", "value"), [("h", 10.0), ("arcsec", 540000.0), ("mas", 5.4e8), ("deg", 150.0)]
)
def test_other_angles_come_in_degrees(unit: str, value: float, ending: str, tmp_path: Path) -> None:
    table = Table({"ra": [value] * units.Unit(unit), "name": ["150 h"]})
    (found,) = read_catalogue(write(tmp_path / f"x.{ending}", table), ["ra", "name"])
    assert found["ra"].to_pylist() == pytest.approx([150.0])
    assert found["name"].to_pylist() == ["150 h"]


def test_sexagesimal_coordinates_are_refused(tmp_path: Path) -> None:
    table = Table({"ra": ["10:00:00"]})
    table["ra"].unit = "h"
    path = write(tmp_path / "x.fits", table)
    (found,) = read_catalogue(path, ["ra"])
    with pytest.raises(InputError, match=r"expected numbers in column ra.*in degrees, not sexagesimal"):
        numbers_in(path, "ra", found, 0)


@pytest.mark.parametrize("ending", ["csv", "parquet", "fits", "vot"])
def test_large_tables_come_in_batches(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "BATCH_ROWS", 4)
    path = write(tmp_path / f"x.{ending}", Table({"id": np.arange(10)}))
    tables = list(read_catalogue(path, ["id"]))
    assert [len(table) for table in tables] == [4, 4, 2]
    assert [name for table in tables for name in names_in(path, "id", table, 0)] == [*map(str, range(10))]


@pytest.mark.parametrize("ending", ["csv", "parquet", "fits", "vot"])
def test_columns_that_are_not_there_are_named(ending: str, tmp_path: Path, objects: Table) -> None:
    path = write(tmp_path / f"x.{ending}", objects)
    with pytest.raises(InputError, match="expected columns dec, ra, x, found none named dec, x among id,"):
        list(read_catalogue(path, ["dec", "ra", "x"]))


def test_one_name_for_two_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,ra,ra\na,1,2\n")
    with pytest.raises(InputError, match="expected one column ra, found 2; rename the others"):
        list(read_catalogue(tmp_path / "x.csv", ["id", "ra"]))


def test_other_numbers_name_nothing_and_text_is_no_number() -> None:
    table = pa.table({"id": [1.5, 2.5], "ra": ["1.5", "north"]})
    with pytest.raises(InputError, match="expected text or integers in column id, found double"):
        names_in(Path("x.csv"), "id", table, 0)
    with pytest.raises(InputError, match=r"rows 11 to 12: expected numbers in column ra, found .*north"):
        numbers_in(Path("x.csv"), "ra", table, 10)
    gaps = pa.table({"ra": pa.array([1.5, None])})
    assert np.isnan(numbers_in(Path("x.csv"), "ra", gaps, 0)).tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.parquet", b"PAR1 not quite", "expected a Parquet table, found something else"),
        ("x.fits", b"no FITS", "expected a FITS table, found something else"),
        ("x.vot", b"<xml", "expected a VOTable table, found something else"),
        ("x.txt", b"id,ra", r"expected a catalogue in CSV, Parquet, FITS or VOTable, by the ending"),
    ],
)
def test_what_is_no_table(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        list(read_catalogue(tmp_path / name, ["id"]))
    with pytest.raises(InputError, match="expected a catalogue, found no file"):
        columns_in(tmp_path / "none.csv")


def test_an_image_is_no_table(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "x.fits")
    with pytest.raises(InputError, match="expected a FITS table, found none in 1 HDUs"):
        columns_in(tmp_path / "x.fits")


@pytest.mark.parametrize(("ending", "unit"), [("fits", "h"), ("vot", "hourangle"), ("vot", "h")])
def test_hours_come_in_degrees(ending: str, unit: str, tmp_path: Path) -> None:
    table = Table({"ra": [10.0, 0.5], "dec": [1.0, 2.0] * units.deg})
    table["ra"].unit = unit
    (found,) = read_catalogue(write(tmp_path / f"x.{ending}", table), ["ra", "dec"])
    assert found["ra"].to_pylist() == [150.0, 7.5]
    assert found["dec"].to_pylist() == [1.0, 2.0]


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_columns_that_something_else_than_commas_separates_are_refused(
    separator: str, word: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    rows = [["path", "id", "ra"], ["a.fits", "7", "150,5"], ["b.fits", "8", "2"]]
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    for read in (columns_in, lambda it: next(read_catalogue(it, ["path"]))):
        with pytest.raises(InputError, match=f"expected commas between columns, found {word}: 'path"):
            read(path)
