import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from packed_files import write_packed, write_splits
from predict import main
from stronglens.networks.member_files import read_member
from stronglens.prediction import predict_member
from train import main as train_main

NETWORK = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}
COLUMNS = ["path", "domain", "label", "prob", "pred", "object", "band"]
MISSING = ("slsim_lenses/D_00000011", "g")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    packed = write_packed(root / "packed", missing=[MISSING])
    return packed, write_splits(root / "splits", packed)


@pytest.fixture(scope="module")
def members(data, tmp_path_factory):
    root = tmp_path_factory.mktemp("members")
    for name, bands in {"each": "each", "stack": list("grizy")}.items():
        settings = {"network": NETWORK, "bands": bands, "train": {"epochs": 2, "batch_size": 16, "lr": 1e-3}}
        arguments = ["--packed", str(data[0]), "--splits", str(data[1]), "--out-dir", str(root / name)]
        assert (
            train_main([*arguments, "--settings", json.dumps(settings), "--device", "cpu", "--model", name])
            == 0
        )
    return root


def predict(member, data, out_dir, *more, split="test"):
    arguments = [
        "--member",
        str(member),
        "--packed",
        str(data[0]),
        "--out-dir",
        str(out_dir),
        "--device",
        "cpu",
    ]
    arguments += ["--splits", str(data[1]), "--split", split] if split else []
    return main([*arguments, *more])


def test_every_cutout_of_the_split_gets_a_probability(data, members, tmp_path):
    assert predict(members / "each", data, tmp_path) == 0
    table = pd.read_csv(tmp_path / "pred_test.csv")
    assert list(table) == COLUMNS
    index = pd.read_parquet(data[0] / "index.parquet")
    splits = pd.read_parquet(data[1] / "objects.parquet").set_index("object")["split"]
    expected = index[index["object"].map(splits) == "test"].reset_index(drop=True)
    for column in ("path", "object", "band", "label", "domain"):
        assert list(table[column]) == list(expected[column])
    assert ((table["prob"] >= 0.5) == table["pred"]).all()
    assert np.array_equal(np.load(tmp_path / "probs_test.npy"), table["prob"])
    assert np.array_equal(np.load(tmp_path / "labels_test.npy"), table["label"])
    assert np.array_equal(np.load(tmp_path / "preds_test.npy"), table["pred"])
    described = json.loads((tmp_path / "pred_test.json").read_text())
    assert (described["n_samples"], described["n_objects"]) == (59, 12)


def test_a_stack_gives_one_row_an_object_also_where_a_band_is_missing(data, members, tmp_path):
    assert predict(members / "stack", data, tmp_path) == 0
    table = pd.read_csv(tmp_path / "pred_test.csv").set_index("object")
    assert len(table) == 12
    assert set(table["band"]) == {"grizy"}
    assert table.loc[MISSING[0], "path"].endswith("_r.fits")
    assert table.drop(MISSING[0])["path"].str.endswith("_g.fits").all()


def test_probabilities_are_those_of_the_network_on_its_own(data, members, tmp_path):
    assert predict(members / "each", data, tmp_path, split="val") == 0
    table = pd.read_csv(tmp_path / "pred_val.csv")
    from stronglens.networks.network import build_network
    from stronglens.networks.preprocess import preprocess
    from stronglens.settings.member import MemberSettings

    description, weights = read_member(members / "each")
    settings = MemberSettings.model_validate(description["settings"])
    network = build_network(settings.network, 1, 33).eval()
    network.load_state_dict(weights)
    index = pd.read_parquet(data[0] / "index.parquet")
    cutouts = np.load(data[0] / "cutouts.npy")[index["path"].isin(table["path"])]
    with torch.inference_mode():
        logits = network(preprocess(torch.from_numpy(cutouts), settings.preprocess)[:, None])[:, 0]
    assert np.allclose(table["prob"], torch.sigmoid(logits), atol=1e-6)


def test_chunks_and_batches_change_nothing_beyond_rounding(data, members, tmp_path, monkeypatch):
    assert predict(members / "stack", data, tmp_path / "whole", split="all") == 0
    monkeypatch.setattr(predict_member, "CHUNK_SAMPLES", 7)
    assert predict(members / "stack", data, tmp_path / "cut", "--batch-size", "3", split="all") == 0
    whole, cut = (np.load(tmp_path / name / "probs_all.npy") for name in ("whole", "cut"))
    assert len(whole) == 48
    assert np.allclose(whole, cut, rtol=0, atol=1e-6)


def test_a_whole_set_needs_no_split_and_can_be_capped(data, members, tmp_path):
    blind = write_packed(tmp_path / "blind", n_per_bucket=2, seed=5)
    assert predict(members / "each", (blind, None), tmp_path / "all", split=None) == 0
    assert predict(members / "each", (blind, None), tmp_path / "few", "--max-samples", "6", split=None) == 0
    everything, few = (pd.read_csv(tmp_path / name / "pred_test.csv") for name in ("all", "few"))
    assert len(everything) == 40
    assert list(few["path"]) == list(everything["path"][:6])


def test_refuses_weights_trained_with_another_split(data, members, tmp_path, caplog):
    other = shutil.copytree(data[1], tmp_path / "splits")
    objects = pd.read_parquet(other / "objects.parquet")
    from packed_files import write_objects

    write_objects(
        other, objects.assign(split=objects["split"].replace({"val": "test", "test": "val"})), data[0]
    )
    assert predict(members / "each", (data[0], other), tmp_path / "out") == 1
    assert "expected weights trained on" in caplog.text
    assert not (tmp_path / "out").exists()


def test_refuses_changed_weights(data, members, tmp_path, caplog):
    member = shutil.copytree(members / "each", tmp_path / "member")
    with (member / "best.pt").open("ab") as weights:
        weights.write(b"\0")
    assert predict(member, data, tmp_path / "out") == 1
    assert "best.pt: expected sha256" in caplog.text
    assert not (tmp_path / "out").exists()


def test_refuses_cutouts_of_another_size(members, tmp_path, caplog):
    blind = write_packed(tmp_path / "blind", n_per_bucket=1, size_px=35)
    assert predict(members / "each", (blind, None), tmp_path / "out", split=None) == 1
    assert "expected cutouts of 33 px" in caplog.text


def test_refuses_a_band_that_is_not_there(members, tmp_path, caplog):
    blind = write_packed(tmp_path / "blind", n_per_bucket=1, bands="gri")
    assert predict(members / "stack", (blind, None), tmp_path / "out", split=None) == 1
    assert "expected some of g, r, i, found z, y" in caplog.text
