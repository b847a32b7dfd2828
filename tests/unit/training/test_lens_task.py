"""Estimating lens parameters: settings, the loss, training, prediction."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import predict
import train
from lens_files import describe, write_lenses, write_parameters
from stronglens.configuring.config import check_config
from stronglens.formats.member_files import read_member
from stronglens.networks.lens_widths import gaussians_of
from stronglens.networks.network import build_network
from stronglens.networks.preprocess import preprocess
from stronglens.networks.symmetries import dihedral
from stronglens.prediction import predict_member
from stronglens.running.errors import InputError
from stronglens.settings.data import BUCKETS
from stronglens.settings.lens_parameters import LENS_PARAMETERS
from stronglens.settings.member import MemberSettings
from stronglens.settings.network import NetworkSettings
from stronglens.submitting.submission_forms import FORMS
from stronglens.training import step as step_module
from stronglens.training import train_member
from stronglens.training.lens_task import LensTargets, mean_of

SETTINGS: dict[str, Any] = {
    "network": {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}},
    "bands": ["g", "r", "i"],
    "preprocess": {"normalisation": "asinh"},
    "train": {"epochs": 2, "batch_size": 16, "lr": 2e-3},
    "lens_parameters": {"targets": ["zlens", "Rein"], "weight": 1.0},
}
WITH_WIDTHS: dict[str, Any] = {"lens_parameters": SETTINGS["lens_parameters"] | {"uncertainties": True}}
PRODUCTS = ("best.pt", "last.pt", "best.json", "training_log.csv", "results.json")
Data = tuple[Path, Path]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_lenses(tmp_path_factory.mktemp("data"))


def run(data: Data, out_dir: Path, settings: dict[str, Any] = SETTINGS, *more: str) -> int:
    arguments = [f"--packed={data[0]}", f"--splits={data[1]}", f"--out-dir={out_dir}", "--device=cpu"]
    return train.main([*arguments, "--threads=1", "--settings", json.dumps(settings), *more])


@pytest.fixture(scope="module")
def member(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("member")
    assert run(data, folder) == 0
    return folder


@pytest.fixture(scope="module")
def wide(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A member with uncertainties."""
    folder = tmp_path_factory.mktemp("wide")
    assert run(data, folder, SETTINGS | WITH_WIDTHS) == 0
    return folder


def with_train(**changes: Any) -> dict[str, Any]:
    return SETTINGS | {"train": SETTINGS["train"] | changes}


def same_products(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in PRODUCTS)


# Settings


def problem(**block: Any) -> str:
    """The line of the error of a config whose model has this block, or whose submission has."""
    submission = {"ensemble": "m"} | block.pop("submission", {})
    config = {
        "data": {"labelled": {bucket: bucket for bucket in BUCKETS}},
        "testsets": {"challenge": {"path": "t"}},
        "models": {"m": {"seeds": [1]} | block},
        "ensembles": {"m": {"models": ["m"]}},
        "submission": submission,
    }
    with pytest.raises(InputError) as caught:
        check_config(config, "my.yaml")
    (line,) = str(caught.value).split("\n")
    return line


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (["Rien"], "expected the name of a parameter; did you mean Rein?"),
        (["Rein", "vel_disp"], "did you mean vel disp?"),
        (["ell_l_PA"], "an angle that changes with the orientation of the image"),
        (["srcx"], "an offset that changes with the orientation of the image"),
        (["RA"], "a place in the sky, of which a cutout says nothing"),
        (["Rein", "Rein"], "found Rein more than once"),
        ([], "lens_parameters.targets"),
    ],
)
def test_wrong_targets_are_told(targets: list[str], told: str) -> None:
    line = problem(lens_parameters={"targets": targets})
    assert line.startswith("my.yaml: models.m.lens_parameters.targets: ")
    assert told in line


@pytest.mark.parametrize("key", ["mixup_alpha", "cutmix_alpha"])
def test_mixed_images_have_no_parameters(key: str) -> None:
    line = problem(lens_parameters={"targets": ["Rein"]}, train={key: 0.2})
    assert f"has no one Einstein radius; remove lens_parameters, or train.{key}" in line


def test_a_checkpoint_has_no_units() -> None:
    line = problem(lens_parameters={"targets": ["Rein"]}, seeds=[], checkpoints={1: "/best.pt"})
    assert "does not say in which units" in line


def test_a_submission_of_parameters_needs_a_model_that_gives_some_and_columns() -> None:
    asked = {"lens_parameters": True}
    line = problem(submission=asked)
    assert "submission.lens_parameters: found true, but no model of ensemble m estimates any" in line
    line = problem(submission=asked | {"form": "short"}, lens_parameters={"targets": ["Rein"]})
    assert "form short has no columns for them" in line


def test_what_is_off_stands_in_no_record() -> None:
    assert "lens_parameters" not in MemberSettings().model_dump(mode="json")
    on = MemberSettings.model_validate({"lens_parameters": {"targets": ["Rein"]}})
    assert on.model_dump(mode="json")["lens_parameters"] == {"targets": ["Rein"], "weight": 1.0}
    assert MemberSettings.model_validate(on.model_dump(mode="json")) == on
    assert on.n_outputs == 2
    wide = MemberSettings.model_validate({"lens_parameters": {"targets": ["Rein"], "uncertainties": True}})
    assert wide.model_dump(mode="json")["lens_parameters"]["uncertainties"] is True
    assert wide.n_outputs == 3


def test_an_ensemble_has_uncertainties_of_all_its_estimates_or_of_none() -> None:
    block = {"targets": ["Rein"], "uncertainties": True}
    override = {2: {"lens_parameters": {"targets": ["Rein"], "uncertainties": False}}}
    line = problem(lens_parameters=block, seeds=[1, 2], seed_overrides=override)
    assert line.startswith(
        "my.yaml: ensembles.m.models: m seed 1 gives uncertainties of lens parameters and m "
    )
    assert "m seed 2 none; set lens_parameters.uncertainties in both or in neither" in line


def test_every_parameter_has_a_column_in_both_forms() -> None:
    for name in LENS_PARAMETERS:
        assert FORMS["full"].columns_of(name) == [name]
        assert name in FORMS["template"].columns_of(name)
    assert FORMS["template"].columns_of("vel disp") == ["vel disp", "vel_disp"]


# The loss


@pytest.mark.parametrize("name", ["convnextv2_atto", "resnet10t"])
def test_a_network_gives_more_outputs_and_each_reaches_every_weight(name: str) -> None:
    settings = NetworkSettings.model_validate({"name": name})
    network = build_network(settings, 2, 33, 3)
    outputs = network(torch.randn(4, 2, 33, 33, generator=torch.Generator().manual_seed(0)))
    assert outputs.shape == (4, 3)
    outputs[:, 1:].square().sum().backward()
    for weight_name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), weight_name


def test_the_loss_is_the_mean_over_known_values() -> None:
    nan = torch.nan
    targets = LensTargets(torch.tensor([[9.0, 9.0], [0.0, nan], [nan, nan], [1.0, -1.0]]), 1.0)
    outputs = torch.tensor([[0.5, 7.0], [7.0, 7.0], [1.0, 2.0]], requires_grad=True)
    total, share = targets.loss(outputs, torch.tensor([1, 2, 3]))
    # smooth L1: d^2 / 2 below 1, |d| - 1 / 2 above; two values of the last are known, one of the first
    assert mean_of(total, share).item() == pytest.approx((0.5**2 / 2 + 0 + 2.5) / 3)
    mean_of(total, share).backward()
    assert outputs.grad is not None
    expected = torch.tensor([[0.5, 0.0], [0.0, 0.0], [0.0, 1.0]]) / 3
    torch.testing.assert_close(outputs.grad, expected)
    weighted = targets.loss(outputs.detach(), torch.tensor([1, 2, 3]), torch.tensor([3.0, 5.0, 1.0]))
    assert mean_of(*weighted).item() == pytest.approx((3 * 0.5**2 / 2 + 2.5) / (3 + 1 + 1))


def test_a_batch_of_which_nothing_is_known_teaches_nothing() -> None:
    targets = LensTargets(torch.full((2, 1), torch.nan), 1.0)
    outputs = torch.tensor([[3.0], [4.0]], requires_grad=True)
    loss = mean_of(*targets.loss(outputs, torch.arange(2)))
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad is not None
    assert outputs.grad.tolist() == [[0.0], [0.0]]


def test_with_widths_the_loss_is_the_mean_likelihood_of_known_values() -> None:
    nan = torch.nan
    targets = LensTargets(
        torch.tensor([[9.0, 9.0], [0.0, nan], [nan, nan], [1.0, -1.0]]), 1.0, uncertain=True
    )
    outputs = torch.tensor([[0.5, 7.0, -0.7, 3.0], [7.0] * 4, [1.0, 2.0, 0.2, -2.0]], requires_grad=True)
    total, share = targets.loss(outputs, torch.tensor([1, 2, 3]))
    assert share.item() == 3
    means, stds = gaussians_of(outputs.detach())
    expected = [
        torch.nn.functional.gaussian_nll_loss(means[row, at], torch.tensor(truth), stds[row, at] ** 2)
        for row, at, truth in [(0, 0, 0.0), (2, 0, 1.0), (2, 1, -1.0)]
    ]
    assert mean_of(total, share).item() == pytest.approx(sum(expected).item() / 3, rel=1e-5)
    mean_of(total, share).backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert outputs.grad[1].tolist() == [0.0] * 4  # of what nothing is known
    assert outputs.grad[0, [1, 3]].tolist() == [0.0] * 2
    # Those of beta-NLL by the means, of two values and of one: error / sigma.
    assert outputs.grad[2, :2].tolist() == pytest.approx([0.0, 3.0 / stds[2, 1].item() / 3], abs=1e-6)
    weighted = targets.loss(outputs.detach(), torch.tensor([1, 2, 3]), torch.tensor([3.0, 5.0, 1.0]))
    assert mean_of(*weighted).item() == pytest.approx((3 * expected[0] + sum(expected[1:])).item() / 5)


@pytest.mark.parametrize("uncertain", [False, True])
def test_the_loss_asks_the_device_for_nothing(uncertain: bool) -> None:
    """A step that does cannot be recorded as one CUDA graph; tensors without values have no answer."""
    targets = LensTargets(torch.empty((9, 3), device="meta"), 1.0, uncertain)
    outputs = torch.empty((4, 6 if uncertain else 3), device="meta", requires_grad=True)
    mean_of(*targets.loss(outputs, torch.empty(4, dtype=torch.int64, device="meta"))).backward()
    assert outputs.grad is not None


# Training


def test_a_member_says_what_it_estimates_and_how_well(data: Data, member: Path) -> None:
    log = pd.read_csv(member / "training_log.csv")
    assert list(log) == ["epoch", "train_loss", "train_acc", "val_loss", "val_acc", "val_auc", "lr"]
    described = json.loads((member / "best.json").read_text())
    table = pd.read_parquet(data[0] / "parameters.parquet").set_index("object")
    split = pd.read_parquet(data[1] / "objects.parquet").set_index("object")
    lenses = table[(split["split"] == "train") & (split["label"] == 1)]
    assert described["lens_parameters"] == {
        "names": ["zlens", "Rein"],
        "means": pytest.approx([lenses["zlens"].mean(), lenses["Rein"].mean()]),
        "stds": pytest.approx([lenses["zlens"].std(ddof=0), lenses["Rein"].std(ddof=0)]),
    }
    summary = json.loads((data[0] / "summary.json").read_text())
    assert described["parameters_sha256"] == summary["sha256"]["parameters.parquet"]
    told = json.loads((member / "results.json").read_text())["lens_parameters"]
    assert len(told["train_losses"]) == 2
    held_out = table[(split["split"] == "test") & (split["label"] == 1)]["Rein"]
    assert told["test"]["Rein"]["n_samples"] == len(held_out) == 6
    off_mean = described["lens_parameters"]["means"][1] - held_out
    assert told["test"]["Rein"]["rms_of_mean"] == pytest.approx(np.sqrt(np.mean(off_mean**2)))
    assert torch.load(member / "best.pt", weights_only=True)["head.fc.weight"].shape == (3, 32)


def test_learns_the_radii_of_rings(tmp_path: Path) -> None:
    settings = with_train(epochs=25, lr=4e-3, warmup_epochs=1) | {"bands": ["i"]}
    settings["lens_parameters"] = {"targets": ["Rein"], "weight": 1.0}
    assert run(write_lenses(tmp_path, 40, "i"), tmp_path / "out", settings) == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    found = results["lens_parameters"]["test"]["Rein"]
    assert found["rms_error"] < 0.5 * found["rms_of_mean"]
    assert results["test"]["auc"] > 0.95


def test_what_is_not_on_changes_no_byte(data: Data, member: Path, tmp_path: Path) -> None:
    plain = {key: value for key, value in SETTINGS.items() if key != "lens_parameters"}
    assert run(data, tmp_path / "with", plain) == 0
    packed, splits = write_lenses(tmp_path / "data")
    (packed / "parameters.parquet").unlink()
    assert run((packed, splits), tmp_path / "without", plain) == 0
    assert same_products(tmp_path / "with", tmp_path / "without")
    assert b"lens_parameters" not in (tmp_path / "with/best.json").read_bytes()
    assert torch.load(tmp_path / "with/best.pt")["head.fc.weight"].shape == (1, 32)
    assert not same_products(tmp_path / "with", member)


def test_what_is_no_lens_teaches_no_parameter(data: Data, member: Path, tmp_path: Path) -> None:
    packed, splits = write_lenses(tmp_path / "data")
    table = pd.read_parquet(packed / "parameters.parquet")
    write_parameters(packed, table.assign(zlens=table["zlens"].where(table["Rein"].notna())))
    assert run((packed, splits), tmp_path / "out") == 0
    assert (tmp_path / "out/best.pt").read_bytes() == (member / "best.pt").read_bytes()


def test_a_parameter_that_no_lens_has_is_an_error(data: Data, tmp_path: Path, caplog: Any) -> None:
    settings = SETTINGS | {"lens_parameters": {"targets": ["Rein", "zsrc", "sh"]}}
    assert run(data, tmp_path, settings) == 1
    assert "parameters.parquet: expected values of zsrc, sh for lenses of the training split" in caplog.text
    assert not (tmp_path / "best.pt").exists()


def test_changed_parameters_are_refused(tmp_path: Path, caplog: Any) -> None:
    data = write_lenses(tmp_path / "data")
    pd.read_parquet(data[0] / "parameters.parquet").iloc[:-1].to_parquet(data[0] / "parameters.parquet")
    assert run(data, tmp_path / "out") == 1
    assert "parameters.parquet: expected sha256" in caplog.text


ALL = {"ema_decay": 0.9, "balance": "bucket", "band_dropout": 0.2, "clip_grad_norm": 1.0}


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    augment = step_module.augment

    def augment_then_stop(*given: Any) -> torch.Tensor:
        turns.append(1)
        if len(turns) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return augment(*given)

    monkeypatch.setattr(step_module, "augment", augment_then_stop)


@pytest.mark.parametrize("uncertainties", [False, True])
@pytest.mark.parametrize("step", [1, 3])  # of two epochs of two steps
def test_goes_on_and_streams_to_the_same_bytes_with_other_options(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, uncertainties: bool
) -> None:
    settings = with_train(**ALL) | (WITH_WIDTHS if uncertainties else {})
    assert run(data, tmp_path / "whole", settings) == 0
    with monkeypatch.context() as patch:
        stop_at(step, patch)
        assert run(data, tmp_path / "cut", settings) == 143
    assert run(data, tmp_path / "cut", settings, "--resident", "never") == 0
    assert not (tmp_path / "cut/resume.stale").exists()
    assert same_products(tmp_path / "whole", tmp_path / "cut")


def test_a_state_of_other_parameters_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    data = write_lenses(tmp_path / "data")
    with monkeypatch.context() as patch:
        stop_at(1, patch)
        assert run(data, tmp_path / "out") == 143
    table = pd.read_parquet(data[0] / "parameters.parquet")
    write_parameters(data[0], table.assign(Rein=table["Rein"] * 2))
    assert run(data, tmp_path / "out") == 0
    assert "it belongs to a training with other parameters_sha256" in caplog.text


def test_targets_follow_their_samples_where_cutouts_are_learnt_one_by_one(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    make = train_member.make_lens_task

    def noted(*given: Any) -> Any:
        seen.append((given[1]["train"].table, make(*given)))
        return seen[0][1]

    monkeypatch.setattr(train_member, "make_lens_task", noted)
    assert run(data, tmp_path, with_train(epochs=1) | {"bands": "each"}) == 0
    table, task = seen[0]
    known = pd.read_parquet(data[0] / "parameters.parquet").set_index("object")["Rein"]
    values = task.targets("train", torch.device("cpu")).values[:, 1].double().numpy()
    expected = (known[table["object"]] - task.scaling.means[1]) / task.scaling.stds[1]
    assert np.allclose(values, expected, rtol=1e-5, equal_nan=True)
    assert np.isfinite(values).sum() == 3 * 12
    more = task.targets("train", torch.device("cpu"), n_unlabelled=4).values
    assert more.shape == (len(table) + 4, 2)
    assert more[-4:].isnan().all()
    assert np.array_equal(more[:-4, 1].double().numpy(), values, equal_nan=True)


# Prediction


def predicted(member: Path, data: Data, out_dir: Path, *more: str) -> pd.DataFrame:
    arguments = [f"--member={member}", f"--packed={data[0]}", f"--splits={data[1]}", "--split=test"]
    assert predict.main([*arguments, f"--out-dir={out_dir}", "--device=cpu", "--threads=1", *more]) == 0
    return pd.read_csv(out_dir / "pred_test.csv")


def outputs_of_views(member: Path, data: Data, table: pd.DataFrame, n_views: int) -> torch.Tensor:
    """What the network gives for each view of the objects of a table, shape (n_views, n, n_outputs)."""
    description, weights = read_member(member)
    settings = MemberSettings.model_validate(description.settings)
    network = build_network(settings.network, 3, 33, settings.n_outputs).eval()
    network.load_state_dict(weights)
    index = pd.read_parquet(data[0] / "index.parquet")
    chosen = index["object"].isin(table["object"])
    cutouts = torch.from_numpy(np.load(data[0] / "cutouts.npy")[chosen])
    images = preprocess(cutouts, settings.preprocess, bands=list(index["band"][chosen])).view(-1, 3, 33, 33)
    with torch.inference_mode():
        return torch.stack([network(dihedral(images, view)).double() for view in range(n_views)])


def test_predictions_are_the_network_s_in_units_of_the_parameters(
    data: Data, member: Path, tmp_path: Path
) -> None:
    table = predicted(member, data, tmp_path)
    assert list(table) == ["path", "domain", "label", "prob", "pred", "object", "band", "zlens", "Rein"]
    assert json.loads((tmp_path / "pred_test.json").read_text())["lens_parameters"] == ["zlens", "Rein"]
    outputs = outputs_of_views(member, data, table, 1)[0].numpy()
    assert np.allclose(table["prob"], 1 / (1 + np.exp(-outputs[:, 0])), atol=1e-6)
    stated = read_member(member)[0].lens_parameters
    expected = outputs[:, 1:] * stated["stds"] + stated["means"]
    assert np.allclose(table[["zlens", "Rein"]], expected, atol=2e-6)


def test_orientation_means_nothing_with_test_time_augmentation(
    data: Data, member: Path, tmp_path: Path
) -> None:
    packed, _ = write_lenses(tmp_path / "data")
    turned = np.rot90(np.load(packed / "cutouts.npy"), axes=(1, 2))[:, :, ::-1]
    np.save(packed / "cutouts.npy", turned)
    describe(packed, "cutouts.npy")
    augmented = "--settings.test-time-augmentation"
    names = ["prob", "zlens", "Rein"]
    one = predicted(member, data, tmp_path / "a", augmented)
    arguments = [f"--member={member}", f"--packed={packed}", "--device=cpu", "--threads=1", augmented]
    assert predict.main([*arguments, f"--out-dir={tmp_path}/b"]) == 0
    other = pd.read_csv(tmp_path / "b/pred_test.csv").set_index("object").loc[one["object"]]
    assert np.allclose(one[names], other[names], atol=5e-6)


def test_units_of_other_parameters_are_refused(data: Data, member: Path, tmp_path: Path, caplog: Any) -> None:
    for name in ("best.pt", "best.json"):
        (tmp_path / name).write_bytes((member / name).read_bytes())
    stated = json.loads((tmp_path / "best.json").read_text())
    stated["lens_parameters"]["names"] = ["zlens", "zsrc"]
    (tmp_path / "best.json").write_text(json.dumps(stated))
    arguments = [f"--member={tmp_path}", f"--packed={data[0]}", "--device=cpu"]
    assert predict.main([*arguments, f"--out-dir={tmp_path}/out"]) == 1
    assert "expected the units of zlens, Rein, found those of zlens, zsrc" in caplog.text


# Uncertainties


def test_the_off_switch_is_the_member_of_before(data: Data, member: Path, tmp_path: Path) -> None:
    off = {"lens_parameters": SETTINGS["lens_parameters"] | {"uncertainties": False}}
    assert run(data, tmp_path, SETTINGS | off) == 0
    assert same_products(tmp_path, member)
    assert b"uncertainties" not in (tmp_path / "best.json").read_bytes()


def test_a_member_with_uncertainties_says_so(data: Data, member: Path, wide: Path) -> None:
    assert torch.load(wide / "best.pt", weights_only=True)["head.fc.weight"].shape == (5, 32)
    described, plain = (json.loads((folder / "best.json").read_text()) for folder in (wide, member))
    assert described["settings"]["lens_parameters"]["uncertainties"] is True
    assert described["lens_parameters"] == plain["lens_parameters"]  # the units are the same
    results, without = (json.loads((folder / "results.json").read_text()) for folder in (wide, member))
    assert results["lens_parameters"]["test"]["Rein"]["rms_pull"] > 0
    assert "rms_pull" not in without["lens_parameters"]["test"]["Rein"]


def views_of(member: Path, data: Data, table: pd.DataFrame, n_views: int) -> tuple[Any, Any]:
    """Means and widths of each object by each view, in the units of the parameters."""
    outputs = outputs_of_views(member, data, table, n_views)[..., 1:]
    means, stds = (values.numpy() for values in gaussians_of(outputs))
    stated = read_member(member)[0].lens_parameters
    return means * stated["stds"] + stated["means"], stds * stated["stds"]


@pytest.mark.parametrize("n_views", [1, 8])
def test_predictions_have_widths_which_views_are_mixed_in(
    data: Data, wide: Path, tmp_path: Path, n_views: int
) -> None:
    more = ["--settings.test-time-augmentation"] if n_views == 8 else []
    table = predicted(wide, data, tmp_path, *more)
    assert list(table)[7:] == ["zlens", "zlens_std", "Rein", "Rein_std"]
    described = json.loads((tmp_path / "pred_test.json").read_text())
    assert described["uncertainties"] is True
    assert described["lens_parameters"] == ["zlens", "Rein"]
    means, stds = views_of(wide, data, table, n_views)
    mean = means.mean(axis=0)
    std = np.sqrt((stds**2 + means**2).mean(axis=0) - mean**2)
    assert np.allclose(table[["zlens", "Rein"]], mean, atol=5e-6)
    assert np.allclose(table[["zlens_std", "Rein_std"]], std, atol=5e-6)
    assert (table[["zlens_std", "Rein_std"]] > 0).all(axis=None)
    if n_views == 8:
        assert (std > np.sqrt((stds**2).mean(axis=0)) + 1e-9).any()  # views differ, and that counts


def test_a_width_is_never_written_as_0() -> None:
    assert predict_member._rounded("Rein_std", np.array([1e-9, 0.1234567])).tolist() == [1e-6, 0.123457]
    assert predict_member._rounded("Rein", np.array([1e-9])).tolist() == [0.0]


def test_widths_of_rings_are_learnt(tmp_path: Path) -> None:
    settings = with_train(epochs=25, lr=4e-3, warmup_epochs=1) | {"bands": ["i"]}
    settings["lens_parameters"] = {"targets": ["Rein"], "uncertainties": True}
    assert run(write_lenses(tmp_path, 40, "i"), tmp_path / "out", settings) == 0
    found = json.loads((tmp_path / "out/results.json").read_text())["lens_parameters"]
    # The best epoch is that of the probabilities, an early one.
    assert found["test"]["Rein"]["rms_error"] < 0.8 * found["test"]["Rein"]["rms_of_mean"]
    assert 0.3 < found["test"]["Rein"]["rms_pull"] < 3
    assert found["train_losses"][-1] < found["train_losses"][0] - 0.7
