"""Running a network over samples without learning from them."""

import logging
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import pad

from stronglens.networks.compiled import Forward
from stronglens.networks.device import first_line
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.precision import autocast

log = logging.getLogger(__name__)


@dataclass
class Room:
    """How many images a device has room for at once, as far as has been seen; it only becomes less."""

    most: int


def outputs_of(
    network: nn.Module,
    samples: LoadedSamples,
    dtype: torch.dtype | None,
    batch_size: int,
    *,
    fill: bool = False,
    forward: Forward | None = None,
    room: Room | None = None,
) -> torch.Tensor:
    """Outputs of a network for each sample.

    Parameters
    ----------
    network : Module
        Takes (n, n_channels, height, width), gives (n, n_outputs); lies on the samples' device.
    samples : ResidentSamples or StreamedSamples
        What it is shown, in this order.
    dtype : torch.dtype or None
        Type that autocast computes in; None for plain float32.
    batch_size : int
        Samples at once; fewer where a GPU has no room for so many, which is said in the log.
    fill : bool
        Fill the last batch up with zeros: the last bits of an output depend on the size of its batch, and so
        they do not depend on how many samples there are.
    forward : callable, optional
        The network, compiled; itself if not given.
    room : Room, optional
        What was seen in calls before this one, and is seen in this one.

    Returns
    -------
    Tensor of float32, shape (n_samples, n_outputs)

    Raises
    ------
    OutOfMemoryError
        There is no room for a single sample; or for a batch, where equal bytes are asked for
        (`stronglens.networks.precision.algorithms`).
    """
    device = samples.rows.device
    network.eval()
    run = forward or network
    with torch.inference_mode(), autocast(device, dtype):
        parts, room = list[torch.Tensor](), room or Room(batch_size)
        batches = torch.split(torch.arange(len(samples), device=device), batch_size)
        for numbers, images in zip(batches, samples.in_turn(batches), strict=True):
            shown = pad(images, (0, 0, 0, 0, 0, 0, 0, batch_size - len(numbers))) if fill else images
            parts.append(_as_many_as_fit(run, shown, room)[: len(numbers)].float())
    return torch.cat(parts)


def _as_many_as_fit(run: Forward, images: torch.Tensor, room: Room) -> torch.Tensor:
    """Outputs for a batch, shown in parts that have room."""
    while True:
        try:
            outputs = [run(part) for part in torch.split(images, room.most)]
            return outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        except torch.OutOfMemoryError as error:
            # Bytes depend on the size of a batch.
            if room.most == 1 or torch.are_deterministic_algorithms_enabled():
                raise
            words = "%d images have no room on the GPU at once, %d are tried: %s"
            log.warning(words, room.most, room.most // 2, first_line(error))
        room.most //= 2
        torch.cuda.empty_cache()


def logits_of(
    network: nn.Module,
    samples: LoadedSamples,
    dtype: torch.dtype | None,
    batch_size: int,
    *,
    fill: bool = False,
    forward: Forward | None = None,
    room: Room | None = None,
) -> torch.Tensor:
    """Logit of each sample, the first of a network's outputs: float32, shape (n_samples,)."""
    return outputs_of(network, samples, dtype, batch_size, fill=fill, forward=forward, room=room)[:, 0]
