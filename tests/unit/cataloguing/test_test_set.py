"""The objects of a test set: what an ensemble says of them, where they are, what is odd about them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from candidate_files import THRESHOLD, write_ensemble
from packed_files import state_index, write_packed
from stronglens.cataloguing.test_set import TestSet, open_test_set
from stronglens.finder.result import Flag
from stronglens.formats.artefact import read_json, sha256_of, write_json
from stronglens.running.errors import InputError

FIRST, LAST = "hsc_lenses/D_00000000", "slsim_nonlenses/D_00000000"
LOST = "slsim_lenses/D_00000007"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """An object a bucket: one has a rejected band, one no place in the sky; and one that is unreadable."""
    folder = write_packed(tmp_path / "packed", n_per_bucket=1, size_px=9, bands="gr", missing=[(FIRST, "r")])
    index = pd.read_parquet(folder / "index.parquet")
    index["ra"], index["dec"] = 10.0 + np.arange(len(index)), -2.0
    index.loc[index["object"] == LAST, ["ra", "dec"]] = np.nan
    index.loc[index["object"] == "hsc_nonlenses/D_00000000", "ra"] = [np.nan, 77.0]
    index.to_parquet(folder / "index.parquet")
    state_index(folder)
    (folder / "rejected.csv").write_text(
        f"path,bucket,object,band,reason\n/d/a.fits,hsc_lenses,{FIRST},g,constant\n/d/b.fits,slsim_lenses,{LOST},g,broken\n"
        "/d/readme,,,,no cutout\n"
    )
    summary = read_json(folder / "summary.json")
    summary["sha256"]["rejected.csv"] = sha256_of(folder / "rejected.csv")
    write_json(folder / "summary.json", summary)
    return folder


def opened(packed: Path, tmp_path: Path, *, level: str = "object", **options: object) -> TestSet:
    names = pd.read_parquet(packed / "index.parquet")["object"].unique()
    probs = {name: (number + 1) / 5 for number, name in enumerate(sorted(names))}
    csv = write_ensemble(tmp_path / "ens/test_ens.csv", packed, probs, level=level, labelled=False)
    return open_test_set(csv, [packed], **options)  # type: ignore[arg-type]


def test_each_object_has_a_row_with_its_place_and_what_is_odd(packed: Path, tmp_path: Path) -> None:
    test_set = opened(packed, tmp_path)
    assert test_set.threshold == THRESHOLD
    rows = test_set.rows.set_index("id")
    assert rows.index.tolist() == sorted(rows.index)
    assert rows["prob"].dropna().tolist() == [0.2, 0.4, 0.6, 0.8]
    assert rows.loc[FIRST, "flags"] == Flag.MISSING_BAND | Flag.REJECTED
    assert rows.loc["slsim_lenses/D_00000000", "flags"] == 0
    assert np.isnan(rows.loc[LAST, "ra"])
    assert rows.loc["hsc_nonlenses/D_00000000", "ra"] == 77.0  # of the first cutout that says
    lost = rows.loc[LOST]
    assert np.isnan(lost["prob"])
    assert (lost["pred"], lost["n_cutouts"], lost["flags"]) == (-1, 0, Flag.NO_CUTOUT | Flag.REJECTED)


def test_members_that_see_nothing_of_an_object_are_flagged(packed: Path, tmp_path: Path) -> None:
    rows = opened(packed, tmp_path, members_bands=["each", ["r"]]).rows.set_index("id")
    assert rows.loc[FIRST, "flags"] & Flag.UNSEEN
    assert not rows.loc[LAST, "flags"] & Flag.UNSEEN


def test_of_held_out_objects_the_unreadable_are_no_part(packed: Path, tmp_path: Path) -> None:
    assert LOST not in set(opened(packed, tmp_path, whole=False).rows["id"])


def test_files_have_the_names_of_the_submission(packed: Path, tmp_path: Path) -> None:
    rows = opened(packed, tmp_path, level="file").rows
    assert {"D_00000000_g", "a", "b"} <= set(rows["id"])


def test_objects_of_other_data_are_refused(packed: Path, tmp_path: Path) -> None:
    other = write_packed(tmp_path / "other", n_per_bucket=2, size_px=9, bands="gr")
    csv = write_ensemble(tmp_path / "ens/test_ens.csv", other, {"hsc_lenses/D_00000001": 0.5}, labelled=False)
    with pytest.raises(
        InputError, match="expected objects of the packed test set, found hsc_lenses/D_00000001"
    ):
        open_test_set(csv, [packed])


def test_an_ensemble_without_a_threshold_is_of_no_test_set(packed: Path, tmp_path: Path) -> None:
    opened(packed, tmp_path)
    csv = tmp_path / "ens/test_ens.csv"
    described = read_json(csv.with_name("test_ens.json"))
    write_json(csv.with_name("test_ens.json"), described | {"threshold": None})
    with pytest.raises(
        InputError, match="expected the ensemble of a test set, found one without a threshold"
    ):
        open_test_set(csv, [packed])
