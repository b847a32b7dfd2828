"""Kernels that are fitted to their maps give what whole ones give, and learn the same."""

import copy

import pytest
import timm
import torch
from torch import nn

from stronglens.networks.depthwise import FittedConv2d, fit_kernels
from stronglens.networks.network import build_network
from stronglens.settings.network import NetworkSettings


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 3), (3, 3), (2, 5), (4, 4), (10, 10)])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_same_results_and_gradients(size: tuple[int, int], bias: bool, dtype: torch.dtype | None) -> None:
    torch.manual_seed(1)
    whole = nn.Sequential(nn.Conv2d(6, 6, 7, padding=3, groups=6, bias=bias))
    fitted = copy.deepcopy(whole)
    fit_kernels(fitted)
    assert isinstance(fitted[0], FittedConv2d)
    assert list(fitted.state_dict()) == list(whole.state_dict())
    images = torch.randn(5, 6, *size).to(memory_format=torch.channels_last)
    found = []
    for network in (whole, fitted):
        shown = images.clone().requires_grad_()
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            result = network(shown)
        result.float().square().sum().backward()
        found.append((result, shown.grad, *(parameter.grad for parameter in network.parameters())))
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype is None else {"rtol": 2e-2, "atol": 5e-2}
    for expected, one in zip(*found, strict=True):
        assert expected is not None and one is not None
        assert (one.shape, one.dtype) == (expected.shape, expected.dtype)
        torch.testing.assert_close(one, expected, **close)


def test_a_network_keeps_its_names_and_results() -> None:
    torch.manual_seed(1)
    expected = timm.create_model("convnextv2_atto", num_classes=1, in_chans=1, conv_mlp=False)
    found = build_network(NetworkSettings(name="convnextv2_atto"), 1, 41)
    assert sum(isinstance(module, FittedConv2d) for module in found.modules()) == 12
    assert list(found.state_dict()) == list(expected.state_dict())
    assert [name for name, _ in found.named_parameters()] == [name for name, _ in expected.named_parameters()]
    for name, parameter in expected.named_parameters():
        if "grn" in name:
            nn.init.normal_(parameter)
    found.load_state_dict(expected.state_dict())
    images = torch.randn(4, 1, 41, 41)
    found.eval(), expected.eval()
    with torch.inference_mode():
        assert torch.equal(found(images), expected(images))  # on a CPU, without gradients
    torch.testing.assert_close(found(images), expected(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, stride=2),
        nn.Conv2d(4, 4, 3, padding=2, groups=4, dilation=2),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, padding_mode="reflect"),
    ],
)
def test_other_layers_stay_as_they_are(layer: nn.Conv2d) -> None:
    network = nn.Sequential(layer)
    fit_kernels(network)
    assert network[0] is layer
