"""Known lenses and objects, paired by places of which the separations are known."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stronglens.cataloguing.known import counts_by_table, in_words, match, read_lenses
from stronglens.running.errors import InputError
from stronglens.settings.products import KnownTableSettings

ARCSEC = 1 / 3600


def lenses(*places: tuple[float, float], table: str = "mine") -> pd.DataFrame:
    ra, dec = np.array(places).T
    return pd.DataFrame({"table": table, "name": [f"L{n}" for n in range(len(places))], "ra": ra, "dec": dec})


def objects(*rows: tuple[str, float, float, float, int]) -> Any:
    """Objects by id, ra, dec, probability and answer."""
    table = pd.DataFrame(rows, columns=["id", "ra", "dec", "prob", "pred"]).assign(prob_std=0.01)
    return SimpleNamespace(rows=table)


def test_pairs_are_those_within_the_radius_with_their_separations() -> None:
    test_set = objects(
        ("near", 150.0 + ARCSEC, 0.0, 0.9, 1),
        ("far", 150.0 + 3 * ARCSEC, 0.0, 0.9, 1),
        ("nowhere", np.nan, np.nan, 0.9, 1),
    )
    found = match(lenses((150.0, 0.0), (10.0, 80.0)), test_set, 2.0)
    assert found["name"].tolist() == ["L0", "L1"]
    assert found["id"].tolist() == ["near", ""]
    assert found["outcome"].tolist() == ["recovered", "outside"]
    assert found["separation_arcsec"][0] == pytest.approx(1.0, rel=1e-6)
    assert np.isnan(found["separation_arcsec"][1])


def test_places_meet_across_the_meridian_and_at_the_pole() -> None:
    test_set = objects(("a", 359.9999, 0.0, 0.5, 0), ("b", 10.0, 89.9999, 0.5, 0))
    found = match(lenses((0.0001, 0.0), (190.0, 89.9999)), test_set, 1.0)
    assert found["outcome"].tolist() == ["missed", "missed"]
    assert found["separation_arcsec"].tolist() == pytest.approx([0.72, 0.72], rel=1e-3)


def test_of_several_objects_the_most_probable_comes_first_and_counts() -> None:
    test_set = objects(
        ("a", 150.0, 0.5 * ARCSEC, 0.2, 0),
        ("b", 150.0, 1.5 * ARCSEC, 0.9, 1),
        ("c", 150.0, 1.0 * ARCSEC, 0.2, 0),
        ("d", 150.0, 0.1 * ARCSEC, np.nan, -1),
    )
    found = match(lenses((150.0, 0.0)), test_set, 2.0)
    assert found["id"].tolist() == ["b", "a", "c", "d"]
    counts = counts_by_table(found, {"mine": None, "other": None})
    assert (counts["mine"].recovered, counts["mine"].missed, counts["mine"].unreadable) == (1, 0, 0)
    assert counts["other"].outside == 0
    assert in_words(counts["mine"]) == "1 recovered, 0 missed, 0 unreadable, 0 outside the test set"


def test_a_lens_of_which_nothing_could_be_read_is_said() -> None:
    found = match(lenses((150.0, 0.0)), objects(("a", 150.0, 0.0, np.nan, -1)), 1.0)
    assert found["outcome"].tolist() == ["unreadable"]


def test_no_places_match_nothing() -> None:
    nowhere = objects(("a", np.nan, np.nan, 0.9, 1))
    assert match(lenses((150.0, 0.0)), nowhere, 1.0)["outcome"].tolist() == ["outside"]
    assert len(match(lenses((150.0, 0.0)).iloc[:0], nowhere, 1.0)) == 0


def read(path: Path, text: str, **settings: str) -> pd.DataFrame:
    path.write_text(text)
    return read_lenses("mine", KnownTableSettings.model_validate({"path": str(path), **settings}))


def test_tables_have_names_or_numbers(tmp_path: Path) -> None:
    found = read(tmp_path / "x.csv", "name,ra,dec\nCross,150,2\n,-10,3\n")
    assert found["name"].tolist() == ["Cross", "mine 2"]
    assert found["ra"].tolist() == [150, -10]
    assert set(found["table"]) == {"mine"}
    found = read(tmp_path / "x.csv", "RA,DE,System\n1,2,A\n", ra="RA", dec="DE", name="System")
    assert found["name"].tolist() == ["A"]
    assert read(tmp_path / "x.csv", "ra,dec\n1,2\n")["name"].tolist() == ["mine 1"]


@pytest.mark.parametrize("place", ["400,0", "-200,0", "10,91", ",1", "nan,1"])
def test_what_is_no_place_is_named_with_its_row(place: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"x\.csv: row 2: expected right ascension and declination in degrees"
    ):
        read(tmp_path / "x.csv", f"ra,dec\n1,2\n{place}\n")
