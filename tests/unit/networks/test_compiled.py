"""Compiled networks give the results of the network as it is. Real compiling: some seconds each."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from timm.models.convnext import ConvNeXtBlock
from torch import nn

from stronglens.networks import compiled as module
from stronglens.networks.compiled import compiled, estimated, worth_compiling
from stronglens.networks.device import LostDeviceError
from stronglens.networks.network import build_network
from stronglens.networks.ways import Measured
from stronglens.settings.network import NetworkSettings

CPU = torch.device("cpu")
SCRIPTS = Path(__file__).parents[3] / "workflow" / "scripts"
SHAPE = (8, 1, 33, 33)


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> None:
    """PyTorch compiles one piece of code a limited number of times in a process."""
    torch.compiler.reset()


@pytest.fixture
def network() -> nn.Module:
    """One stage of a ConvNeXt V2, since compiling takes long."""
    torch.manual_seed(1)
    block = ConvNeXtBlock(8, use_grn=True, drop_path=0.3)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 4, stride=4), block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1)
    )
    for name, parameter in network.named_parameters():  # GRN starts at zero, which would hide it
        if "grn" in name:
            nn.init.normal_(parameter)
    return network.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("graphs", [False, True])  # on a CPU there are none: it must work all the same
def test_predictions_agree(network: nn.Module, graphs: bool) -> None:
    forward = compiled(network, SHAPE, CPU, None, learn=False, graphs=graphs)
    assert forward is not network
    network.eval()
    for n in (SHAPE[0], 3):
        images = torch.randn(n, *SHAPE[1:])
        with torch.inference_mode():
            assert torch.allclose(forward(images), network(images), rtol=0, atol=1e-5)


def test_losses_and_weights_agree_over_steps_with_dropped_paths(network: nn.Module) -> None:
    twin = copy.deepcopy(network)
    forward = compiled(network, SHAPE, CPU, None, learn=True)
    losses = {}
    for name, learner, call in (("compiled", network, forward), ("eager", twin, twin)):
        torch.manual_seed(5)
        learner.train()
        optimiser = torch.optim.AdamW(learner.parameters(), lr=1e-3, fused=True)
        losses[name] = []
        for _ in range(10):
            loss = call(torch.randn(SHAPE)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses[name].append(loss.item())
    assert losses["compiled"] == pytest.approx(losses["eager"], rel=1e-3)
    assert len(set(losses["eager"])) == 10


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_replayed_graphs_agree(network: nn.Module) -> None:
    device = torch.device("cuda")
    network.to(device).train()
    twin = copy.deepcopy(network)
    forward = compiled(network, SHAPE, device, None, learn=True, graphs=True)
    logits = []
    for call, learner in ((forward, network), (twin, twin)):
        torch.manual_seed(5)
        optimiser = torch.optim.AdamW(learner.parameters(), lr=1e-3, fused=True)
        for _ in range(5):
            logits.append(call(torch.randn(SHAPE, device=device)))
            optimiser.zero_grad()
            logits[-1].square().mean().backward()
            optimiser.step()
    for replayed, plain in zip(logits[:5], logits[5:], strict=True):  # none was written over
        torch.testing.assert_close(replayed, plain, rtol=1e-3, atol=1e-4)


def test_compiling_leaves_no_trace() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 31 * 31, 1)
    )
    before = copy.deepcopy(network.state_dict())
    drawn = torch.get_rng_state()
    compiled(network, SHAPE, CPU, None, learn=True)
    assert network.training
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_without_a_compiler_the_network_runs_as_it_is(tmp_path: Path) -> None:
    """In a process of its own: PyTorch remembers which compilers it has found."""
    code = """
import logging, torch
from stronglens.networks.compiled import compiled
logging.basicConfig()
network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.GELU(), torch.nn.Flatten())
forward = compiled(network, (2, 1, 9, 9), torch.device("cpu"), None, learn=True)
scoring = compiled(network, (4, 1, 9, 9), torch.device("cpu"), None, learn=False)
print(forward is scoring is network, network.training)
"""
    environment = os.environ | {
        "CXX": "/nowhere/g++",
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(SCRIPTS),
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
    assert done.stderr.count("the network cannot be compiled here, it runs as it is") == 1


def _fails(error: Exception) -> Callable[..., Callable[[torch.Tensor], torch.Tensor]]:
    def compile_(network: nn.Module, **_: object) -> Callable[[torch.Tensor], torch.Tensor]:
        def fast(images: torch.Tensor) -> torch.Tensor:
            raise error

        return fast

    return compile_


def _lost(device: torch.device) -> None:
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize(
    "error", [AssertionError(), TypeError("of Triton"), subprocess.SubprocessError("ptxas"), KeyError("x")]
)
def test_whatever_compiling_raises_the_network_runs_as_it_is(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    module._say_once.cache_clear()
    monkeypatch.setattr(torch, "compile", _fails(error))
    assert compiled(network, SHAPE, CPU, None, learn=True) is network
    assert [record.getMessage() for record in caplog.records] == [
        "the network cannot be compiled here, it runs as it is, slower: "
        f"{type(error).__name__}: {str(error) or type(error).__name__}"
    ]


def test_what_fails_only_later_falls_back_then(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module._say_once.cache_clear()
    calls = []

    def fast(images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        if len(calls) > 2:  # tried out, and one batch
            raise AssertionError("graph trees")
        return network(images)

    monkeypatch.setattr(torch, "compile", lambda network, **_: fast)
    forward = compiled(network, SHAPE, CPU, None, learn=False)
    network.eval()
    for _ in range(4):
        images = torch.randn(SHAPE)
        assert torch.equal(forward(images), network(images))
    assert len(calls) == 3
    assert "AssertionError: graph trees" in caplog.text


def test_a_lost_device_ends_the_job(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("CUDA error: device-side assert triggered")
    monkeypatch.setattr(torch, "compile", _fails(error))
    with pytest.raises(
        LostDeviceError, match=r"illegal memory access .*device-side.* the same command goes on"
    ):
        compiled(network, SHAPE, CPU, None, learn=True, probe=_lost)


def test_no_room_on_the_device_is_no_reason_to_fall_back(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", _fails(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        compiled(network, SHAPE, CPU, None, learn=True)


@pytest.mark.parametrize(("n_images", "chosen"), [(10, False), (99, False), (101, True), (10**6, True)])
def test_auto_compiles_where_that_saves_time_by_made_up_costs(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch, n_images: int, chosen: bool
) -> None:
    costs = {"eager": Measured(0, 1), "compiled": Measured(50, 0.5)}
    monkeypatch.setattr(module, "estimated", lambda *_, **__: costs)
    choices: tuple[module.Compile, ...] = ("auto", "always", "graphs", "never")
    found = [worth_compiling(choice, network, SHAPE[1:], n_images, learn=True) for choice in choices]  # type: ignore[arg-type]
    assert found == [chosen, True, True, False]


def test_on_a_gpu_nothing_is_estimated() -> None:
    network = nn.Linear(2, 1, device="meta")  # stands for any device but the CPU
    assert not worth_compiling("auto", network, (1, 1, 2), 10**9, learn=False)


def test_estimates_follow_operations_layers_and_threads_and_no_clock() -> None:
    """Of the network that was measured they are what was measured; it stays as it is."""
    atto = build_network(NetworkSettings(name="convnextv2_atto"), 1, 41)
    before = copy.deepcopy(atto.state_dict())
    image = (1, 41, 41)
    for learn, rates in ((True, module.LEARNING), (False, module.LOOKING)):
        found = estimated(atto, image, learn=learn, n_threads=2)
        assert found == estimated(atto, image, learn=learn, n_threads=2)
        assert found["compiled"].setup_s == pytest.approx(rates.compile_s)
        assert found["eager"].step_s == pytest.approx(1 / rates.eager, rel=0.01)
        assert found["compiled"].step_s == pytest.approx(1 / rates.compiled, rel=0.01)
    more_threads = estimated(atto, image, learn=False, n_threads=8)
    assert more_threads["eager"].step_s == pytest.approx(found["eager"].step_s / 4)
    assert more_threads["compiled"].setup_s == found["compiled"].setup_s
    nano = build_network(NetworkSettings(name="convnextv2_nano"), 1, 41)
    assert estimated(nano, image, learn=False, n_threads=2)["eager"].step_s > 4 * found["eager"].step_s
    assert atto.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in atto.state_dict().items())
