"""From cutouts of any size, in buckets of the user's own, to probabilities."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fits_files import galaxy, primary_bytes
from predict import main as predict
from stronglens.packing.pack import build_buckets
from stronglens.settings.data import PackSettings, SplitSettings
from stronglens.splitting.split import split_objects
from train import main as train

NETWORK = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}
BUCKETS = {"arcs": "lens", "spirals": "nonlens"}


@pytest.mark.parametrize("size_px", [32, 64, 101, 128])
def test_cutouts_of_any_size_are_packed_trained_on_and_predicted(size_px: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(size_px)
    labelled = {}
    for name, label in BUCKETS.items():
        (tmp_path / name).mkdir()
        for number in range(8):  # of sizes that vary by a pixel or two, too
            image = galaxy(generator, lens=label == "lens", size_px=size_px + number % 3, bands="gr")
            for band, one in zip("gr", image, strict=True):
                (tmp_path / name / f"{number}_{band}.fits").write_bytes(primary_bytes(one))
        labelled[name] = {"path": str(tmp_path / name), "label": label, "domain": "euclid"}
    settings = PackSettings(size_px=size_px, bands=["g", "r"], labelled=labelled, fit="crop")
    build_buckets(settings, tmp_path / "packed")
    assert json.loads((tmp_path / "packed/summary.json").read_text())["n_fitted"] == 20
    split_objects(tmp_path / "packed", tmp_path / "splits", SplitSettings(train=0.5, val=0.25, test=0.25))
    member = {"network": NETWORK, "bands": ["g", "r"], "train": {"epochs": 1, "batch_size": 4}}
    data = ["--packed", str(tmp_path / "packed"), "--splits", str(tmp_path / "splits"), "--device", "cpu"]
    trained = ["--out-dir", str(tmp_path / "member"), "--settings", json.dumps(member), "--model", "m"]
    assert train([*data, *trained]) == 0
    out = ["--member", str(tmp_path / "member"), "--out-dir", str(tmp_path / "pred"), "--split", "test"]
    assert predict([*data, *out]) == 0
    table = pd.read_csv(tmp_path / "pred/pred_test.csv")
    assert len(table) == 4
    assert set(table["domain"]) == {"euclid"}
    assert table["prob"].between(0, 1).all()
