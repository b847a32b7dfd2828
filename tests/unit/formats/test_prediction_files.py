"""The files of predictions: table, arrays and description say the same, and exist whole or not at all."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sidecar_examples import EXAMPLES, put
from stronglens.formats.artefact import sha256_of
from stronglens.formats.prediction_files import (
    Member,
    PredictionDescription,
    open_prediction,
    prediction_files,
)
from stronglens.running.errors import InputError

ORIGIN: dict[str, Any] = {
    "model": "nano",
    "seed": 3,
    "weights_sha256": "w",
    "cutouts_sha256": "c",
    "index_sha256": "i",
    "objects_sha256": None,
}
TABLE = pd.DataFrame(
    {
        "path": ["/d/a_g.fits", '/d/a,"_r.fits', "/d/b_g.fits", "/d/c_g.fits"],
        "domain": ["hsc", "hsc", "slsim", "slsim"],
        "label": [1, 1, 0, -1],
        "object": ["a", "a", "b", "c"],
        "band": ["g", "r", "g", "g"],
    }
)
PROBS = np.array([0.1 + 0.2, 0.5, np.nextafter(0.5, 0), 1e-300])


def write(folder: Path, cuts: list[int], n_samples: int = 4, which: str = "val") -> None:
    """Write all samples, in pieces that begin at these rows."""
    with prediction_files(folder, which, n_samples, ORIGIN, ["Rein"]) as files:
        for first, last in zip([0, *cuts], [*cuts, 4], strict=True):
            part = slice(first, last)
            files.add(TABLE.iloc[part], PROBS[part], {"Rein": 10 * PROBS[part]})


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2, 3]])
def test_all_files_say_the_same_in_any_pieces(tmp_path: Path, cuts: list[int]) -> None:
    write(tmp_path, cuts)
    with (tmp_path / "pred_val.csv").open(newline="") as text:
        header, *rows = csv.reader(text)
    assert header == ["path", "domain", "label", "prob", "pred", "object", "band", "Rein"]
    assert [row[0] for row in rows] == TABLE["path"].tolist()
    assert [row[5:7] for row in rows] == TABLE[["object", "band"]].to_numpy().tolist()
    assert [int(row[2]) for row in rows] == [1, 1, 0, -1]
    assert [float(row[3]) for row in rows] == PROBS.tolist()  # to the last bit
    assert [int(row[4]) for row in rows] == [0, 1, 0, 0]  # a lens from 0.5 on
    assert [float(row[7]) for row in rows] == (10 * PROBS).tolist()
    arrays = {name: np.load(tmp_path / f"{name}_val.npy") for name in ("labels", "probs", "preds")}
    assert arrays["probs"].tolist() == PROBS.tolist()
    assert arrays["labels"].tolist() == [1, 1, 0, -1]
    assert arrays["preds"].tolist() == [0, 1, 0, 0]
    stated = json.loads((tmp_path / "pred_val.json").read_text())
    assert (stated["n_samples"], stated["n_objects"]) == (4, 3)
    assert stated["sha256"] == {"pred_val.csv": sha256_of(tmp_path / "pred_val.csv")}


def test_what_was_written_is_opened(tmp_path: Path) -> None:
    write(tmp_path, [2])
    found = open_prediction(tmp_path, "val")
    assert found.member == Member("nano", 3, "w")
    assert str(found.member) == "nano seed 3"
    assert (found.n_samples, found.made_from, found.objects_sha256) == (4, ("c", "i"), None)
    assert found.bands is None
    assert found.csv == tmp_path / "pred_val.csv"
    assert found.csv_sha256 == sha256_of(found.csv)


@pytest.mark.parametrize("fault", ["raises", "too few"])
def test_predictions_that_fail_leave_nothing(tmp_path: Path, fault: str) -> None:
    with (
        pytest.raises(RuntimeError, match="lost" if fault == "raises" else "expected 5 samples, found 2"),
        prediction_files(tmp_path, "val", 5, ORIGIN) as files,
    ):
        files.add(TABLE[:2], PROBS[:2], {})
        if fault == "raises":
            raise RuntimeError("lost")
    assert not list(tmp_path.iterdir())


def test_no_predictions_are_files_too(tmp_path: Path) -> None:
    with prediction_files(tmp_path, "test", 0, ORIGIN):
        pass
    assert (tmp_path / "pred_test.csv").read_text().count("\n") == 1
    assert np.load(tmp_path / "probs_test.npy").shape == (0,)
    assert open_prediction(tmp_path, "test").n_samples == 0


def test_another_s_predictions_are_refused(tmp_path: Path) -> None:
    example = EXAMPLES[PredictionDescription]
    put(tmp_path / "pred_test.json", example)
    with pytest.raises(InputError, match=r"pred_test\.json: expected predictions of test, found val"):
        open_prediction(tmp_path, "test")
    put(tmp_path / "pred_val.json", example | {"sha256": {"other.csv": "s"}})
    with pytest.raises(InputError, match=r"pred_val\.json: expected the sha256 of pred_val\.csv, found none"):
        open_prediction(tmp_path, "val")
    put(tmp_path / "pred_val.json", example)
    found = open_prediction(tmp_path, "val")
    assert (found.bands, found.estimated) == (frozenset({"g", "r"}), ("Rein",))


def test_members_are_in_order_of_model_and_seed() -> None:
    members = [Member("b", 1, "x"), Member("a", 10, "x"), Member("a", 9, "y"), Member("a", 9, "x", True)]
    assert sorted(members) == [members[3], members[2], members[1], members[0]]
    assert members[2].as_dict() == {"model": "a", "seed": 9, "weights_sha256": "y"}
    assert members[3].as_dict()["test_time_augmentation"] is True
