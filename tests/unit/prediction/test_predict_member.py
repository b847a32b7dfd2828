import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from packed_files import state_index, write_packed, write_splits
from predict import main
from stronglens.formats import packed as packed_format
from stronglens.formats.artefact import sha256_of, write_json
from stronglens.formats.member_files import read_member
from stronglens.networks.ways import Measured
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


@pytest.mark.parametrize("name", ["each", "stack"])
def test_the_number_of_threads_changes_no_byte(data, members, tmp_path, name):
    for threads in ("1", "2"):
        assert predict(members / name, data, tmp_path / threads, "--threads", threads) == 0
    one, two = ((tmp_path / threads / "probs_test.npy").read_bytes() for threads in ("1", "2"))
    assert one == two


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
    settings = MemberSettings.model_validate(description.settings)
    network = build_network(settings.network, 1, 33).eval()
    network.load_state_dict(weights)
    index = pd.read_parquet(data[0] / "index.parquet")
    cutouts = np.load(data[0] / "cutouts.npy")[index["path"].isin(table["path"])]
    with torch.inference_mode():
        logits = network(preprocess(torch.from_numpy(cutouts), settings.preprocess)[:, None])[:, 0]
    assert np.allclose(table["prob"], torch.sigmoid(logits), atol=1e-6)


def test_chunks_and_batches_change_nothing_beyond_rounding(data, members, tmp_path, monkeypatch):
    assert predict(members / "stack", data, tmp_path / "whole", split="all") == 0
    monkeypatch.setattr(predict_member, "CHUNK_ON_CPU", 7)
    assert predict(members / "stack", data, tmp_path / "cut", "--batch-size", "3", split="all") == 0
    whole, cut = (np.load(tmp_path / name / "probs_all.npy") for name in ("whole", "cut"))
    assert len(whole) == 48
    assert np.allclose(whole, cut, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["each", "stack"])
@pytest.mark.parametrize("split", ["val", None])
def test_pieces_change_nothing_beyond_rounding(data, members, tmp_path, monkeypatch, name, split):
    assert predict(members / name, data, tmp_path / "whole", "--which", "test", split=split) == 0
    monkeypatch.setattr(packed_format, "PIECE_ROWS", 13)
    assert predict(members / name, data, tmp_path / "cut", "--which", "test", split=split) == 0
    few = ["--which", "test", "--max-samples", "9"]
    assert predict(members / name, data, tmp_path / "few", *few, split=split) == 0
    whole, cut, few = (pd.read_csv(tmp_path / folder / "pred_test.csv") for folder in ("whole", "cut", "few"))
    assert len(whole) == {"each": {"val": 60, None: 239}, "stack": {"val": 12, None: 48}}[name][split]
    for found in (cut, few):
        pd.testing.assert_frame_equal(found, whole.head(len(found)), rtol=0, atol=1e-6)
    assert (len(cut), len(few)) == (len(whole), 9)
    for array in ("labels", "probs", "preds"):
        column = {"labels": "label", "probs": "prob", "preds": "pred"}[array]
        assert np.array_equal(np.load(tmp_path / "cut" / f"{array}_test.npy"), cut[column])
    described = [
        json.loads((tmp_path / folder / "pred_test.json").read_text()) for folder in ("whole", "cut")
    ]
    assert described[0]["n_objects"] == described[1]["n_objects"] == whole["object"].nunique()


@pytest.mark.parametrize("batch_size", ["512", "7"])
def test_a_prediction_that_fails_leaves_nothing(data, members, tmp_path, monkeypatch, caplog, batch_size):
    """Also where it fails at the end, after many were written."""
    monkeypatch.setattr(predict_member, "CHUNK_ON_CPU", 7)
    good = predict_member.outputs_of

    def broken(network, loaded, *more, **named):
        outputs = good(network, loaded, *more, **named)
        return outputs * float("nan") if len(loaded) in (59, 59 % 7) else outputs

    monkeypatch.setattr(predict_member, "outputs_of", broken)
    assert predict(members / "each", data, tmp_path / "out", "--batch-size", batch_size) == 1
    assert ".fits: expected a probability, found one that is not finite" in caplog.text
    assert not list((tmp_path / "out").iterdir())


def test_names_of_all_kinds_come_back(members, tmp_path):
    blind = write_packed(tmp_path / "blind", n_per_bucket=1)
    index = pd.read_parquet(blind / "index.parquet")
    paths = ["/a,b.fits", '/"quoted".fits', "/two\nlines.fits", "/ü — 星.fits", "/plain.fits"]
    index.loc[: len(paths) - 1, "path"] = paths
    rewrite_index(blind, index)
    assert predict(members / "each", (blind, None), tmp_path / "out", split=None) == 0
    assert list(pd.read_csv(tmp_path / "out" / "pred_test.csv")["path"]) == list(index["path"])
    assert '\n"/""quoted"".fits",slsim,1,' in (tmp_path / "out" / "pred_test.csv").read_text()


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


def test_an_object_of_which_a_network_sees_nothing_is_named(members, tmp_path, caplog, monkeypatch):
    nothing = [("hsc_lenses/D_00000001", band) for band in "grizy"[:4]]
    blind = write_packed(tmp_path / "blind", n_per_bucket=2, missing=nothing)
    index = pd.read_parquet(blind / "index.parquet")
    index.loc[index["object"] == "hsc_lenses/D_00000001", "band"] = "none"  # a file with a bare name
    rewrite_index(blind, index)
    assert predict(members / "stack", (blind, None), tmp_path / "out", split=None) == 0
    assert "1 objects have no readable cutout in the bands g, r, i, z, y" in caplog.text
    assert "'hsc_lenses/D_00000001'" in caplog.text
    assert json.loads((tmp_path / "out/pred_test.json").read_text())["bands"] == list("grizy")
    monkeypatch.setattr(packed_format, "PIECE_ROWS", 3)
    assert predict(members / "stack", (blind, None), tmp_path / "cut", split=None) == 0
    assert caplog.text.count("1 objects have no readable cutout") == 2
    rewrite_index(blind, index.assign(band="none"))
    assert predict(members / "stack", (blind, None), tmp_path / "none", split=None) == 1
    assert "expected objects with a readable cutout in one of the bands g, r, i, z, y" in caplog.text
    assert not (tmp_path / "none").exists()


def rewrite_index(packed, index):
    index.to_parquet(packed / "index.parquet")
    state_index(packed)


@pytest.mark.parametrize(("n_parts", "chosen"), [(1, False), (2, True)])
def test_parts_choose_whether_to_compile_as_the_whole_set_would(
    members, tmp_path, monkeypatch, n_parts, chosen
):
    part = write_packed(tmp_path / "part", n_per_bucket=2)
    summary = json.loads((part / "summary.json").read_text())
    write_json(part / "summary.json", summary | {"parts": n_parts})
    compiled = []
    costs = {"eager": Measured(0, 1), "compiled": Measured(30, 0.5)}  # 40 samples here, 80 in two parts
    monkeypatch.setattr("stronglens.networks.compiled.estimated", lambda *_, **__: costs)
    monkeypatch.setattr(
        predict_member, "compiled", lambda network, *_, **__: compiled.append(network) or network
    )
    assert predict(members / "each", (part, None), tmp_path / "out", split=None) == 0
    assert bool(compiled) == chosen


def test_predictions_are_made_in_ieee_float32(data, members, tmp_path, monkeypatch):
    """PyTorch would take TF32 for a GPU's convolutions."""
    seen, outputs_of = [], predict_member.outputs_of
    monkeypatch.setattr(
        predict_member,
        "outputs_of",
        lambda *given, **named: seen.append(torch.backends.cudnn.allow_tf32) or outputs_of(*given, **named),
    )
    assert predict(members / "each", data, tmp_path) == 0
    assert seen == [False]


def test_a_member_is_predicted_in_what_training_has_chosen(data, members, tmp_path, monkeypatch):
    def as_trained(device, settings, trained_in):
        assert (device.type, settings.train.precision, trained_in) == ("cpu", "auto", "float32")
        return settings.model_copy(update={"train": settings.train.model_copy(update={"precision": "bf16"})})

    assert predict(members / "each", data, tmp_path / "plain") == 0
    monkeypatch.setattr(predict_member, "as_trained", as_trained)
    assert predict(members / "each", data, tmp_path / "chosen") == 0
    plain, chosen = (np.load(tmp_path / name / "probs_test.npy") for name in ("plain", "chosen"))
    assert 0 < np.abs(plain - chosen).max() < 2e-2


def test_test_time_augmentation_prepares_images_once(data, members, tmp_path, monkeypatch):
    prepared = []
    load = predict_member.load_resident
    monkeypatch.setattr(
        predict_member,
        "load_resident",
        lambda packed, samples, *more, **known: (
            prepared.append(len(samples)) or load(packed, samples, *more, **known)
        ),
    )
    monkeypatch.setattr(predict_member, "outputs_of", counted := Counted(predict_member.outputs_of))
    assert predict(members / "each", data, tmp_path, "--settings.test-time-augmentation") == 0
    assert (sum(prepared), counted.n_calls) == (59, 1)


class Counted:
    def __init__(self, function):
        self.function = function
        self.n_calls = 0

    def __call__(self, *arguments, **named):
        self.n_calls += 1
        return self.function(*arguments, **named)


def turned(packed, folder):
    """The same data set with every cutout turned by 90 degrees and mirrored."""
    shutil.copytree(packed, folder)
    cutouts = np.load(folder / "cutouts.npy")
    np.save(folder / "cutouts.npy", np.rot90(cutouts, axes=(1, 2))[:, :, ::-1])
    summary = json.loads((folder / "summary.json").read_text())
    summary["sha256"]["cutouts.npy"] = sha256_of(folder / "cutouts.npy")
    write_json(folder / "summary.json", summary)
    return folder


@pytest.mark.parametrize("member", ["each", "stack"])
def test_with_test_time_augmentation_orientation_means_nothing(data, members, tmp_path, member):
    other = turned(data[0], tmp_path / "turned")
    augmented = "--settings.test-time-augmentation"
    for name, packed, more in (
        ("plain", data[0], ()),
        ("plain_turned", other, ()),
        ("augmented", data[0], (augmented,)),
        ("augmented_turned", other, (augmented,)),
    ):
        assert predict(members / member, (packed, None), tmp_path / name, *more, split=None) == 0
    probs = {path.parent.name: np.load(path).astype(float) for path in tmp_path.glob("*/probs_test.npy")}
    assert np.abs(probs["plain"] - probs["plain_turned"]).max() > 1e-4
    assert np.allclose(probs["augmented"], probs["augmented_turned"], rtol=0, atol=1e-6)
    described = json.loads((tmp_path / "augmented/pred_test.json").read_text())
    assert described["test_time_augmentation"] is True
    assert "test_time_augmentation" not in json.loads((tmp_path / "plain/pred_test.json").read_text())
