"""Running a network over samples without learning from them."""

import torch
from torch import nn
from torch.nn.functional import pad

from stronglens.networks.compiled import Forward
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.precision import autocast


def outputs_of(
    network: nn.Module,
    samples: LoadedSamples,
    dtype: torch.dtype | None,
    batch_size: int,
    *,
    fill: bool = False,
    forward: Forward | None = None,
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
        Samples at once.
    fill : bool
        Fill the last batch up with zeros: the last bits of an output depend on the size of its batch, and so
        they do not depend on how many samples there are.
    forward : callable, optional
        The network, compiled; itself if not given.

    Returns
    -------
    Tensor of float32, shape (n_samples, n_outputs)
    """
    device = samples.rows.device
    network.eval()
    run = forward or network
    with torch.inference_mode(), autocast(device, dtype):
        parts = []
        batches = torch.split(torch.arange(len(samples), device=device), batch_size)
        for numbers, images in zip(batches, samples.in_turn(batches), strict=True):
            shown = pad(images, (0, 0, 0, 0, 0, 0, 0, batch_size - len(numbers))) if fill else images
            parts.append(run(shown)[: len(numbers)].float())
    return torch.cat(parts)


def logits_of(
    network: nn.Module,
    samples: LoadedSamples,
    dtype: torch.dtype | None,
    batch_size: int,
    *,
    fill: bool = False,
    forward: Forward | None = None,
) -> torch.Tensor:
    """Logit of each sample, the first of a network's outputs: float32, shape (n_samples,)."""
    return outputs_of(network, samples, dtype, batch_size, fill=fill, forward=forward)[:, 0]
