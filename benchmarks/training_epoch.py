"""An epoch on resident and on streamed samples, against its steps alone and a loader that opens files."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import harness
import numpy as np
import torch
from harness import Way
from item_by_item import FitsFiles
from made_data import write_fits, write_packed
from networks_here import (
    SIDE_PX,
    Epochs,
    compile_anew,
    flops_of,
    matrix_rate,
    our_network,
    random_samples,
    timm_network,
    wait_for,
)
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from stronglens.formats.packed import open_packed
from stronglens.networks.device import choose_device
from stronglens.networks.precision import autocast, autocast_dtype
from stronglens.networks.samples import make_samples
from stronglens.networks.streamed import stream_samples
from stronglens.settings.preprocess import PreprocessSettings
from stronglens.settings.train import TrainSettings

MOST_WORKERS = 8
MEMBER_IMAGES = 700_000 * 80
STREAMED = "an epoch on streamed samples, smoothed and normalised each time"


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    device = choose_device(options.device)
    dtype = autocast_dtype(device, "auto")
    batch = options.pick(tiny=8, short=128, full=128)
    large = 1000 if device.type == "cuda" else 1
    n_batches = options.pick(tiny=2, short=12 * large, full=(20 if large > 1 else 60) * large)
    settings = TrainSettings(batch_size=batch)
    twin = timm_network(options.network, device)
    network = our_network(options.network, twin, device)
    forward, _ = compile_anew(network, batch, device, dtype, learn=True, size=options.size)
    samples = random_samples(n_batches * batch, device, dtype)
    epochs = Epochs(network, forward, dtype, settings, samples)
    with tempfile.TemporaryDirectory() as folder:
        n_few = options.pick(tiny=5, short=640, full=6400)
        files = write_fits(Path(folder, "files"), n_few // 5)
        loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            FitsFiles(files),  # type: ignore[arg-type]
            batch_size=batch,
            shuffle=True,
            num_workers=min(MOST_WORKERS, len(os.sched_getaffinity(0))),
        )
        naive = Epochs(twin, twin, dtype, settings, samples)
        packed = open_packed(write_packed(Path(folder, "packed"), n_batches * batch), check=False)
        everything = np.ones(len(packed.index), dtype=bool)
        chosen = make_samples(packed.index, "each", everything, packed.summary.bands)
        streamed = stream_samples(packed, chosen, PreprocessSettings(smoothing="gaussian"), device)
        epochs_of_streamed = Epochs(network, forward, dtype, settings, streamed)
        ours, limit = "an epoch on resident samples", "limit: the same steps on one batch in memory"
        ways = [
            Way(ours, epochs.run, len(samples)),
            Way(limit, lambda: _steps_on_one_batch(epochs, n_batches, batch, device), len(samples)),
            Way(STREAMED, epochs_of_streamed.run, len(streamed)),
            Way("data loader on files, timm's default", lambda: _naive_epoch(naive, loader), n_few),
        ]
        graphs, limit_of_graphs = f"{ours}, CUDA graphs", f"{limit}, CUDA graphs"
        if device.type == "cuda":
            replayed = our_network(options.network, twin, device)
            recorded, _ = compile_anew(
                replayed, batch, device, dtype, learn=True, size=options.size, graphs=True
            )
            other = Epochs(replayed, recorded, dtype, settings, samples)
            ways[2:2] = [
                Way(graphs, other.run, len(samples)),
                Way(
                    limit_of_graphs,
                    lambda: _steps_on_one_batch(other, n_batches, batch, device),
                    len(samples),
                ),
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
    gain = result.ratio(ours, ways[-1].name)
    if device.type != "cuda":
        print(f"- {gain:.1f} x the data loader on files")
        return 0
    for told, its_limit, way in (
        ("the same with CUDA graphs", limit_of_graphs, graphs),
        ("the same, streamed", limit, STREAMED),
    ):
        found = result.ratio(its_limit, way)
        harness.print_goal(told, f"{found:.3f} x", met=found <= 1.10)
    harness.print_goal("at least 30 x the data loader on files", f"{gain:.1f} x", met=gain >= 30)
    hours = MEMBER_IMAGES / result.rate(ours) / 3600
    harness.print_goal(
        "700,000 cutouts x 80 epochs in an hour, without validation", f"{hours:.2f} h", met=hours < 1
    )
    share = 3 * flops_of(twin, device) * result.rate(ours) / matrix_rate(device)
    print(f"- {share:.1%} of the card's rate in large bfloat16 products")
    return 0


def _step(learner: Epochs, images: Tensor, labels: Tensor) -> None:
    with autocast(images.device, learner.dtype):
        logit = learner.forward(images).squeeze(1).float()
    loss = binary_cross_entropy_with_logits(logit, labels)
    learner.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    learner.optimiser.step()


def _steps_on_one_batch(learner: Epochs, n_steps: int, batch: int, device: torch.device) -> None:
    learner.network.train()
    images = torch.randn(batch, 1, SIDE_PX, SIDE_PX, device=device)
    labels = torch.ones(batch, device=device)
    for _ in range(n_steps):
        _step(learner, images, labels)
    wait_for(device)


def _naive_epoch(learner: Epochs, loader: DataLoader[tuple[Tensor, Tensor]]) -> None:
    learner.network.train()
    device = next(learner.network.parameters()).device
    for images, labels in loader:
        _step(learner, images.to(device), labels.to(device))
    wait_for(device)


if __name__ == "__main__":
    sys.exit(main())
