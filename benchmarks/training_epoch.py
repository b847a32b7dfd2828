"""An epoch on resident samples, against its steps on one batch in memory and a loader that opens files."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import harness
import torch
from harness import Way
from item_by_item import FitsFiles
from made_data import write_fits
from networks_here import SIDE_PX, compile_anew, our_network, random_samples, timm_network, wait_for
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from stronglens.networks.compiled import Forward
from stronglens.networks.device import arithmetic, autocast, choose_device
from stronglens.settings.train import TrainSettings
from stronglens.training.epoch import Learner, run_epoch

MOST_WORKERS = 8


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    device = choose_device(options.device)
    dtype = arithmetic(device, "auto")
    batch = options.pick(tiny=8, short=128, full=128)
    large = 1000 if device.type == "cuda" else 1
    n_batches = options.pick(tiny=2, short=12 * large, full=60 * large)
    settings = TrainSettings(batch_size=batch)
    twin = timm_network(options.network, device)
    network = our_network(options.network, twin, device)
    forward, _ = compile_anew(network, batch, device, dtype, learn=True, size=options.size)
    learner = _learner(network, forward, dtype, device, settings)
    samples = random_samples(n_batches * batch, device)
    with tempfile.TemporaryDirectory() as folder:
        n_few = options.pick(tiny=5, short=640, full=6400)
        files = write_fits(Path(folder, "files"), n_few // 5)
        loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            FitsFiles(files),  # type: ignore[arg-type]
            batch_size=batch,
            shuffle=True,
            num_workers=min(MOST_WORKERS, len(os.sched_getaffinity(0))),
        )
        naive_learner = _learner(twin, twin, dtype, device, settings)
        ours, limit = "run_epoch on resident samples", "limit: the same steps on one batch in memory"
        ways = [
            Way(ours, lambda: run_epoch(learner, samples, 0), len(samples)),
            Way(limit, lambda: _steps_on_one_batch(learner, n_batches, batch, device), len(samples)),
            Way("data loader on files, timm's default", lambda: _naive_epoch(naive_learner, loader), n_few),
        ]
        result = harness.race(ways, options.n_rounds)
    harness.print_title(
        f"A training epoch: {options.network}, batch {batch}, {n_batches} steps",
        options,
        ["torch", "timm", "astropy", "scipy"],
    )
    harness.print_race(result, "images")
    found = result.ratio(limit, ours)
    harness.print_goal("at most 1.10 x the time of its steps alone", f"{found:.3f} x", met=found <= 1.10)
    print(f"- {result.ratio(ours, ways[2].name):.1f} x the data loader on files")
    return 0


def _learner(
    network: torch.nn.Module,
    forward: Forward,
    dtype: torch.dtype | None,
    device: torch.device,
    settings: TrainSettings,
) -> Learner:
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.lr, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=False)
    return Learner(network, forward, optimiser, scaler, dtype, settings, seed=1)


def _step(learner: Learner, images: Tensor, labels: Tensor) -> None:
    with autocast(images.device, learner.dtype):
        logit = learner.forward(images).squeeze(1).float()
    loss = binary_cross_entropy_with_logits(logit, labels)
    learner.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    learner.optimiser.step()


def _steps_on_one_batch(learner: Learner, n_steps: int, batch: int, device: torch.device) -> None:
    learner.network.train()
    images = torch.randn(batch, 1, SIDE_PX, SIDE_PX, device=device)
    labels = torch.ones(batch, device=device)
    for _ in range(n_steps):
        _step(learner, images, labels)
    wait_for(device)


def _naive_epoch(learner: Learner, loader: DataLoader[tuple[Tensor, Tensor]]) -> None:
    learner.network.train()
    for images, labels in loader:
        device = next(learner.network.parameters()).device
        _step(learner, images.to(device), labels.to(device))


if __name__ == "__main__":
    sys.exit(main())
