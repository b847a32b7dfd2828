"""`parameters.fits` of any make: numbers are numbers or NaN, ids meet, and what cannot be read is named."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.io import fits

from fits_files import BANDS, hdus_bytes, primary_bytes, table_bytes, write_labelled
from lens_files import write_parameters
from stronglens.formats.packed import read_lens_values
from stronglens.packing.pack import build_buckets
from stronglens.packing.parameters import match_parameters, with_coordinates
from stronglens.running.errors import InputError
from stronglens.settings.data import BUCKETS, PackSettings
from stronglens.sources.find import FoundBucket
from stronglens.sources.image_choice import id_text, linking_id

IDS = ["L1", "L2", "L3", "L4"]
FIRST, OTHER = "slsim_lenses", "hsc_lenses"


class Release:
    """Buckets of four objects each, with the ids `IDS` unless others are given, and files of parameters."""

    def __init__(self, folder: Path, header_ids: list[str] = IDS) -> None:
        self.folder, self.header_ids = folder, header_ids
        for bucket in BUCKETS:
            (folder / bucket).mkdir()

    def write(self, *columns: fits.Column, bucket: str = FIRST, kind: Any = fits.BinTableHDU) -> Path:
        return self.write_hdus(kind.from_columns(columns), bucket=bucket)

    def write_hdus(self, *hdus: Any, bucket: str = FIRST) -> Path:
        path = self.folder / bucket / "parameters.fits"
        path.write_bytes(hdus_bytes(fits.PrimaryHDU(), *hdus))
        return path

    def match(self) -> tuple[pd.DataFrame, dict[str, Any]]:
        rows = [(bucket, number) for bucket in (FIRST, OTHER) for number in range(4)]
        index = pa.table(
            {
                "object": [f"{bucket}/{number}" for bucket, number in rows],
                "bucket": [bucket for bucket, _ in rows],
                "header_id": [self.header_ids[number] for _, number in rows],
            }
        )
        places = {bucket: str(self.folder / bucket) for bucket in BUCKETS}
        buckets = [FoundBucket(bucket, 1, "", bucket) for bucket in BUCKETS]
        table, counts = match_parameters(
            PackSettings.model_validate({"labelled": places}), [[] for _ in BUCKETS], buckets, index
        )
        return table.to_pandas(), counts


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


def ids(values: list[Any] = IDS, form: str = "8A", **others: Any) -> fits.Column:
    return fits.Column("Lens ID", form, array=np.array(values), **others)


def test_objects_whose_rows_say_what_they_are_find_their_parameters(tmp_path: Path) -> None:
    """Two buckets then come from one of the config, and each object goes by that which it is in."""
    kind = fits.BinTableHDU.from_columns([ids(), fits.Column("Rein", "D", array=[1.0, 2.0, 3.0, 4.0])])
    (tmp_path / "parameters.fits").write_bytes(hdus_bytes(fits.PrimaryHDU(), kind))
    (tmp_path / "table.csv").touch()
    settings = PackSettings.model_validate({"labelled": {"mine": {"path": str(tmp_path / "table.csv")}}})
    buckets = [
        FoundBucket(f"mine_des_{kind}", label, "des", "mine")
        for kind, label in (("lenses", 1), ("nonlenses", 0))
    ]
    names = ["mine_des_lenses", "mine_des_lenses", "mine_des_nonlenses", "mine_des_nonlenses"]
    objects = [f"{bucket}/{number}" for number, bucket in enumerate(names)]
    index = pa.table({"object": objects, "bucket": names, "header_id": IDS})
    table, counts = match_parameters(settings, [[]], buckets, index)
    assert table.to_pydict() == {"object": objects, "bucket": names, "Rein": [1.0, 2.0, 3.0, 4.0]}
    assert counts["mine"]["n_matched"] == counts["mine"]["n_objects"] == 4


# Values


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (fits.Column("Rein", "8A", array=["1.5", "-999", "N/A", "1e3"]), [1.5, np.nan, np.nan, 1000]),
        (fits.Column("Rein", "8A", array=["", "-", "2.5D-1", ".5"]), [np.nan, np.nan, 0.25, 0.5]),
        (fits.Column("Rein", "9A", array=["None", "nan", "-999.000", "inf"]), [np.nan] * 4),
        (fits.Column("Rein", "J", null=-(2**31), array=[-(2**31), 1, 2, -999]), [np.nan, 1, 2, np.nan]),
        (
            fits.Column(
                "Rein", "I", null=0, bzero=2**15, array=np.array([1, 2**15, 2**16 - 1, 5], np.uint16)
            ),
            [1, np.nan, 2**16 - 1, 5],
        ),
        (fits.Column("Rein", "B", null=255, array=np.array([255, 0, 1, 2], np.uint8)), [np.nan, 0, 1, 2]),
        (fits.Column("Rein", "K", null=-5, array=[-5, -5, -5, -5]), [np.nan] * 4),
        (fits.Column("Rein", "E", array=[np.nan, np.inf, -np.inf, -999]), [np.nan] * 4),
        (fits.Column("Rein", "1D", dim="(1)", array=[1.0, 2.0, -999, 4.0]), [1, 2, np.nan, 4]),
        (fits.Column("REIN", "D", array=[1.0, 2, 3, 4]), [1, 2, 3, 4]),
        (fits.Column("Rein", "L", array=[True, False, True, False]), [1, 0, 1, 0]),
    ],
    ids=[
        "text",
        "text of Fortran",
        "words",
        "TNULL",
        "unsigned",
        "byte",
        "all TNULL",
        "float",
        "axis",
        "case",
        "logical",
    ],
)
def test_what_is_not_a_number_is_nan(release: Release, column: fits.Column, expected: list[float]) -> None:
    release.write(ids(), column)
    table, counts = release.match()
    assert table["Rein"].dtype == np.float64
    np.testing.assert_array_equal(table["Rein"], expected)
    assert counts[FIRST]["n_matched"] == 4


def test_a_scaled_column_with_tnull(release: Release) -> None:
    """Astropy does not write it: the scale is put into the header afterwards."""
    table = fits.BinTableHDU.from_columns([ids(), fits.Column("Rein", "I", null=7, array=[7, 10, 20, 30])])
    table.header["TSCAL2"], table.header["TZERO2"] = 0.5, 3.0
    header = table.header.tostring().encode()
    path = release.write(ids(), fits.Column("Rein", "I", null=7, array=[7, 10, 20, 30]))
    content = path.read_bytes()
    assert len(header) == 2880
    path.write_bytes(content[:2880] + header + content[5760:])
    np.testing.assert_array_equal(release.match()[0]["Rein"], [np.nan, 8, 13, 18])


def test_an_undefined_logical_is_nan(release: Release) -> None:
    path = release.write(ids(), fits.Column("Rein", "L", array=[True, False, True, False]))
    content = path.read_bytes()
    at = content.index(b"L3".ljust(8, b"\0")) + 8
    path.write_bytes(content[:at] + b"\0" + content[at + 1 :])
    np.testing.assert_array_equal(release.match()[0]["Rein"], [1, 0, np.nan, 0])


def test_an_ascii_table_is_a_table(release: Release) -> None:
    path = release.write(
        ids(form="A4"),
        fits.Column("Rein", "F8.3", array=[1.5, -999, 3, 4]),
        fits.Column("zlens", "I6", null="-1", array=[-1, 2, 3, 4]),
        fits.Column("zsrc", "D15.7", array=[0.5, 1, 2, 3]),
        fits.Column("note", "A5", array=["a", "N/A", "c", "d"]),
        kind=fits.TableHDU,
    )
    path.write_bytes(path.read_bytes().replace(b"   4.000", b"        "))
    table = release.match()[0]
    np.testing.assert_array_equal(table["Rein"], [1.5, np.nan, 3, np.nan])
    np.testing.assert_array_equal(table["zlens"], [np.nan, 2, 3, 4])
    np.testing.assert_array_equal(table["zsrc"], [0.5, 1, 2, 3])
    assert table["note"].tolist() == ["a", "", "c", "d"]


def test_text_stays_text_where_it_may(release: Release) -> None:
    """Names of digits too: a float would not give them back."""
    release.write(
        ids(),
        fits.Column("survey", "4A", array=["HSC", "N/A", "", "KiDS"]),
        fits.Column("tile", "4A", array=["0012", "0013", "-", "0014"]),
        fits.Column("source", "20A", array=["36000000000000001", "2", "3", "4"]),
        fits.Column("label", "J", array=[1, 1, 1, 1]),
        fits.Column("domain", "4A", array=["a", "b", "c", "d"]),
    )
    table = release.match()[0]
    assert table["survey"].tolist() == ["HSC", "", "", "KiDS"]
    assert table["tile"].tolist() == ["0012", "0013", "", "0014"]
    assert table["source"].tolist() == ["36000000000000001", "2", "3", "4"]
    assert table["object"].tolist() == [f"{FIRST}/{number}" for number in range(4)]
    assert set(table["bucket"]) == {FIRST}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            [ids(), fits.Column("Rein", "8A", array=["1.5", "2", "1,5", "2"])],
            "column Rein, row 3: expected a number, found '1,5'",
        ),
        (
            [ids(), fits.Column("zlens", "8A", array=["1_000", "2", "1", "2"])],
            "column zlens, row 1: expected a number, found '1_000'",
        ),
        ([ids(), fits.Column("Rein", "2D", array=np.ones((4, 2)))], "column Rein: expected a number a row"),
        ([ids(), fits.Column("object", "8A", array=IDS)], "found a column named object"),
        ([ids(), fits.Column("bucket", "D", array=[1, 2, 3, 4])], "found a column named bucket"),
        (
            [
                ids(),
                fits.Column("Rein", "D", array=[1, 2, 3, 4]),
                fits.Column("REIN", "D", array=[1, 2, 3, 4]),
            ],
            "expected each column once, found Rein and REIN",
        ),
        (
            [ids(), fits.Column("object_id", "8A", array=IDS)],
            "expected one column Object ID or Lens ID, found columns Lens ID, object_id",
        ),
        (
            [ids([True, False, True, False], "L")],
            "column Lens ID: expected an id a row, text or number, found bool",
        ),
        (
            [fits.Column("name", "8A", array=IDS)],
            "expected one column Object ID or Lens ID, found columns name",
        ),
    ],
    ids=["comma", "underscore", "array", "object", "bucket", "twice", "ids twice", "logical ids", "no ids"],
)
def test_an_error_names_file_column_and_value(
    release: Release, columns: list[fits.Column], message: str
) -> None:
    path = release.write(*columns)
    with pytest.raises(InputError) as caught:
        release.match()
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_column_name_given_twice_is_an_error(release: Release) -> None:
    path = release.write(ids(), fits.Column("zlens", "D", array=[1, 2, 3, 4]), fits.Column("zlena", "D"))
    path.write_bytes(path.read_bytes().replace(b"'zlena", b"'zlens"))
    with pytest.raises(InputError, match="expected each column once, found zlens and zlens"):
        release.match()


@pytest.mark.parametrize("turned", [False, True])
def test_text_in_one_bucket_and_numbers_in_another_is_an_error(release: Release, turned: bool) -> None:
    buckets = [OTHER, FIRST] if turned else [FIRST, OTHER]
    texts = release.write(ids(), fits.Column("note", "8A", array=["N/A", "red", "1", "2"]), bucket=buckets[0])
    numbers = release.write(ids(), fits.Column("note", "D", array=[1, 2, 3, 4]), bucket=buckets[1])
    with pytest.raises(InputError) as caught:
        release.match()
    assert f"{texts}: column note: expected numbers, as in {numbers}, found 'red'" in str(caught.value)


def test_a_column_without_any_value_agrees_with_every_other(release: Release) -> None:
    release.write(
        ids(), fits.Column("note", "D", array=[np.nan] * 4), fits.Column("z", "4A", array=["N/A"] * 4)
    )
    release.write(
        ids(), fits.Column("note", "8A", array=IDS), fits.Column("z", "D", array=[1, 2, 3, 4]), bucket=OTHER
    )
    table = release.match()[0]
    assert table["note"].tolist() == [*[""] * 4, *IDS]
    np.testing.assert_array_equal(table["z"], [np.nan] * 4 + [1, 2, 3, 4])


def test_the_table_with_ids_is_taken_of_several(release: Release) -> None:
    other = fits.BinTableHDU.from_columns([fits.Column("a", "D", array=[1, 2])])
    table = fits.BinTableHDU.from_columns([ids(), fits.Column("Rein", "D", array=[1, 2, 3, 4])])
    release.write_hdus(other, table)
    assert release.match()[0]["Rein"].tolist() == [1, 2, 3, 4]
    path = release.write_hdus(table, table)
    with pytest.raises(InputError, match=f"{path}: expected one table with ids, found 2"):
        release.match()


def test_text_in_packed_parameters_is_an_error_of_the_step_that_needs_numbers(tmp_path: Path) -> None:
    build_buckets(
        PackSettings.model_validate({"size_px": 9, "labelled": write_labelled(tmp_path, 2, size_px=9)}),
        tmp_path / "packed",
    )
    write_parameters(tmp_path / "packed", pd.DataFrame({"object": ["a"], "bucket": ["b"], "Rein": ["big"]}))
    with pytest.raises(InputError, match=r"parameters\.parquet: column Rein: expected numbers, found 'big'"):
        read_lens_values([tmp_path / "packed"], ["Rein"])


# Ids


@pytest.mark.parametrize(
    ("header_ids", "column", "matched"),
    [
        (["000001", "000002", "000003", "000000"], ids([1, 2, 3, 0], "J"), [0, 1, 2, 3]),
        (["1", "2", "3", "17"], ids(["000001", "000002", "000003", "000004"]), [0, 1, 2]),
        (["1", "01", "3", "4"], ids(["1", "2", "03", "4"]), [0, 3]),
        (["0001", "0002", "0003", "0004"], ids([1.0, 2.0, 3.5, np.nan], "D"), [0, 1]),
        (
            ["L1", "L2", "L3", "L4"],
            fits.Column("lens_id", "12A", array=["L1  ", " L2", "L3", "L4"]),
            [0, 1, 2, 3],
        ),
        (
            ["1", "2", "3", "4"],
            ids(np.array([1, 2, 3, 65535], np.uint16), "I", bzero=2**15, null=32767),
            [0, 1, 2],
        ),
        (["L1", "", "", "L4"], ids(["L1", "", "L3", "L4"]), [0, 3]),
        (["L1", "", "L3", "L4"], ids(["L1", "", "L3", "L4"]), [0, 2, 3]),
        (
            ["36000000000000001", "36000000000000003", "3", "4"],
            ids([36000000000000001, 36000000000000003, 3, -5], "K", null=-5),
            [0, 1, 2],
        ),
    ],
    ids=[
        "integers",
        "padded in the table",
        "apart only as text",
        "floats",
        "blanks",
        "unsigned",
        "two without",
        "one without",
        "long",
    ],
)
def test_ids_meet_however_they_are_written(
    tmp_path: Path, header_ids: list[str], column: fits.Column, matched: list[int]
) -> None:
    release = Release(tmp_path, header_ids)
    release.write(column, fits.Column("Rein", "D", array=[1, 2, 3, 4]))
    table, counts = release.match()
    assert table["object"].tolist() == [f"{FIRST}/{number}" for number in matched]
    assert counts[FIRST]["n_matched"] == len(matched)


def test_a_match_of_nothing_is_said(release: Release, caplog: pytest.LogCaptureFixture) -> None:
    path = release.write(ids(["A1", "A2", "A3", "A4"]))
    release.write(ids(["L1", "A2", "A3", "A4"]), bucket=OTHER)
    with caplog.at_level(logging.INFO):
        counts = release.match()[1]
    assert (
        f"{FIRST}: {path}: expected rows with the ids of cutouts, found parameters of 0 of 4 objects; "
        "its first id is 'A1', that of a cutout 'L1'"
    ) in [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "found parameters of 1 of 4 objects in 4 rows" in caplog.text
    assert counts[FIRST]["n_matched"] == 0
    assert counts[OTHER]["n_matched"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "N/A",
        "n/a",
        "NA",
        "None",
        "null",
        "nan",
        "NaN",
        "-",
        "--",
        "0",
        "-1",
        "-99",
        "-999",
        "-999.0",
        "<NA>",
        "(none)",
        "UNDEFINED",
    ],
)
def test_a_placeholder_links_nothing(text: str) -> None:
    assert linking_id(text) == ""


@pytest.mark.parametrize("text", ["000000", "1", "A", "NA-1", "10", "999", "-17", "L0", "GG-LENS_0.0"])
def test_an_id_links(text: str) -> None:
    assert linking_id(text) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, "7"),
        (7.0, "7"),
        (np.float32(7), "7"),
        (np.uint64(2**63), str(2**63)),
        (7.5, "7.5"),
        (" a ", "a"),
        (True, ""),
        (np.True_, ""),
        (None, ""),
        (fits.card.UNDEFINED, ""),
        (np.array([1, 2]), ""),
    ],
)
def test_a_value_as_an_id(value: object, expected: str) -> None:
    assert id_text(value) == expected


@pytest.mark.parametrize("keyword", ["OBJECTID", "LENS_ID"])
def test_cutouts_without_an_id_are_no_group(tmp_path: Path, keyword: str) -> None:
    """A card without value was the id None, which made all objects one group."""
    image = np.random.default_rng(1).normal(size=(9, 9))
    cards = [fits.card.UNDEFINED, "N/A", 0, "", " ", True, -1.0, "id 7"]
    undefined = fits.Column("Object ID", "J", null=-5, array=[-5])
    pixels = fits.Column("image", "81D", dim="(9,9)", array=image[None])
    for number, value in enumerate(cards):
        hdu = fits.PrimaryHDU(image + number, fits.Header([(keyword, value)]))
        (tmp_path / f"object_{number}.fits").write_bytes(hdus_bytes(hdu))
    (tmp_path / "table_text.fits").write_bytes(table_bytes(image * 2, "none"))
    (tmp_path / "table_tnull.fits").write_bytes(
        hdus_bytes(fits.PrimaryHDU(), fits.BinTableHDU.from_columns([undefined, pixels]))
    )
    (tmp_path / "without.fits").write_bytes(primary_bytes(image * 3))
    build_buckets(PackSettings(path=str(tmp_path), size_px=9, bands=[BANDS[0]]), tmp_path / "out")
    index = pd.read_parquet(tmp_path / "out" / "index.parquet")
    assert len(index) == 11
    assert index.loc[index["header_id"] != "", ["object", "header_id"]].to_numpy().tolist() == [
        ["object_7", "id 7"]
    ]


def test_coordinates_of_parameters_fill_those_that_are_unknown() -> None:
    """An object's own coordinates stay; of a table without both columns of numbers nothing is taken."""
    nan = float("nan")
    index = pa.table(
        {
            "object": ["a", "a", "b", "c", "d"],
            "ra": [1.0, nan, nan, nan, 4.0],
            "dec": [2.0, nan, nan, 5.0, nan],
        }
    )
    parameters = pa.table({"object": ["d", "b", "a"], "RA": [40.0, 20.0, 10.0], "dec": [-40.0, nan, -10.0]})
    filled = with_coordinates(index, parameters)
    assert filled.schema == index.schema
    np.testing.assert_array_equal(filled["ra"].to_numpy(), [1, 10, 20, nan, 40])
    np.testing.assert_array_equal(filled["dec"].to_numpy(), [2, -10, nan, nan, -40])
    texts = parameters.set_column(1, "RA", pa.array(["1h", "2h", "3h"]))
    for other in (parameters.drop_columns("RA"), texts):
        assert with_coordinates(index, other) is index
