"""Networks on the device of a benchmark: as timm builds them by default, and as the pipeline does."""

import math
import time

import timm
import torch
from harness import Size
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stronglens.networks.compiled import Forward, compiled
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.network import build_network
from stronglens.networks.resident import ResidentSamples
from stronglens.settings.network import NetworkSettings
from stronglens.settings.train import TrainSettings
from stronglens.training.step import EpochPlan, Learner, Steps, Sums

SIDE_PX = 41


def timm_network(name: str, device: torch.device) -> nn.Module:
    """What `timm.create_model` gives, with its weights drawn anew from one seed."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model(name, num_classes=1, in_chans=1)
    return network.to(device)


def our_network(name: str, twin: nn.Module, device: torch.device) -> nn.Module:
    """The pipeline's network with the weights of timm's, whose layers may be shaped otherwise."""
    network = build_network(NetworkSettings(name=name), 1, SIDE_PX)
    weights = twin.state_dict()
    network.load_state_dict(
        {key: weights[key].reshape(tensor.shape) for key, tensor in network.state_dict().items()}
    )
    return network.to(device).to(memory_format=torch.channels_last)


def compile_anew(
    network: nn.Module,
    batch: int,
    device: torch.device,
    dtype: torch.dtype | None,
    *,
    learn: bool,
    size: Size,
    graphs: bool = False,
) -> tuple[Forward, float]:
    """The network, compiled as if for the first time on this machine, and the seconds that took.

    Tiny benchmarks leave it as it is: compiling takes longer than a test may.
    """
    if size == "tiny":
        return network, math.nan
    started = time.perf_counter()
    torch.compiler.reset()
    with torch.compiler.config.patch(force_disable_caches=True):  # type: ignore[attr-defined] # made at import
        shape = (batch, 1, SIDE_PX, SIDE_PX)
        forward = compiled(network, shape, device, dtype, learn=learn, graphs=graphs)
    return forward, time.perf_counter() - started


def random_samples(n: int, device: torch.device, dtype: torch.dtype | None = None) -> ResidentSamples:
    """Samples of noise, every second a lens, kept in what the network computes in (None: float32)."""
    generator = torch.Generator(device).manual_seed(1)
    images = torch.empty(n, SIDE_PX, SIDE_PX, dtype=dtype or torch.float32, device=device)
    for part in torch.split(images, 100_000):
        part.copy_(torch.randn(part.shape, generator=generator, device=device))
    rows = torch.arange(n, device=device)
    return ResidentSamples(images, rows[:, None], (rows % 2).float(), has_gaps=False)


class Epochs:
    """Epochs of a network on some samples as a training goes through them, without validation."""

    def __init__(
        self,
        network: nn.Module,
        forward: Forward,
        dtype: torch.dtype | None,
        settings: TrainSettings,
        samples: LoadedSamples,
    ) -> None:
        device = samples.rows.device
        self.network, self.forward, self.dtype = network, forward, dtype
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, fused=True)
        scaler = torch.amp.GradScaler(device.type, enabled=False)
        learner = Learner(network, self.optimiser, scaler, dtype, settings, samples, torch.Generator(device))
        self._plan = EpochPlan(learner, seed=1)
        self._steps = Steps(learner, self._plan, Sums(self._plan.n_steps, device), forward)

    def run(self) -> None:
        """Go through the samples once."""
        self._plan.fill(0, 0)
        self.network.train()
        for _ in self._steps.each(range(self._plan.n_steps)):
            pass
        wait_for(next(self.network.parameters()).device)


def wait_for(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def flops_of(network: nn.Module, device: torch.device) -> int:
    """Floating-point operations of one image on its way through a network, a multiply-add counted as two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 1, SIDE_PX, SIDE_PX, device=device))
    n_flops: int = counter.get_total_flops()
    return n_flops


def matrix_rate(device: torch.device, side: int = 8192, n_times: int = 50) -> float:
    """Floating-point operations a second of large bfloat16 matrix products: what the card can do."""
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    a @ a
    wait_for(device)
    started = time.perf_counter()
    for _ in range(n_times):
        a @ a
    wait_for(device)
    return 2 * side**3 * n_times / (time.perf_counter() - started)
