"""A step of the optimiser alone, for `cutout_resnet` with five bands: Muon here and in timm, and AdamW."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import harness
import torch
from harness import Way
from networks_here import SIDE_PX, wait_for
from timm.optim import Muon as TimmMuon  # type: ignore[attr-defined] # in its documentation

from stronglens.networks.device import choose_device
from stronglens.networks.network import build_network
from stronglens.settings.network import NetworkSettings
from stronglens.training.muon import Muon, matrices_apart

OURS, THEIRS = "Muon, the pipeline's", "Muon, timm's"


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    device = choose_device(options.device)
    n_steps = options.pick(tiny=1, short=10, full=100)
    steps = {
        OURS: _step_of("muon", device),
        THEIRS: _step_of("timm", device),
        "AdamW": _step_of("adamw", device),
    }
    ways = [Way(name, partial(_take, step, n_steps, device), n_steps) for name, step in steps.items()]
    result = harness.race(ways, options.n_rounds)
    harness.print_title("A step of the optimiser: cutout_resnet, five bands", options, ["torch", "timm"])
    harness.print_race(result, "steps")
    gain = result.ratio(OURS, THEIRS)
    harness.print_goal("no slower than timm's", f"{gain:.2f} x", met=gain >= 1)
    return 0


def _step_of(name: str, device: torch.device) -> Callable[[], object]:
    """The step of a new optimiser, whose gradients are there."""
    torch.manual_seed(1)
    network = build_network(NetworkSettings(name="cutout_resnet"), 5, SIDE_PX, n_outputs=6).to(device)
    network(torch.randn(16, 5, SIDE_PX, SIDE_PX, device=device)).square().mean().backward()
    parameters = list(network.parameters())
    if name == "muon":
        return Muon(matrices_apart(network, [{"params": parameters}]), lr=1e-6, weight_decay=0.05).step
    if name == "timm":
        return TimmMuon(parameters, lr=1e-6, weight_decay=0.05).step
    return torch.optim.AdamW(parameters, lr=1e-6, weight_decay=0.05, fused=True).step


def _take(step: Callable[[], object], n_steps: int, device: torch.device) -> None:
    for _ in range(n_steps):
        step()
    wait_for(device)


if __name__ == "__main__":
    sys.exit(main())
