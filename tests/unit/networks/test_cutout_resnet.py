"""The network for small cutouts: its sizes, its beginning, and how timm's functions take it."""

from typing import Any

import pytest
import torch
from timm.layers import DropPath
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stronglens.networks.cutout_resnet import CutoutResNet
from stronglens.networks.network import build_network
from stronglens.running.errors import InputError
from stronglens.settings.network import NetworkSettings
from stronglens.training.schedule import layer_groups


def build(in_chans: int = 5, **settings: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_network(NetworkSettings(name="cutout_resnet", **settings), in_chans, 41, n_outputs=6)


def test_parameters_and_multiply_adds_are_those_of_its_layers() -> None:
    """Stem, then a stage a line; each convolution has two numbers a channel for its normalisation."""
    network = build().eval()
    stem = 5 * 32 * 25 + 2 * 32
    first = 4 * (32 * 32 * 9 + 2 * 32)
    second = 32 * 64 * 9 + 3 * 64 * 64 * 9 + 32 * 64 + 5 * 2 * 64
    third = 64 * 128 * 9 + 3 * 128 * 128 * 9 + 64 * 128 + 5 * 2 * 128
    head = 128 * 6 + 6
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert n_parameters == stem + first + second + third + head
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 5, 41, 41))
    at_21 = 5 * 32 * 25 + 4 * 32 * 32 * 9
    at_11 = 32 * 64 * 9 + 3 * 64 * 64 * 9 + 32 * 64
    at_6 = 64 * 128 * 9 + 3 * 128 * 128 * 9 + 64 * 128
    assert counter.get_total_flops() == 2 * (21**2 * at_21 + 11**2 * at_11 + 6**2 * at_6 + 128 * 6)


@pytest.mark.parametrize(("stem_stride", "sides"), [(1, [41, 21, 11]), (2, [21, 11, 6]), (3, [14, 7, 4])])
def test_the_side_is_halved_between_stages(stem_stride: int, sides: list[int]) -> None:
    network = build(timm={"stem_stride": stem_stride})
    assert isinstance(network, CutoutResNet)
    found, images = [], network.stem(torch.zeros(2, 5, 41, 41))
    for stage in network.stages:
        images = stage(images)
        found.append(images.shape[-1])
    assert found == sides


def test_blocks_are_skipped_the_more_the_deeper() -> None:
    blocks = [module for module in build(drop_path=0.5).modules() if isinstance(module, DropPath)]
    assert [block.drop_prob for block in blocks] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_the_head_and_the_rates_of_layers_are_found() -> None:
    network = build(head_init_scale=0.5)
    groups = layer_groups(network, 0.5)
    rates = {id(parameter): group["lr_scale"] for group in groups for parameter in group["params"]}
    assert isinstance(network, CutoutResNet)
    assert rates[id(network.head.weight)] == 1
    assert rates[id(next(network.stages[2][1].parameters()))] == 0.5
    assert rates[id(network.stem[0].weight)] == 0.5**7
    assert len(rates) == len(list(network.parameters()))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"widths": [32], "depths": [2, 2]}, r"expected widths and depths of as many stages.*widths=\[32\]"),
        ({"widths": [], "depths": []}, r"widths=\[\]"),
        ({"depths": [2, 0, 2]}, r"depths=\[2, 0, 2\]"),
        ({"stem_stride": 0}, "stem_stride=0"),
        ({"width": 3}, "unexpected keyword argument 'width'"),
    ],
)
def test_wrong_keywords_are_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"cutout_resnet cannot be built.*{message}"):
        build(timm=keywords)


def test_there_are_no_published_weights() -> None:
    with pytest.raises(InputError, match="cutout_resnet has no published weights"):
        build(pretrained=True)
