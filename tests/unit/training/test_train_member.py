import json
import os
import re
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from event_files import curves_in
from packed_files import BUCKETS, state_index, write_objects, write_packed, write_splits
from small_trainings import PRODUCTS, SETTINGS, die_once_kept, train, with_train
from stronglens.formats.artefact import sha256_of
from stronglens.running.tracker import CURVES
from stronglens.training import step, train_member, trainer
from stronglens.training.train_member import share_of_objects


@pytest.mark.parametrize("bands", ["each", ["g", "r", "i", "z", "y"], ["i"]])
def test_writes_a_complete_member(data, tmp_path, bands):
    assert train(data, tmp_path, SETTINGS | {"bands": bands}) == 0
    log = pd.read_csv(tmp_path / "training_log.csv")
    assert list(log) == ["epoch", "train_loss", "train_acc", "val_loss", "val_acc", "val_auc", "lr"]
    assert list(log["epoch"]) == [1, 2, 3]
    assert np.isfinite(log).all(axis=None)
    described = json.loads((tmp_path / "best.json").read_text())
    assert described["weights_sha256"] == sha256_of(tmp_path / "best.pt")
    assert described["in_chans"] == (1 if bands == "each" else len(bands))
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["best"]["val_auc"] == log["val_auc"].max()
    assert results["settings"]["train"]["lr"] == 2e-3
    for record in (described, results):
        assert (record["precision"], record["same_bytes_again"]) == ("float32", True)
    # 6 training objects a bucket: 5 cutouts each, one of them missing
    assert results["n_samples"]["train"] == (119 if bands == "each" else 24)
    assert not (tmp_path / "resume").exists()
    weights = torch.load(tmp_path / "last.pt", weights_only=True)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_learns_rings(data, tmp_path):
    assert train(data, tmp_path, with_train(epochs=8)) == 0
    assert json.loads((tmp_path / "results.json").read_text())["test"]["auc"] > 0.95


def test_same_seed_gives_the_same_bytes_and_another_does_not(data, tmp_path):
    assert (
        train(data, tmp_path / "a")
        == train(data, tmp_path / "b")
        == train(data, tmp_path / "c", seed=43)
        == 0
    )
    for name in PRODUCTS:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert (tmp_path / "a/best.pt").read_bytes() != (tmp_path / "c/best.pt").read_bytes()


@pytest.mark.parametrize("bands", ["each", ["g", "z"]])
def test_streamed_samples_give_the_same_bytes(data, tmp_path, bands):
    for residence in ("always", "never"):
        assert (
            train(data, tmp_path / residence, SETTINGS | {"bands": bands}, 42, "--resident", residence) == 0
        )
    for name in PRODUCTS:
        assert (tmp_path / "always" / name).read_bytes() == (tmp_path / "never" / name).read_bytes(), name


def test_a_tracker_shows_each_epoch_once_and_changes_no_byte(data, tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    assert train(data, tmp_path / "plain") == 0
    watched = "--settings.train.tracker", "tensorboard"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_once_kept(patch, 1, 4)
        train(data, tmp_path / "cut", SETTINGS, 42, *watched)
    assert train(data, tmp_path / "cut", SETTINGS, 42, *watched) == 0
    for name in PRODUCTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes(), name
    log = pd.read_csv(tmp_path / "cut/training_log.csv")
    for curve, column in CURVES.items():
        epochs, values = zip(*curves_in(tmp_path / "cut")[curve], strict=True)
        assert list(epochs) == [1, 2, 3]
        assert np.allclose(values, log[column], rtol=1e-6), curve


def test_options_for_stacks_are_refused_without_one(data, tmp_path, capsys):
    assert train(data, tmp_path, with_train(band_dropout=0.1)) == 2
    assert "train.band_dropout: expected a stack of bands" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_log_of_a_resumed_training_holds_all_tries(data, tmp_path, monkeypatch):
    log = tmp_path / "train.log"

    def stop(images, settings, generator):
        os.kill(os.getpid(), signal.SIGTERM)
        return images

    with monkeypatch.context() as patch:
        patch.setattr(step, "augment", stop)
        assert train(data, tmp_path, SETTINGS, 42, "--log", str(log)) == 143
    first = log.read_text()
    assert "stopped by SIGTERM" in first
    log.unlink()  # as Snakemake does before it tries again
    assert train(data, tmp_path, SETTINGS, 42, "--log", str(log)) == 0
    assert log.read_text().startswith(first)
    assert "going on" in log.read_text()
    assert not (tmp_path / "resume").exists()


@pytest.mark.parametrize("bands", ["each", ["g", "z"]])
def test_samples_in_half_precision_change_nothing(data, tmp_path, monkeypatch, bands):
    settings = with_train(epochs=1, precision="bf16") | {"bands": bands}
    kept = []
    load = train_member.load_samples
    monkeypatch.setattr(train_member, "load_samples", lambda *given: kept.append(given[-1]) or load(*given))
    assert train(data, tmp_path / "half", settings) == 0
    assert kept == [torch.bfloat16] * 3
    monkeypatch.setattr(train_member, "kept_in", lambda *_: torch.float32)
    assert train(data, tmp_path / "whole", settings) == 0
    assert kept[3:] == [torch.float32] * 3
    for name in PRODUCTS:
        assert (tmp_path / "half" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_deterministic_algorithms_are_asked_for_and_change_nothing_on_a_cpu(data, tmp_path, monkeypatch):
    seen = []
    run_epoch = trainer.Trainer._epoch

    def watched(*given):
        asked = torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.allow_tf32  # else `float32` would not be what it says
        seen.append((asked, os.environ.get("CUBLAS_WORKSPACE_CONFIG")))
        return run_epoch(*given)

    monkeypatch.setattr(trainer.Trainer, "_epoch", watched)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert train(data, tmp_path / "plain", with_train(epochs=1)) == 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", dict(os.environ))
        assert train(data, tmp_path / "asked", with_train(epochs=1, deterministic=True)) == 0
    assert seen == [(False, None), (True, ":4096:8")]
    assert not torch.are_deterministic_algorithms_enabled()
    assert (tmp_path / "plain/best.pt").read_bytes() == (tmp_path / "asked/best.pt").read_bytes()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_deterministic_training_gives_the_same_bytes_on_a_gpu(data, tmp_path):
    settings = with_train(epochs=2, deterministic=True)
    for name in ("a", "b"):
        assert train(data, tmp_path / name, settings, 42, "--device", "cuda") == 0
    assert (tmp_path / "a/best.pt").read_bytes() == (tmp_path / "b/best.pt").read_bytes()


@pytest.mark.parametrize(
    "option",
    [
        *({"augment_noise": 0.1}, {"augment_gamma": 0.1}, {"mixup_alpha": 0.2}),
        *({"augment_any_angle": True}, {"augment_shift_px": 1.0}),
    ],
    ids=str,
)
def test_samples_that_are_computed_on_stay_whole(data, tmp_path, monkeypatch, option):
    kept = []
    load = train_member.load_samples
    monkeypatch.setattr(train_member, "load_samples", lambda *given: kept.append(given[-1]) or load(*given))
    assert train(data, tmp_path, with_train(epochs=1, precision="bf16", **option)) == 0
    assert kept == [torch.float32] * 3


@pytest.mark.parametrize(
    "other", ["settings", "seed", "cutouts_sha256", "objects_sha256", "code", "timm", "precision"]
)
def test_state_of_another_training_is_not_used(data, tmp_path, monkeypatch, caplog, other):
    packed, splits = data
    settings, seed = with_train(epochs=2), 42
    if other == "cutouts_sha256":
        packed = write_packed(tmp_path / "packed", seed=1)
        splits = write_splits(tmp_path / "splits", packed)
    if other == "objects_sha256":
        objects = pd.read_parquet(splits / "objects.parquet")
        (tmp_path / "splits").mkdir()
        write_objects(tmp_path / "splits", objects.assign(split=objects["split"][::-1].to_numpy()), packed)
        splits = tmp_path / "splits"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_once_kept(patch, 1)
        if other == "settings":
            settings = with_train(epochs=2, lr=1e-4)
        if other == "seed":
            seed = 43
        if other == "code":
            patch.setattr(train_member, "step_sha256", lambda module: "before the edit")
        if other == "precision":  # chosen for another card
            patch.setattr(
                train_member,
                "with_chosen_precision",
                lambda settings, *_: settings.model_copy(update={"precision": "bf16"}),
            )
        if other == "timm":
            patch.setattr(train_member.timm, "__version__", "0.1")
        train((packed, splits), tmp_path / "a", settings, seed)
    assert (tmp_path / "a/resume/state.pt").is_file()
    now = data, with_train(epochs=2)
    assert train(now[0], tmp_path / "a", now[1]) == train(now[0], tmp_path / "b", now[1]) == 0
    assert re.search(rf"it belongs to a training with other (\w+, )*{other}\b", caplog.text)
    assert (tmp_path / "a/resume.stale/state.pt").is_file()
    assert (tmp_path / "a/best.pt").read_bytes() == (tmp_path / "b/best.pt").read_bytes()


def test_fractions_take_whole_objects_and_nest():
    objects = pd.Series([f"object_{number:05d}" for number in range(2000) for _ in range(5)])
    small, large = share_of_objects(objects, 0.1), share_of_objects(objects, 0.4)
    assert (large | ~small).all()
    assert objects[large].value_counts().eq(5).all()
    assert large.mean() == pytest.approx(0.4, abs=0.03)


def complain(caplog, out_dir):
    assert not list(out_dir.glob("best*"))
    return caplog.text


def test_refuses_changed_pixels(data, tmp_path, caplog):
    packed = write_packed(tmp_path / "packed")
    splits = write_splits(tmp_path / "splits", packed)
    pixels = np.load(packed / "cutouts.npy", mmap_mode="r+")
    pixels[3, 2, 1] += 1
    pixels.flush()
    assert train((packed, splits), tmp_path / "out") == 1
    assert "cutouts.npy: expected sha256" in complain(caplog, tmp_path / "out")


def test_refuses_a_split_of_other_data(data, tmp_path, caplog):
    other = write_packed(tmp_path / "packed", seed=1)
    assert train((other, data[1]), tmp_path / "out") == 1
    assert "found one of other data" in complain(caplog, tmp_path / "out")


def test_refuses_a_group_in_two_splits(tmp_path, caplog):
    packed = write_packed(tmp_path / "packed")
    splits = write_splits(tmp_path / "splits", packed)
    objects = pd.read_parquet(splits / "objects.parquet")
    write_objects(splits, objects.assign(group=np.arange(len(objects)) // 5), packed)
    assert train((packed, splits), tmp_path / "out") == 1
    assert "is in more than one split" in complain(caplog, tmp_path / "out")


@pytest.mark.parametrize(("column", "kind"), [("pixel_hash", "image"), ("header_id", "id")])
def test_refuses_what_is_in_two_splits_whatever_the_groups_say(tmp_path, caplog, column, kind):
    packed = write_packed(tmp_path / "packed")
    index = pd.read_parquet(packed / "index.parquet")
    rows = [index.index[index["object"] == f"hsc_lenses/D_{number:08d}"][0] for number in (0, 11)]
    index.loc[rows[0], column] = index.loc[rows[1], column]  # the first is trained on, the last held out
    index.to_parquet(packed / "index.parquet")
    state_index(packed)
    splits = write_splits(tmp_path / "splits", packed)
    assert train((packed, splits), tmp_path / "out") == 1
    said = complain(caplog, tmp_path / "out")
    assert f"expected each {kind} in one split, found 1 in more" in said
    assert "hsc_lenses/D_00000000, hsc_lenses/D_00000011" in said


def test_refuses_a_split_with_one_class(tmp_path, caplog):
    packed = write_packed(tmp_path / "packed")
    splits = write_splits(tmp_path / "splits", packed)
    objects = pd.read_parquet(splits / "objects.parquet")
    objects.loc[(objects["split"] == "val") & (objects["label"] == 1), "split"] = "test"
    write_objects(splits, objects, packed)
    assert train((packed, splits), tmp_path / "out") == 1
    assert "validation split: expected lenses and non-lenses, found 0 samples of lenses" in caplog.text


@pytest.mark.parametrize(
    ("unseen", "split", "kind", "refused"),
    [
        ("", "train", "lenses", True),
        ("_lenses", "train", "lenses", True),
        ("nonlenses", "train", "non-lenses", True),
        ("D_00000003", "train", "lenses", False),
    ],
)
def test_refuses_objects_of_which_a_network_sees_nothing(tmp_path, caplog, unseen, split, kind, refused):
    keys = [f"{bucket}/D_{number:08d}" for bucket in BUCKETS for number in range(12)]
    bare = [key for key in keys if unseen in key]
    packed = write_packed(tmp_path / "packed", bands="gr", missing=[(key, "r") for key in bare])
    index = pd.read_parquet(packed / "index.parquet")
    index.loc[index["object"].isin(bare), "band"] = "single"  # a file whose name says no band
    index.to_parquet(packed / "index.parquet")
    state_index(packed)
    data = packed, write_splits(tmp_path / "splits", packed)
    assert train(data, tmp_path / "out", SETTINGS | {"bands": ["g", "r"]}) == int(refused)
    if refused:
        said = complain(caplog, tmp_path / "out")
        assert f"{packed}, {kind} of split {split}: expected objects with a readable cutout in one of" in said
    else:
        assert "objects have no readable cutout in the bands g, r, and nothing of them is seen" in caplog.text


def test_demanded_gpu_must_be_there(data, tmp_path, caplog):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert train(data, tmp_path, SETTINGS, 42, "--device", "cuda") == 1
    assert "PyTorch sees 0 CUDA devices" in complain(caplog, tmp_path)


def test_wrong_settings_are_a_usage_error(data, tmp_path, capsys):
    assert train(data, tmp_path, with_train(lr=-1)) == 2
    assert "settings.train.lr" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_learns_from_one_domain_alone(data, tmp_path):
    assert train(data, tmp_path / "one", SETTINGS | {"domains": ["slsim"]}) == 0
    results = json.loads((tmp_path / "one/results.json").read_text())
    # of 12 objects a bucket, 6 for training, 3 for validation, 3 for test; two buckets; five bands
    assert results["n_samples"] == {"train": 60, "val": 30, "test": 30}
    assert results["settings"]["domains"] == ["slsim"]


def test_a_domain_that_is_not_there(tmp_path, caplog):
    packed = write_packed(tmp_path / "packed", n_per_bucket=4)
    index = pd.read_parquet(packed / "index.parquet").assign(domain="slsim")
    index.to_parquet(packed / "index.parquet")
    state_index(packed)
    data = packed, write_splits(tmp_path / "splits", packed)
    assert train(data, tmp_path / "one", SETTINGS | {"domains": ["hsc"]}) == 1
    assert "expected samples in split train of hsc, found none" in caplog.text
