"""Completeness in bins of what is known of lenses, counted by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lens_files import write_lenses, write_parameters
from packed_files import write_packed
from stronglens.running.errors import InputError
from stronglens.scoring.completeness import (
    COLUMNS,
    completeness_rows,
    read_completeness,
    read_parameters,
    write_completeness,
)
from stronglens.scoring.scored import Scored
from stronglens.settings.decide import EvaluateSettings

NAMES = np.array([f"o{number}" for number in range(10)], dtype=object)
LABELS = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1, 1])
PROBS = np.array([0.1, 0.6, 0.2, 0.7, 0.8, 0.9, 0.9, 0.9, 0.5, 0.9])
DOMAINS = np.array(["a", "b"] * 5, dtype=object)
SCORED = Scored(LABELS, PROBS, DOMAINS, "objects", None, NAMES)
RADII = pd.DataFrame({"einstein_radius_arcsec": np.arange(10.0)}, index=NAMES)


def rows_of(parameters: pd.DataFrame, scored: Scored = SCORED, n_bins: int = 2) -> pd.DataFrame:
    rows = completeness_rows(scored, 0.5, parameters, EvaluateSettings(n_bins=n_bins))
    assert all(set(row) == set(COLUMNS) for row in rows)
    return pd.DataFrame(rows)


def test_the_share_that_is_found_in_each_bin() -> None:
    table = rows_of(RADII).set_index("objects")
    whole = table.loc["global"]
    # Radii of lenses: 0 to 5, 8 and 9; of the lower four two are found, of the upper four all (0.5 is t*).
    assert whole["n_lenses"].tolist() == [4, 4]
    assert whole["completeness"].tolist() == [0.5, 1.0]
    assert whole["high"].iloc[0] == whole["low"].iloc[1]
    assert (whole["low"].iloc[0], whole["high"].iloc[1]) == (0, 9)
    assert (whole["interval_low"] <= whole["completeness"]).all()
    assert (whole["interval_high"] >= whole["completeness"]).all()
    one = table.loc["domain::a"]  # objects 0, 2, 4, 8
    assert one["n_lenses"].sum() == 4
    assert (one["n_lenses"] * one["completeness"]).sum() == 2


def test_lenses_of_which_nothing_is_known_are_left_out() -> None:
    known = RADII.iloc[:4]
    table = rows_of(known, n_bins=1).set_index("objects")
    assert table.loc["global", "n_lenses"] == 4
    assert table.loc["global", "completeness"] == 0.5


def test_nothing_known_is_no_row() -> None:
    assert completeness_rows(Scored(LABELS, PROBS, None), 0.5, RADII, EvaluateSettings()) == []
    assert completeness_rows(SCORED, 0.5, pd.DataFrame(), EvaluateSettings()) == []


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = completeness_rows(SCORED, 0.5, RADII, EvaluateSettings(n_bins=3))
    rows.append(rows[0] | {"completeness": 1 / 3, "interval_low": "", "interval_high": ""})
    write_completeness(tmp_path / "completeness.csv", rows)
    table = read_completeness(tmp_path / "completeness.csv")
    assert list(table) == list(COLUMNS)
    for name in COLUMNS[:6]:
        assert table[name].tolist() == [row[name] for row in rows], name
    assert table["interval_low"].iloc[:-1].tolist() == [row["interval_low"] for row in rows[:-1]]
    assert np.isnan(table["interval_low"].iloc[-1])
    write_completeness(tmp_path / "none.csv", [])
    assert len(read_completeness(tmp_path / "none.csv")) == 0


def test_what_is_no_number_is_named(tmp_path: Path) -> None:
    write_completeness(tmp_path / "x.csv", completeness_rows(SCORED, 0.5, RADII, EvaluateSettings(n_bins=1)))
    lines = (tmp_path / "x.csv").read_text().splitlines()
    lines[1] = lines[1].rpartition(",")[0] + ",high"
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"x\.csv: expected numbers in column interval_high"):
        read_completeness(tmp_path / "x.csv")


def test_properties_are_read_by_object_from_all_sets(tmp_path: Path) -> None:
    packed, _ = write_lenses(tmp_path / "one", 2, "i")
    found = read_parameters([packed], "i")
    assert list(found) == ["einstein_radius_arcsec"]  # no magnitudes are known
    expected = pd.read_parquet(packed / "parameters.parquet").set_index("object")["Rein"]
    lenses = expected.dropna().index
    assert found.loc[lenses, "einstein_radius_arcsec"].tolist() == expected[lenses].tolist()
    other = write_packed(tmp_path / "other", n_per_bucket=1, size_px=9, bands="i", seed=1)
    keys = pd.read_parquet(other / "index.parquet")["object"]
    buckets = keys.str.partition("/")[0]
    write_parameters(
        other, pd.DataFrame({"object": keys, "bucket": buckets, "mag_lens_i": 20.0, "mag_lens_g": 1.0})
    )
    assert read_parameters([other], "i")["lens_magnitude"].dropna().unique().tolist() == [20.0]
    assert read_parameters([], "i").empty
