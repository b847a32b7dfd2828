"""How many samples go through a network at once, where that is for a GPU to say."""

import logging
import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from stronglens.networks.compiled import Compile, Forward, compiled
from stronglens.networks.device import check_after, compute_a_little
from stronglens.networks.precision import autocast
from stronglens.networks.ways import Candidate, ChoiceFile, Measured, in_words

log = logging.getLogger(__name__)

BATCH_SIZE = 512
"""On a CPU, and where equal bytes are asked for."""

BATCH_SIZES = (512, 2048, 8192)
"""What is tried on a GPU. Measured: H100, convnextv2_nano, eager: 24,000, 89,000 and 148,000 images/s."""

N_TIMED = 10

FURTHEST = 2e-2
"""Probabilities may differ by so much between batches. Measured there, in bfloat16: 5e-3."""


def fastest_batch(
    network: nn.Module,
    image_shape: tuple[int, int, int],
    device: torch.device,
    dtype: torch.dtype | None,
    n_images: int,
    kept: ChoiceFile,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    *,
    n_in_piece: int | None = None,
    compile_choice: Compile = "auto",
    probe: Callable[[torch.device], None] = compute_a_little,
) -> tuple[int, Forward | None]:
    """Find the batch that is predicted fastest, and whether it is worth compiling the network for it.

    Parameters
    ----------
    network : Module
        Lies on the device.
    image_shape : tuple of int
        (n_channels, height, width).
    device : torch.device
        Where it runs.
    dtype : torch.dtype or None
        See `stronglens.networks.precision.autocast`.
    n_images : int
        How many are going to be predicted.
    kept : ChoiceFile
        Where jobs share their choice.
    batch_sizes : sequence of int
        What is tried.
    n_in_piece : int, optional
        Samples that are read at once, of which the last batch is filled up; all of them, if not given.
    compile_choice : {"auto", "always", "graphs", "never"}
        Whether the network is compiled; auto: that is tried as well.
    probe : callable
        Shows after a failure whether the device still works.

    Returns
    -------
    batch_size : int
        Samples at once.
    forward : callable or None
        The network compiled for them, or None.

    Raises
    ------
    LostDeviceError
        The GPU does not answer any more.
    """
    network.eval()
    generator = torch.Generator(device).manual_seed(1)
    shown = torch.randn((min(batch_sizes), *image_shape), generator=generator, device=device)
    sizes = {str(size): size for size in batch_sizes}
    n_in_piece = min(n_images, n_in_piece or n_images) or 1
    demanded, graphs = compile_choice in ("always", "graphs"), compile_choice == "graphs"
    candidates = [] if demanded else [Candidate(name, f"batches of {name}") for name in sizes]
    if compile_choice != "never":
        # Measured: H100, slow CPU cores: 20 to 45 s.
        candidates += [Candidate(f"{name} compiled", f"batches of {name}, compiled", 30.0) for name in sizes]
    forwards: dict[str, Forward] = {}

    def made(name: str) -> tuple[int, Forward]:
        size, how = sizes[name.split(maxsplit=1)[0]], name.partition(" ")[2]
        shape = (size, *image_shape)
        if not how:
            return size, network
        return size, compiled(network, shape, device, dtype, learn=False, graphs=graphs)

    def measure(name: str) -> Measured:
        try:
            return tried(name)
        except Exception as error:
            check_after(error, device, probe)
            raise

    def tried(name: str) -> Measured:
        started = time.monotonic()
        size, forward = made(name)
        if "compiled" in name and forward is network:
            raise RuntimeError("the network cannot be compiled here")
        # The same images in each: what a generator gives depends on how much it is asked for.
        images = shown.repeat(math.ceil(size / len(shown)), 1, 1, 1)[:size]
        with torch.inference_mode(), autocast(device, dtype):
            probs = torch.sigmoid(forward(images)[: len(shown), 0].float()).tolist()
            setup_s, started = time.monotonic() - started, time.monotonic()
            for _ in range(N_TIMED):
                outputs = forward(images)
            outputs.float().sum().item()
        forwards[name] = forward
        batch_s = (time.monotonic() - started) / N_TIMED
        return Measured(setup_s, batch_s * math.ceil(n_in_piece / size) / n_in_piece, probs)

    name = kept.read()
    if name is None or name.split()[0] not in sizes:
        choice = kept.choose(candidates, measure, n_images, FURTHEST)
        log.info("%s", in_words(choice, candidates, "images", 1))
        # Also where a batch had no room: a smaller one is little slower, and all parts are computed alike.
        name = kept.keep(choice)
    else:
        log.info("predicted as other jobs have found to be fastest here: batches of %s", name)
    size, forward = (sizes[name.split()[0]], forwards[name]) if name in forwards else made(name)
    return size, None if forward is network else forward
