"""A blind set gives the same submission bytes, whichever way it is given."""

import json
import os
import zlib
from pathlib import Path

import pytest

from build_buckets import main as build_buckets
from ensemble import main as ensemble
from fits_files import write_labelled, write_test_set
from predict import main as predict
from split_objects import main as split_objects
from submission import main as submission
from threshold import main as threshold
from train import main as train

SETTINGS = {
    "network": {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}},
    "train": {"epochs": 1, "batch_size": 16},
}
BUCKETS = ("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A trained member, its threshold, and a blind set with an object of which nothing can be read."""
    root = tmp_path_factory.mktemp("run")
    packed, splits, member = root / "labelled", root / "splits", root / "member"
    settings = json.dumps({"labelled": write_labelled(root / "data", 8)})
    assert build_buckets(["--settings", settings, "--out-dir", str(packed), "--processes", "1"]) == 0
    arguments = ["--settings", '{"train": 0.5, "val": 0.25, "test": 0.25}']
    assert split_objects(["--packed", str(packed), "--out-dir", str(splits), *arguments]) == 0
    data = ["--packed", str(packed), "--splits", str(splits)]
    assert train([*data, "--out-dir", str(member), "--settings", json.dumps(SETTINGS)]) == 0
    assert predict([*data, "--member", str(member), "--split", "val", "--out-dir", str(root / "val")]) == 0
    arguments = ["--predictions", str(root / "val"), "--packed", str(packed), "--out-dir", str(root / "ens")]
    assert ensemble(arguments) == 0
    arguments = ["--ensemble-csv", str(root / "ens/val_ens.csv"), "--out-dir", str(root / "ens")]
    assert threshold(arguments) == 0
    write_test_set(root / "blind", 20)
    for band in "grizy":
        (root / f"blind/object_00007_{band}.fits").write_bytes(b"no image")
    return root


def as_folder(blind: Path, new: Path) -> dict:
    return {"path": str(blind)}


def as_list(blind: Path, new: Path) -> dict:
    paths = sorted(map(str, blind.iterdir()), reverse=True)
    (new / "list.txt").write_text("\n".join(paths) + "\n")
    return {"path": str(new / "list.txt")}


def as_folders_spread_by_name(blind: Path, new: Path) -> dict:
    for path in blind.iterdir():
        folder = new / BUCKETS[zlib.crc32(path.name.encode()) % 4]
        folder.mkdir(exist_ok=True)
        (folder / path.name).symlink_to(path)
    return {"buckets": {name: str(new / name) for name in BUCKETS}}


def as_four_times_everything(blind: Path, new: Path) -> dict:
    for name in BUCKETS:
        (new / name).mkdir()
        for path in blind.iterdir():
            (new / name / path.name).symlink_to(os.path.relpath(path, new / name))
    return {"buckets": {name: str(new / name) for name in BUCKETS}}


def submit(run: Path, place: dict, new: Path, parts: int = 1) -> bytes:
    settings = json.dumps({"dataset": "challenge", "max_rejected": 0.1} | place)
    for part in range(parts):
        packed, predicted = new / f"packed/part_{part}", new / f"predicted/part_{part}"
        arguments = ["--part", str(part), "--parts", str(parts), "--processes", "1"]
        assert build_buckets(["--settings", settings, "--out-dir", str(packed), *arguments]) == 0
        arguments = ["--member", str(run / "member"), "--packed", str(packed), "--out-dir", str(predicted)]
        assert predict(arguments) == 0
    given = ["--packed", str(new / "packed"), "--parts", str(parts)]
    arguments = [
        "--which",
        "test",
        "--threshold",
        str(run / "ens/threshold.txt"),
        "--out-dir",
        str(new / "ens"),
    ]
    assert ensemble(["--predictions", str(new / "predicted"), *given, *arguments]) == 0
    arguments = ["--ensemble-csv", str(new / "ens/test_ens.csv"), "--out", str(new / "submission.csv")]
    arguments += ["--provenance", str(new / "submission.json"), "--settings", '{"ensemble": "a"}']
    assert submission([*arguments, *given]) == 0
    return (new / "submission.csv").read_bytes()


@pytest.fixture(scope="module")
def expected(run, tmp_path_factory) -> bytes:
    content = submit(run, as_folder(run / "blind", run), tmp_path_factory.mktemp("folder"))
    assert len(content.splitlines()) == 21
    return content


@pytest.mark.parametrize("way", [as_list, as_folders_spread_by_name, as_four_times_everything])
def test_way_a_set_is_given_changes_nothing(run, expected, tmp_path, way):
    assert submit(run, way(run / "blind", tmp_path), tmp_path) == expected


def test_number_of_parts_changes_nothing(run, expected, tmp_path):
    assert submit(run, as_folder(run / "blind", tmp_path), tmp_path, parts=3) == expected
