"""Comparisons of a blind set with the training set: their values come back, and only their own."""

import json
from pathlib import Path

import numpy as np
import pytest

from stronglens.formats.drift_files import Compared, Drift, read_compared, write_compared
from stronglens.running.errors import InputError

SHARED = {"n_cutouts": 2, "splits": {"val": 2}, "first": ["a.fits"]}


def compared() -> list[Compared]:
    blind = np.arange(101.0)
    return [
        Compared("sky", "g", blind, {"b": blind - 1e-17, "a": blind[:3] / 3}, distance=0.3, limit=0.25),
        Compared("sky", "r", -blind, {"b": blind[:1]}, distance=0.25, limit=0.25),
        Compared("prob", "", blind / 101, {"b": np.array([0.1, np.nextafter(0.1, 1)])}, 0.1, 0.25),
    ]


def test_values_come_back_to_the_last_bit(tmp_path: Path) -> None:
    write_compared(tmp_path / "drift.json", compared(), SHARED)
    found = read_compared(tmp_path / "drift.json")
    assert [(one.statistic, one.band) for one in found] == [("sky", "g"), ("sky", "r"), ("prob", "")]
    for one, expected in zip(found, compared(), strict=True):
        assert (one.distance, one.limit) == (expected.distance, expected.limit)
        np.testing.assert_array_equal(one.blind, expected.blind)
        assert list(one.training) == list(expected.training)
        for bucket, values in expected.training.items():
            np.testing.assert_array_equal(one.training[bucket], values)


def test_beyond_its_limit_it_drifts_and_the_json_file_says_so_in_short(tmp_path: Path) -> None:
    assert [one.drifts for one in compared()] == [True, False, False]
    write_compared(tmp_path / "drift.json", compared(), SHARED)
    drift = Drift.read(tmp_path / "drift.json")
    assert drift.n_drifting == 1
    assert [one.drifts for one in drift.compared] == [True, False, False]
    assert drift.compared[0].blind == [5.0, 50.0, 95.0]
    assert drift.compared[1].training == {"b": [0.0, 0.0, 0.0]}
    assert drift.identical_cutouts.n_cutouts == 2


def test_values_of_another_comparison_are_refused(tmp_path: Path) -> None:
    write_compared(tmp_path / "drift.json", compared(), SHARED)
    write_compared(tmp_path / "other.json", compared()[:2], SHARED)
    with pytest.raises(InputError, match=r"drift_values\.parquet: expected sha256"):
        read_compared(tmp_path / "drift.json")
    stated = json.loads((tmp_path / "other.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(stated | {"sha256": {}}))
    with pytest.raises(InputError, match=r"expected the sha256 of drift_values\.parquet, found none"):
        read_compared(tmp_path / "other.json")
