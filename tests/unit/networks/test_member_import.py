"""The step that makes a checkpoint a member."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from import_member import main
from paper_network import paper_forward, paper_weights
from stronglens.formats.member_files import read_member
from stronglens.networks.network import build_network
from stronglens.settings.member import MemberSettings
from stronglens.settings.network import NetworkSettings


def call(checkpoint: Path, out_dir: Path, settings: dict[str, Any], *more: str) -> int:
    options = {"--checkpoint": str(checkpoint), "--out-dir": str(out_dir), "--settings": json.dumps(settings)}
    return main(["--size-px=41", *(part for option in options.items() for part in option), *more])


@pytest.mark.parametrize("conv_mlp", [True, False])
def test_weights_with_the_paper_s_names_become_a_member(tmp_path: Path, conv_mlp: bool) -> None:
    source = tmp_path / "old.pt"
    torch.save({"model": paper_weights()}, source)
    settings = {
        "network": {"name": "convnextv2_atto", "timm": {"conv_mlp": conv_mlp}},
        "preprocess": {"smoothing": "gaussian"},
    }
    assert call(source, tmp_path / "member", settings, "--model", "old", "--seed", "101") == 0
    description, weights = read_member(tmp_path / "member")
    assert MemberSettings.model_validate(description.settings) == MemberSettings.model_validate(settings)
    expected = {
        "format": 1,
        "model": "old",
        "seed": 101,
        "size_px": 41,
        "in_chans": 1,
        "imported": True,
        "source": str(source),
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "cutouts_sha256": None,
        "index_sha256": None,
        "objects_sha256": None,
    }
    assert {key: value for key, value in description.as_json().items() if key in expected} == expected
    network = build_network(NetworkSettings.model_validate(settings["network"]), 1, 41).eval()
    network.load_state_dict(weights)
    images = torch.randn(3, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(images), paper_forward(paper_weights(), images), rtol=0, atol=1e-5)


def test_weights_with_timm_s_names_become_a_member_as_they_are(tmp_path: Path) -> None:
    network = build_network(NetworkSettings(name="resnet10t"), 2, 41)
    torch.save(network.half().state_dict(), tmp_path / "old.pt")
    settings = {"network": "resnet10t", "bands": ["g", "i"]}
    assert call(tmp_path / "old.pt", tmp_path / "member", settings) == 0
    description, weights = read_member(tmp_path / "member")
    assert description.in_chans == 2
    state = network.float().state_dict()
    assert list(weights) == list(state)
    for name, value in state.items():
        assert weights[name].dtype == value.dtype
        assert torch.equal(weights[name], value)


def test_a_compiled_network_trained_in_parallel_becomes_a_member(tmp_path: Path) -> None:
    network = build_network(NetworkSettings(name="resnet10t"), 1, 41)
    wrapped = {f"module._orig_mod.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "old.pt")
    assert call(tmp_path / "old.pt", tmp_path / "member", {"network": "resnet10t"}) == 0
    assert list(read_member(tmp_path / "member")[1]) == list(network.state_dict())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_no_member(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    network = build_network(NetworkSettings(name="resnet10t"), 1, 41)
    state = network.state_dict()
    state["bn1.running_var"][0] = value
    torch.save(state, tmp_path / "old.pt")
    assert call(tmp_path / "old.pt", tmp_path / "member", {"network": "resnet10t"}) == 1
    assert "old.pt: expected finite weights" in (said := capsys.readouterr().err) and "running_var" in said
    assert not (tmp_path / "member").exists()


def test_a_softening_that_nobody_measured_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(paper_weights(), tmp_path / "old.pt")
    assert call(tmp_path / "old.pt", tmp_path / "member", {"preprocess": {"normalisation": "asinh"}}) == 1
    assert "preprocess.asinh_softening: expected the softening in counts" in capsys.readouterr().err


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    torch.save(paper_weights(), tmp_path / "old.pt")
    for name in ("first", "second"):
        assert call(tmp_path / "old.pt", tmp_path / name, {}) == 0
    for name in ("best.pt", "best.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"bands": ["g", "r"]},
            "stem.0.weight of shape (40, 2, 4, 4), found shape (40, 1, 4, 4)",
        ),
        (
            {"network": {"timm": {"patch_size": 8}}},
            "stem.0.weight of shape (40, 1, 8, 8), found shape (40, 1, 4, 4)",
        ),
        (
            {"network": "convnextv2_nano"},
            "expected weights of convnextv2_nano; missing are stages.2.blocks.6.conv_dw.weight, ",
        ),
        ({"network": "resnet10t"}, "not of this network are stem.0.weight, stem.0.bias, stem.1.weight and "),
    ],
)
def test_weights_of_another_network_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], message: str
) -> None:
    torch.save(paper_weights(), tmp_path / "old.pt")
    assert call(tmp_path / "old.pt", tmp_path / "member", settings) == 1
    told = capsys.readouterr().err
    assert f"{tmp_path / 'old.pt'}: expected weights of" in told
    assert message in told
    assert "Traceback" not in told
    assert not (tmp_path / "member").exists()


def test_a_missing_checkpoint_and_a_wrong_option_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(tmp_path / "none.pt", tmp_path / "member", {}) == 1
    assert "none.pt: expected a checkpoint, found no file" in capsys.readouterr().err
    assert call(tmp_path / "none.pt", tmp_path / "member", {"networks": "x"}) == 2
    assert "networks" in capsys.readouterr().err
    assert not (tmp_path / "member").exists()
