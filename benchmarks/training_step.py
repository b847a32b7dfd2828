"""A training step at batch 128: timm's network as built by default, against the pipeline's, compiled."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import harness
import torch
from harness import Way
from networks_here import SIDE_PX, compile_anew, flops_of, matrix_rate, our_network, timm_network, wait_for
from torch.nn.functional import binary_cross_entropy_with_logits

from stronglens.networks.compiled import Forward
from stronglens.networks.device import choose_device
from stronglens.networks.precision import autocast, autocast_dtype

BATCH = 128
COMPILED = "the pipeline's, compiled"
GRAPHS = "the pipeline's, compiled, CUDA graphs"


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    device = choose_device(options.device)
    dtype = autocast_dtype(device, "auto")
    batch = options.pick(tiny=8, short=BATCH, full=BATCH)
    on_gpu = device.type == "cuda"
    n_steps = options.pick(tiny=1, short=100 if on_gpu else 8, full=1000 if on_gpu else 40)
    twin = timm_network(options.network, device)
    eager = our_network(options.network, twin, device)
    network = our_network(options.network, twin, device)
    forward, seconds = compile_anew(network, batch, device, dtype, learn=True, size=options.size)
    runs = {
        COMPILED: _steps(forward, network, device, dtype, batch, fused=True),
        "the pipeline's, as it is": _steps(eager, eager, device, dtype, batch, fused=True),
        "timm's default": _steps(twin, twin, device, dtype, batch, fused=False),
    }
    if on_gpu:
        graphed = our_network(options.network, twin, device)
        replayed, _ = compile_anew(graphed, batch, device, dtype, learn=True, size=options.size, graphs=True)
        of_graphs = _steps(replayed, graphed, device, dtype, batch, fused=True)
        runs = {COMPILED: runs.pop(COMPILED), GRAPHS: of_graphs} | runs
    losses = {name: run(3) for name, run in runs.items()}  # first steps, from equal weights
    ways = [Way(name, partial(run, n_steps), batch * n_steps) for name, run in runs.items()]
    result = harness.race(ways, options.n_rounds)
    ours, naive = ways[0].name, ways[-1].name
    harness.print_title(f"A training step: {options.network}, batch {batch}", options, ["torch", "timm"])
    harness.print_race(result, "images")
    gain = result.ratio(ours, naive)
    off = max(abs(a / b - 1) for a, b in zip(losses[ours], losses[naive], strict=True))
    pays_from = seconds / (1 / result.rate("the pipeline's, as it is") - 1 / result.rate(ours))
    harness.print_goal("at least 1.4 x timm's default", f"{gain:.2f} x", met=gain >= 1.4)
    tolerance = 2e-2 if dtype else 1e-3  # bfloat16 has steps of 4e-3
    harness.print_goal("same losses (first 3 steps, relative)", f"{off:.1e} apart", met=off < tolerance)
    print(f"- compiling took {seconds:.0f} s, which is paid back by {pays_from:,.0f} images")
    if on_gpu:
        share = 3 * flops_of(eager, device) * result.rate(ours) / matrix_rate(device)
        print(f"- {share:.1%} of the card's rate in large bfloat16 products")
    return 0


def _steps(
    forward: Forward,
    network: torch.nn.Module,
    device: torch.device,
    dtype: torch.dtype | None,
    batch: int,
    *,
    fused: bool,
) -> Callable[[int], list[float]]:
    """A function that takes so many steps and gives their losses."""
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(batch, 1, SIDE_PX, SIDE_PX, generator=generator).to(device)
    labels = (torch.arange(batch) % 2).float().to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=fused or None)

    def run(n_steps: int) -> list[float]:
        network.train()
        losses = []
        for _ in range(n_steps):
            with autocast(device, dtype):
                logit = forward(images).squeeze(1).float()
            loss = binary_cross_entropy_with_logits(logit, labels)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.detach())
        wait_for(device)
        found: list[float] = torch.stack(losses).tolist()
        return found

    return run


if __name__ == "__main__":
    sys.exit(main())
