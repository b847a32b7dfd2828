"""Weights with the names of the ConvNeXt V2 paper's code: what they mean, and what is refused."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paper_network import paper_forward, paper_weights
from stronglens.networks.network import build_network
from stronglens.networks.original_checkpoint import load_weights, to_timm_state_dict
from stronglens.running.errors import InputError
from stronglens.settings.network import NetworkSettings


def atto(in_chans: int = 1, *, conv_mlp: bool = False) -> nn.Module:
    settings = NetworkSettings.model_validate({"timm": {"conv_mlp": conv_mlp}})
    return build_network(settings, in_chans, 41).eval()


def to_paper_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of what is tested, written down on its own."""
    renamed = {}
    for name, value in state.items():
        paper = name.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.")
        paper = paper.replace("head.fc.", "head.").replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        paper = paper.replace("mlp.grn.weight", "grn.gamma").replace("mlp.grn.bias", "grn.beta")
        paper = re.sub(r"stages\.(\d)\.downsample", r"downsample_layers.\1", paper).replace(".blocks.", ".")
        renamed[paper] = value.reshape(1, 1, 1, -1) if ".grn." in paper else value
    return renamed


@pytest.mark.parametrize("in_chans", [1, 3])
def test_the_paper_s_network_and_timm_s_give_the_same_logits(in_chans: int) -> None:
    weights = paper_weights(in_chans)
    network = atto(in_chans)
    network.load_state_dict(to_timm_state_dict(weights))
    images = torch.randn(4, in_chans, 41, 41, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = paper_forward(weights, images), network(images)
    assert expected.std() > 0.01  # else any network would do
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_names_are_those_of_the_network_in_both_directions() -> None:
    state = atto().state_dict()
    there_and_back = to_timm_state_dict(to_paper_names(state))
    assert list(there_and_back) == list(state)
    for name, value in state.items():
        assert there_and_back[name].shape == value.shape
        assert torch.equal(there_and_back[name], value)


def test_timm_s_names_are_left_as_they_are() -> None:
    state = atto(conv_mlp=True).state_dict()
    same = to_timm_state_dict(state)
    assert list(same) == list(state)
    assert all(same[name] is state[name] for name in state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"model": state, "epoch": 3},
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model_state_dict": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"state_dict": {"model": state}, "epoch": 3},
        lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
        lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
        lambda state: {f"_orig_mod.module.module.{name}": value for name, value in state.items()},
        lambda state: {name.replace("head.", "head._orig_mod."): value for name, value in state.items()},
    ],
)
def test_weights_are_found_in_what_surrounds_them(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    state = {"head.weight": torch.ones(1, 2), "model": torch.zeros(1)}
    torch.save(wrap(state), tmp_path / "best.pt")
    found = load_weights(tmp_path / "best.pt")
    assert list(found) == list(state)
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_names_that_become_one_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "module.a": torch.zeros(1)}, tmp_path / "best.pt")
    with pytest.raises(InputError, match=r"best\.pt: expected one tensor named 'a', found two.*'module\.a'"):
        load_weights(tmp_path / "best.pt")


def test_a_dict_that_holds_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    torch.save(content, tmp_path / "best.pt")
    with pytest.raises(InputError, match="found dict under 'model'"):
        load_weights(tmp_path / "best.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_not_finite_are_refused_and_named(
    tmp_path: Path, value: float, dtype: torch.dtype
) -> None:
    weights = {name: tensor.to(dtype) for name, tensor in paper_weights().items()}
    name = "stages.0.0.grn.gamma"
    weights[name].flatten()[3] = value
    torch.save({"model": weights}, tmp_path / "best.pt")
    with pytest.raises(
        InputError, match=r"best\.pt: expected finite weights, found NaN.* in stages\.0\.0\.grn"
    ):
        load_weights(tmp_path / "best.pt")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_with_code_is_refused_and_the_code_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "the_code_was_run"
    torch.save({"head.weight": torch.ones(1), "args": Trap(mark)}, tmp_path / "best.pt")
    with pytest.raises(InputError, match=r"best\.pt: refused: .*would run code"):
        load_weights(tmp_path / "best.pt")
    assert not mark.exists()
    torch.load(tmp_path / "best.pt", weights_only=False)  # the trap does work
    assert mark.exists()


def no_file(path: Path) -> None:
    path.unlink(missing_ok=True)


def text(path: Path) -> None:
    path.write_text("epoch,loss\n1,0.5\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_short(path: Path) -> None:
    torch.save({"weight": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])


def whole_network(path: Path) -> None:
    torch.save(nn.Linear(1, 1), path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"epoch": 3}, protocol=2))


def no_weights(path: Path) -> None:
    torch.save({"epoch": 3}, path)


def one_tensor(path: Path) -> None:
    torch.save(torch.ones(3), path)


def nothing(path: Path) -> None:
    torch.save({}, path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_file, "expected a checkpoint, found no file"),
        (text, "expected a checkpoint of PyTorch"),
        (empty, "expected a checkpoint of PyTorch"),
        (cut_short, "expected a checkpoint of PyTorch"),
        (whole_network, "refused: .* save the state dict alone"),
        (
            plain_pickle,
            "expected a state dict of tensors, found int under 'epoch'|refused|expected a checkpoint",
        ),
        (no_weights, "expected a state dict of tensors, found int under 'epoch'"),
        (one_tensor, "expected a state dict, found Tensor"),
        (nothing, "expected a state dict, found an empty dict"),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "best.pt"
    make(path)
    with pytest.raises(InputError, match=message) as told:
        load_weights(path)
    assert str(told.value).startswith(str(path))
