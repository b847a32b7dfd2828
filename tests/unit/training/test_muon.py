"""Muon: orthogonal steps for kernels and matrices, AdamW's for the rest, from a state as without a break."""

import copy

import pytest
import torch
from torch import Tensor, nn

from stronglens.networks.network import build_network
from stronglens.settings.network import NetworkSettings
from stronglens.training.muon import Muon, matrices_apart, orthonormal
from stronglens.training.schedule import layer_groups


def random_matrix(n_rows: int, n_columns: int) -> Tensor:
    return torch.randn(n_rows, n_columns, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_singular_values_come_near_one_and_vectors_stay(shape: tuple[int, int], scale: float) -> None:
    matrix = random_matrix(*shape)
    found = orthonormal(scale * matrix[None])[0]
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    core = left.T @ found @ right.T
    values = core.diagonal()
    assert values.min() > 0.6
    assert values.max() < 1.25
    torch.testing.assert_close(core, torch.diag(values), atol=1e-4, rtol=0)


def test_a_gradient_of_zeros_changes_nothing() -> None:
    assert torch.equal(orthonormal(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def one_layer() -> tuple[nn.Conv2d, Muon]:
    torch.manual_seed(1)
    layer = nn.Conv2d(4, 6, 3)
    groups = [{"params": [layer.weight], "matrices": True}, {"params": [layer.bias], "matrices": False}]
    return layer, Muon(groups, lr=0.01, weight_decay=0.1)


def test_the_first_step_is_decay_and_the_orthonormal_gradient() -> None:
    layer, optimiser = one_layer()
    before = layer.weight.detach().clone()
    gradient = torch.randn(layer.weight.shape)
    layer.weight.grad = gradient.clone()
    optimiser.step()
    step = orthonormal(gradient.flatten(1)[None])[0] * 0.2 * 36**0.5
    expected = before * (1 - 0.01 * 0.1) - 0.01 * step.view(before.shape)
    torch.testing.assert_close(layer.weight.detach(), expected, atol=1e-6, rtol=1e-5)
    # As large as a step of AdamW with this rate, 0.2 to 0.4 by root mean square (Liu et al. 2025).
    assert 0.1 < step.square().mean().sqrt() < 0.5


def test_a_rate_that_lies_on_the_device_makes_the_same_step() -> None:
    # Recorded steps on a GPU read it there, in single precision; `Steps` rounds the number likewise.
    (layer, optimiser), (twin, of_twin) = one_layer(), one_layer()
    for seed, rate in enumerate((0.0123, 0.003, 0.0007)):
        there = torch.tensor(rate)
        for group, of_other in zip(optimiser.param_groups, of_twin.param_groups, strict=True):
            group["lr"], of_other["lr"] = there.item(), there
        generator = torch.Generator().manual_seed(seed)
        for one, other in zip(layer.parameters(), twin.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        optimiser.step()
        of_twin.step()
    assert torch.equal(layer.weight, twin.weight)
    assert torch.equal(layer.bias, twin.bias)


def test_matrices_are_changed_together_as_each_by_itself() -> None:
    # Two of one shape, one that is taller than wide, and a kernel.
    shapes = [(6, 4, 3, 3), (9, 5), (6, 4, 3, 3), (3, 7)]
    generator = torch.Generator().manual_seed(1)
    together = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    apart = [nn.Parameter(parameter.detach().clone()) for parameter in together]
    optimisers = [
        Muon([{"params": params, "matrices": True}], lr=0.01, weight_decay=0.1)
        for params in (together, *([parameter] for parameter in apart))
    ]
    for _ in range(3):
        for one, other in zip(together, apart, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        for optimiser in optimisers:
            optimiser.step()
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_other_parameters_take_the_steps_of_adamw() -> None:
    layer, optimiser = one_layer()
    bias = nn.Parameter(layer.bias.detach().clone())
    adamw = torch.optim.AdamW([bias], lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    for seed in range(5):
        gradient = torch.randn(6, generator=torch.Generator().manual_seed(seed))
        layer.bias.grad, bias.grad = gradient.clone(), gradient.clone()
        optimiser.step()
        adamw.step()
    torch.testing.assert_close(layer.bias, bias, atol=1e-6, rtol=1e-5)


def test_momentum_smooths_what_alternates() -> None:
    layer, optimiser = one_layer()
    steady, alternating = random_matrix(6, 36).view(6, 4, 3, 3), torch.randn(6, 4, 3, 3)
    for turn in range(200):
        before = layer.weight.detach().clone()
        layer.weight.grad = steady + 3 * (-1) ** turn * alternating
        optimiser.step()
    moved = (before * (1 - 0.01 * 0.1) - layer.weight.detach()).flatten()
    with_steady = torch.cosine_similarity(moved, steady.flatten(), dim=0)
    with_alternating = torch.cosine_similarity(moved, alternating.flatten(), dim=0)
    assert with_steady > 0.6
    assert with_alternating.abs() < with_steady / 2


def test_a_loaded_state_goes_on_with_the_same_steps() -> None:
    layer, optimiser = one_layer()

    def steps(of: nn.Conv2d, by: Muon, seeds: range) -> None:
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            for parameter in of.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            by.step()

    steps(layer, optimiser, range(3))
    other, fresh = one_layer()
    other.load_state_dict(layer.state_dict())
    fresh.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    steps(layer, optimiser, range(3, 6))
    steps(other, fresh, range(3, 6))
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["cutout_resnet", "convnextv2_atto"])
@pytest.mark.parametrize("layer_decay", [None, 0.7])
def test_each_parameter_is_in_one_group_and_kernels_of_one_channel_are_no_matrices(
    name: str, layer_decay: float | None
) -> None:
    network = build_network(NetworkSettings(name=name), in_chans=5, size_px=41, n_outputs=6)
    groups = matrices_apart(network, layer_groups(network, layer_decay))
    found = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(found) == sorted(id(parameter) for parameter in network.parameters())
    names = {id(parameter): key for key, parameter in network.named_parameters()}
    matrices = {names[id(p)] for group in groups if group["matrices"] for p in group["params"]}
    others = {names[id(p)] for group in groups if not group["matrices"] for p in group["params"]}
    shapes = {key: parameter.shape for key, parameter in network.named_parameters()}
    assert "stem.0.weight" in matrices
    assert all(len(shapes[key]) > 1 and shapes[key][1] > 1 for key in matrices)
    head = {key for key in shapes if key.startswith("head")}
    kernels = {key for key in shapes if len(shapes[key]) == 4 and shapes[key][1] > 1}
    assert head & kernels == set()
    assert kernels <= matrices
    depthwise = {key for key in shapes if "conv_dw.weight" in key}
    assert bool(depthwise) == (name == "convnextv2_atto")
    last = {names[id(parameter)] for parameter in network.get_classifier().parameters()}
    assert depthwise | last <= others
    if layer_decay is not None:
        assert all("lr_scale" in group for group in groups)
