"""Running a network over samples without learning from them."""

import torch
from torch import nn

from stronglens.device import autocast
from stronglens.resident import ResidentSamples


def logits_of(
    network: nn.Module, samples: ResidentSamples, dtype: torch.dtype | None, batch_size: int
) -> torch.Tensor:
    """Logit of each sample.

    Parameters
    ----------
    network : Module
        Takes (n, n_channels, height, width), gives (n, 1); lies on the samples' device.
    samples : ResidentSamples
        What it is shown, in this order.
    dtype : torch.dtype or None
        Type that autocast computes in; None for plain float32.
    batch_size : int
        Samples at once.

    Returns
    -------
    Tensor of float32, shape (n_samples,)
    """
    device = samples.rows.device
    network.eval()
    with torch.inference_mode(), autocast(device, dtype):
        parts = [
            network(samples.take(numbers)).squeeze(1).float()
            for numbers in torch.arange(len(samples), device=device).split(batch_size)
        ]
    return torch.cat(parts)
