"""Catalogues: the same table in three formats that others read, known lenses found again, a watch list."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse, validate
from astropy.io.votable.ucd import check_ucd
from astropy.table import Table
from pyarrow import parquet

import catalogue
import match_known_lenses
from candidate_files import THRESHOLD, data_of, make_page, write_data
from packed_files import state_index
from stronglens.cataloguing.columns import column
from stronglens.cataloguing.writing import write_fits, write_parquet, write_votable
from stronglens.finder.result import Flag
from stronglens.formats.artefact import read_json, sha256_of, write_json
from stronglens.formats.known_lenses import KnownLenses, read_known
from stronglens.settings.lens_parameters import LENS_PARAMETERS, columns_of

MISSING = (("hsc_lenses/D_00000003", "i"),)
UNPLACED = "hsc_lenses/D_00000002"
LOST = "slsim_lenses/Grüße"


def place(folder: Path) -> None:
    """Give the objects of the test set places in the sky, but for one; let one be unreadable."""
    index = pd.read_parquet(folder / "index.parquet")
    numbers = pd.factorize(index["object"])[0]
    index["ra"], index["dec"] = (359.99 + numbers * 0.001) % 360, -10 + numbers * 0.002
    index.loc[index["object"] == UNPLACED, ["ra", "dec"]] = np.nan
    index.to_parquet(folder / "index.parquet")
    state_index(folder)
    (folder / "rejected.csv").write_text(
        f"path,bucket,object,band,reason\n/data/{LOST}_g.fits,slsim_lenses,{LOST},g,broken\n"
        f"/data/hsc_lenses/D_00000003_i.fits,hsc_lenses,hsc_lenses/D_00000003,i,constant\n"
    )
    summary = read_json(folder / "summary.json")
    summary["sha256"]["rejected.csv"] = sha256_of(folder / "rejected.csv")
    write_json(folder / "summary.json", summary)


def estimate(csv: Path) -> None:
    """Let the ensemble estimate lens parameters, and give probabilities for the sky."""
    table = pd.read_csv(csv)
    table["prob_sky"] = table["prob"] / 100
    for name in ("Rein", "vel disp"):
        table[name], table[f"{name}_std"] = np.arange(len(table)) / 7, 0.1
    table.to_csv(csv, index=False, lineterminator="\n")
    described = read_json(csv.with_name("test_ens.json"))
    described |= {
        "sha256": {csv.name: sha256_of(csv)},
        "lens_parameters": {"Rein": 2, "vel disp": 1},
        "combination": {"settings": {"calibration": "temperature", "sky_prevalence": 1e-4}},
    }
    write_json(csv.with_name("test_ens.json"), described)


def write_members(folder: Path) -> list[str]:
    options = []
    for seed, bands in ((1, "each"), (2, ["i"])):
        described = {
            **{"format": 1, "model": "nano", "seed": seed, "weights_sha256": "0", "size_px": 33},
            **{"in_chans": 1, "settings": {"bands": bands}},
        }
        write_json(folder / f"seed_{seed}" / "best.json", described)
        options.append(f"--members={folder}/seed_{seed}")
    return options


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    options = write_data(folder, n_per_bucket=4, missing=MISSING)
    place(folder / "test")
    estimate(folder / "ens/test_ens.csv")
    (folder / "options").write_text("\n".join(options))
    return folder


def objects_of(folder: Path) -> pd.DataFrame:
    """Objects that have a place, with their probabilities, by key."""
    index = pd.read_parquet(folder / "test/index.parquet").drop_duplicates("object").set_index("object")
    table = pd.read_csv(folder / "ens/test_ens.csv").set_index("object")
    return table.join(index[["ra", "dec"]]).dropna(subset=["ra"])


def write_known_tables(folder: Path) -> dict[str, Any]:
    """Two tables: one with names, one in radians without, of lenses in and out of the test set."""
    objects = objects_of(folder).sort_values("prob")
    worst, best = objects.iloc[0], objects.iloc[-1]
    known = SkyCoord([worst["ra"], best["ra"]], [worst["dec"], best["dec"]], unit="deg")
    near = known.directional_offset_by(90 * units.deg, 1.0 * units.arcsec)
    folder.mkdir(exist_ok=True)
    named = pd.DataFrame({"RAJ2000": near.ra.deg, "DEJ2000": near.dec.deg, "System": ["Köder", "Cross"]})
    named.to_csv(folder / "named.csv", index=False)
    far = Table({"ra": np.radians([10.0]), "dec": np.radians([89.0])}, units=["rad", "rad"])
    far.write(folder / "far.fits", overwrite=True)
    own = {"path": f"{folder}/named.csv", "ra": "RAJ2000", "dec": "DEJ2000", "name": "System"}
    return {"tables": {"own": own, "far": f"{folder}/far.fits"}}


def matched(folder: Path, out: Path, **settings: Any) -> tuple[pd.DataFrame, KnownLenses]:
    options = [
        one for one in (folder / "options").read_text().splitlines() if "csv" in one or "packed" in one
    ]
    chosen = [one for one in options if not one.startswith("--heldout")]
    given = json.dumps(write_known_tables(folder) | settings)
    assert match_known_lenses.main([*chosen, f"--out-dir={out}", f"--settings={given}"]) == 0
    return read_known(out / "known_lenses.csv")


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made")
    matched(folder, out)
    options = (folder / "options").read_text().splitlines()
    chosen = [one for one in options if not one.startswith(("--heldout", "--labelled"))]
    more = [f"--known-lenses={out}/known_lenses.csv", f"--out-dir={out}"]
    assert catalogue.main([*chosen, *write_members(out / "members"), *more]) == 0
    return out


def columns_as_lists(table: Table) -> dict[str, list[Any]]:
    return {
        name: [
            one.decode()
            if isinstance(one, bytes)
            else None
            if isinstance(one, float) and math.isnan(one)
            else one
            for one in np.ma.filled(table[name], np.nan if table[name].dtype.kind == "f" else None).tolist()
        ]
        for name in table.colnames
    }


def test_three_formats_hold_the_same_table(folder: Path, made: Path) -> None:
    as_parquet = parquet.read_table(made / "catalogue.parquet").to_pydict()
    assert list(as_parquet)[:7] == ["id", "ra", "dec", "prob", "prob_std", "prob_sky", "pred"]
    assert list(as_parquet)[7:] == [
        *("Rein", "Rein_std", "vel_disp", "vel_disp_std", "known_lens", "flags", "n_cutouts"),
    ]
    assert columns_as_lists(Table.read(made / "catalogue.fits")) == as_parquet
    assert columns_as_lists(Table.read(made / "catalogue.vot")) == as_parquet
    said = pd.read_csv(folder / "ens/test_ens.csv").set_index("object")
    for number, name in enumerate(as_parquet["id"]):
        if name != LOST:
            for key in ("prob", "prob_std", "prob_sky", "pred", "Rein"):
                assert as_parquet[key][number] == said.loc[name, key], (name, key)
    assert {*as_parquet["id"]} == {*said.index, LOST}
    assert as_parquet["id"] == sorted(as_parquet["id"])


def test_units_ucds_and_provenance_are_in_each_file(made: Path) -> None:
    table = parse(made / "catalogue.vot", verify="exception").get_first_table()
    fields = {field.name: field for field in table.fields}
    header = fits.getheader(made / "catalogue.fits", 1)
    schema = parquet.read_schema(made / "catalogue.parquet")
    for number, name in enumerate(schema.names, start=1):
        said = schema.field(name).metadata
        unit, ucd = said[b"unit"].decode(), said[b"ucd"].decode()
        assert header[f"TTYPE{number}"] == name
        assert header.get(f"TUCD{number}", "") == ucd == (fields[name].ucd or "")
        words = " ".join(fields[name].description.split())  # long lines of XML are wrapped
        assert header[f"TCOMM{number}"] == said[b"description"].decode() == words
        assert units.Unit(header.get(f"TUNIT{number}", "")) == units.Unit(unit)
        assert units.Unit(fields[name].unit or "") == units.Unit(unit)
    assert fields["ra"].ucd == "pos.eq.ra;meta.main"
    assert fields["vel_disp"].unit == units.Unit("km/s")
    infos = {info.name: info.value for info in parse(made / "catalogue.vot").resources[0].infos}
    provenance = read_json(made / "catalogue.json")["provenance"]
    assert json.loads(schema.metadata[b"stronglens.provenance"]) == provenance
    assert provenance["prob_sky"] == "for a fraction of lenses of 0.0001"
    assert [one["seed"] for one in provenance["members"]] == [1, 2]
    for key, value in provenance.items():
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        assert infos[key] == header[key.upper() if len(key) > 8 else key] == text
    voparquet = schema.metadata[b"IVOA.VOTable-Parquet.content"]
    assert b'ucd="stat.probability"' in voparquet


def test_the_votable_is_valid(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(str(made / "catalogue.vot")), capsys.readouterr().out


def test_tools_of_the_virtual_observatory_find_columns_by_their_ucd(made: Path) -> None:
    dal = pytest.importorskip("pyvo.dal", exc_type=ImportError)
    results = dal.DALResults(parse(made / "catalogue.vot"))
    assert results.fieldname_with_ucd("pos.eq.ra") == "ra"
    assert results.fieldname_with_ucd("meta.id") == "id"
    assert results.fieldname_with_ucd("phys.angSize") == "Rein"
    assert results.getdesc("vel_disp").unit == units.Unit("km/s")
    table = Table.read(made / "catalogue.vot")
    assert len(results) == len(table)
    first = results[0]
    assert (first["id"], first["prob"]) == (table["id"][0], table["prob"][0])


def test_a_catalogue_of_no_objects_is_read_back(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "id": np.empty(0, dtype=object),
            "ra": np.empty(0),
            "prob": np.empty(0),
            "pred": np.empty(0, dtype=np.int64),
        }
    )
    columns = [column(name) for name in rows]
    provenance = {"title": "none"}
    write_votable(tmp_path / "x.vot", rows, columns, provenance)
    write_fits(tmp_path / "x.fits", rows, columns, provenance)
    write_parquet(tmp_path / "x.parquet", rows, columns, provenance)
    assert len(parquet.read_table(tmp_path / "x.parquet")) == 0
    for name in ("x.vot", "x.fits"):
        table = Table.read(tmp_path / name)
        assert (len(table), table.colnames) == (0, list(rows))
        assert table["ra"].unit == units.deg
    assert validate(str(tmp_path / "x.vot"))


@pytest.mark.parametrize("name", [*columns_of(LENS_PARAMETERS), "id", "pred", "flags", "known_lens"])
def test_ucds_are_words_of_the_vocabulary(name: str) -> None:
    found = column(name)
    assert found.ucd == "" or check_ucd(found.ucd, check_controlled_vocabulary=True)
    assert units.Unit(found.unit, format="vounit") is not None
    assert " " not in found.name


def test_flags_say_what_is_odd(made: Path) -> None:
    table = parquet.read_table(made / "catalogue.parquet").to_pandas().set_index("id")
    lacking = Flag.MISSING_BAND | Flag.REJECTED | Flag.UNSEEN
    assert table.loc["hsc_lenses/D_00000003", "flags"] == lacking
    assert table.loc[LOST, "flags"] == Flag.NO_CUTOUT | Flag.REJECTED
    assert table.loc[LOST, "pred"] == -1
    assert pd.isna(table.loc[LOST, "prob"])
    assert table["flags"].eq(0).sum() == len(table) - 2


def test_the_watch_list_holds_candidates_that_have_a_place(folder: Path, made: Path) -> None:
    watched = pd.read_csv(made / "watch_list.csv")
    assert list(watched) == ["id", "ra", "dec", "radius"]
    objects = objects_of(folder)
    expected = objects[objects["prob"] >= THRESHOLD].sort_values("prob", ascending=False)
    assert list(watched["id"]) == list(expected.index)
    np.testing.assert_array_equal(watched["ra"], expected["ra"])
    assert set(watched["radius"]) == {2.0}


def test_known_lenses_are_recovered_missed_or_outside(folder: Path, tmp_path: Path) -> None:
    table, described = matched(folder, tmp_path)
    objects = objects_of(folder).sort_values("prob")
    found = table.set_index("name")
    assert found["outcome"].to_dict() == {"Köder": "missed", "Cross": "recovered", "far 1": "outside"}
    assert found.loc["Cross", "id"] == objects.index[-1]
    assert found.loc["Cross", "prob"] == objects["prob"].iloc[-1]
    assert found.loc["Cross", "separation_arcsec"] == pytest.approx(1, abs=1e-6)
    assert described.tables["own"].model_dump() == {
        **{"recovered": 1, "missed": 1, "unreadable": 0, "outside": 0},
    }
    assert described.tables["far"].outside == 1
    assert described.n_objects == described.n_positions + 2  # one without a place, one unreadable


def test_a_known_lens_is_no_further_than_the_radius(folder: Path, tmp_path: Path) -> None:
    table, _ = matched(folder, tmp_path, radius_arcsec=0.9)
    assert set(table["outcome"]) == {"outside"}


def test_a_lens_that_several_objects_could_be_goes_by_the_best(folder: Path, tmp_path: Path) -> None:
    """Objects are some 8 arcsec from each other here."""
    table, described = matched(folder, tmp_path, radius_arcsec=60)
    own = table[table["table"] == "own"]
    assert len(own) > 2
    firsts = own.drop_duplicates("name").set_index("name")["prob"]
    assert firsts.to_dict() == own.groupby("name")["prob"].max().to_dict()
    assert sum(described.tables["own"].model_dump().values()) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("ra,dec\n10,91\n", "row 1: expected right ascension and declination in degrees, found 10.0, 91.0"),
        ("ra,dec\n10,20\n,20\n", "row 2: expected right ascension"),
        ("ra,dec\n10h,20\n", "expected numbers in column ra"),
        ("RA,Dec\n10,20\n", "found none named ra, dec among RA, Dec"),
    ],
)
def test_a_table_of_lenses_that_is_none_is_refused(
    folder: Path, tmp_path: Path, content: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mine.csv").write_text(content)
    options = [f"--ensemble-csv={folder}/ens/test_ens.csv", f"--packed={folder}/test"]
    given = json.dumps({"tables": {"mine": f"{tmp_path}/mine.csv"}})
    assert match_known_lenses.main([*options, f"--out-dir={tmp_path}", f"--settings={given}"]) == 1
    assert says in caplog.text
    assert f"{tmp_path}/mine.csv" in caplog.text
    assert not (tmp_path / "known_lenses.csv").exists()


def test_masked_coordinates_of_known_lenses_are_named(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are no places at 0, 0, nor at the fill value."""
    table = Table({"ra": np.ma.masked_array([10.0, 11.0], [False, True]), "dec": [1.0, 2.0]})
    table.write(tmp_path / "mine.vot", format="votable")
    table.filled(np.nan).write(tmp_path / "mine.fits")
    for path in (tmp_path / "mine.vot", tmp_path / "mine.fits"):
        options = [f"--ensemble-csv={folder}/ens/test_ens.csv", f"--packed={folder}/test"]
        given = json.dumps({"tables": {"mine": str(path)}})
        assert match_known_lenses.main([*options, f"--out-dir={tmp_path}", f"--settings={given}"]) == 1
        assert f"{path}: row 2: expected right ascension and declination" in caplog.text


def test_the_page_of_candidates_marks_known_lenses_or_leaves_them_out(folder: Path, tmp_path: Path) -> None:
    table, _ = matched(folder, tmp_path)
    best = table.set_index("name").loc["Cross", "id"]
    options = [*(folder / "options").read_text().splitlines(), f"--known-lenses={tmp_path}/known_lenses.csv"]
    items = data_of(make_page(tmp_path, options))["items"]
    marks = dict(zip(items["id"][: items["set"].count(0)], items["known"], strict=False))
    assert marks[best] == "Cross"
    assert sorted(filter(None, marks.values())) == ["Cross", "Köder"]
    items = data_of(make_page(tmp_path, options, leave_out_known=True))["items"]
    left = items["id"][: items["set"].count(0)]
    assert {*marks} - {*left} == {name for name, mark in marks.items() if mark}


def test_other_weights_than_the_ensembles_are_refused(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = [one for one in (folder / "options").read_text().splitlines() if "held" not in one]
    chosen = [one for one in options if not one.startswith("--labelled")]
    (member, _) = write_members(tmp_path)
    assert catalogue.main([*chosen, member, f"--out-dir={tmp_path}/out"]) == 1
    assert "expected the members nano seed 1 (0…), nano seed 2 (0…), found nano seed 1" in caplog.text
    assert not (tmp_path / "out").exists()
