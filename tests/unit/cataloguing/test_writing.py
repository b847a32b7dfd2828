"""A table in three formats, read back by the programs they are for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.io.votable import parse
from pyarrow import parquet

from stronglens.cataloguing.columns import column
from stronglens.cataloguing.writing import PROVENANCE, write_fits, write_parquet, write_votable

ROWS = pd.DataFrame(
    {
        "id": ["a", "Köder"],
        "ra": [150.1, np.nan],
        "prob": [0.1 + 0.2, 1e-300],
        "pred": np.array([1, -1]),
        "vel_disp": [230.0, np.nan],
    }
)
COLUMNS = [column(name) for name in ("id", "ra", "prob", "pred", "vel disp")]
ABOUT: dict[str, Any] = {"title": "Candidates", "author": "Grüße", "threshold": 0.1, "members": ["nano 1"]}


def test_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", ROWS, COLUMNS, ABOUT)
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table["prob"].to_pylist() == ROWS["prob"].tolist()
    assert table["id"].to_pylist() == ["a", "Köder"]
    assert table["ra"].to_pylist() == [150.1, None]
    assert table.schema.field("vel_disp").metadata[b"unit"] == b"km/s"
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert json.loads(metadata[PROVENANCE]) == ABOUT
    (tmp_path / "header.vot").write_text(metadata["IVOA.VOTable-Parquet.content"])
    header = parse(tmp_path / "header.vot").get_first_table()
    assert [field.name for field in header.fields] == list(ROWS)
    assert len(header.array) == 0


def test_fits(tmp_path: Path) -> None:
    write_fits(tmp_path / "x.fits", ROWS, COLUMNS, ABOUT)
    with fits.open(tmp_path / "x.fits") as hdus:
        hdus.verify("exception")
        table = hdus["lens_candidates"]
        assert table.data["prob"].tolist() == ROWS["prob"].tolist()
        assert [bytes(one) for one in table.data["id"]] == [b"a", "Köder".encode()]
        header = table.header
        number = 1 + table.columns.names.index("vel_disp")
        assert (header[f"TUNIT{number}"], header[f"TUCD{number}"]) == ("km s-1", "phys.veloc.dispersion")
        assert header[f"TCOMM{number}"].startswith("Estimate of vel disp")
        assert "TUNIT1" not in header
        assert header["RADESYS"] == "ICRS"
        assert header["title"] == "Candidates"
        assert json.loads(header["author"]) == "Grüße"
        assert json.loads(header["members"]) == ["nano 1"]


def test_votable(tmp_path: Path) -> None:
    write_votable(tmp_path / "x.vot", ROWS, COLUMNS, ABOUT)
    votable = parse(tmp_path / "x.vot", verify="exception")
    assert votable.version == "1.4"
    table = votable.get_first_table()
    assert table.array["prob"].tolist() == ROWS["prob"].tolist()
    assert table.array["id"].tolist() == ["a", "Köder"]
    fields = {field.name: field for field in table.fields}
    assert (fields["vel_disp"].unit.to_string(), fields["vel_disp"].ucd) == (
        "km / s",
        "phys.veloc.dispersion",
    )
    assert fields["ra"].ref == "sky"
    assert fields["prob"].ref is None
    (resource,) = votable.resources
    assert resource.coordinate_systems[0].system == "ICRS"
    assert {info.name: info.value for info in resource.infos}["author"] == json.dumps("Grüße")


@pytest.mark.parametrize("write", [write_parquet, write_fits, write_votable])
def test_the_same_table_gives_the_same_bytes(write: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "x.fits", ROWS, COLUMNS, ABOUT)
    assert (tmp_path / "a/x.fits").read_bytes() == (tmp_path / "b/x.fits").read_bytes()


def test_an_empty_table_is_written(tmp_path: Path) -> None:
    for write in (write_parquet, write_fits, write_votable):
        write(tmp_path / "x", ROWS.iloc[:0], COLUMNS, ABOUT)
    assert len(parse(tmp_path / "x").get_first_table().array) == 0
