"""How well a network does on samples: loss, accuracy, area under the ROC curve, all found on the device."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from stronglens.networks.compiled import Forward
from stronglens.networks.forward import Room, logits_of
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.precision import autocast_dtype
from stronglens.settings.train import Precision

SCORING_BATCH_SIZE, SCORING_BATCH_SIZE_ON_GPU = 512, 4096
"""Measured: H100, convnextv2_nano, eager: batches of 512 24,000 images/s, of 2048 89,000, of 8192 148,000."""


@dataclass(frozen=True)
class Scores:
    """Figures of a network on samples; `auc` is NaN where there is only one class."""

    loss: float
    acc: float
    auc: float


def scoring_batch_size(device: torch.device) -> int:
    """Samples that are scored at once."""
    return SCORING_BATCH_SIZE if device.type == "cpu" else SCORING_BATCH_SIZE_ON_GPU


def score(
    network: nn.Module,
    samples: LoadedSamples,
    precision: Precision,
    forward: Forward | None = None,
    room: Room | None = None,
) -> Scores:
    """Mean loss, accuracy at probability 0.5 and area under the ROC curve, over samples.

    `forward` is the network compiled, if it is, for batches of `scoring_batch_size`; for `room` see
    `stronglens.networks.forward.outputs_of`.
    """
    device = samples.rows.device
    dtype = autocast_dtype(device, precision)
    logit = logits_of(network, samples, dtype, scoring_batch_size(device), forward=forward, room=room)
    loss = binary_cross_entropy_with_logits(logit, samples.labels)
    acc = ((logit > 0).float() == samples.labels).float().mean()
    # Read once, at the very end: a GPU is not waited for in between.
    return Scores(*torch.stack([loss.double(), acc.double(), roc_auc(logit, samples.labels)]).tolist())


def roc_auc(scores: Tensor, labels: Tensor) -> Tensor:
    """Area under the ROC curve: the chance that a lens scores higher than a non-lens, ties counting half.

    Counted in integers, so that it is exact, and without asking the device for anything.

    Parameters
    ----------
    scores : Tensor of float32, shape (n,)
        Higher where a lens is more likely.
    labels : Tensor of float32, shape (n,)
        1 lens, 0 none.

    Returns
    -------
    Tensor of float64, scalar
        NaN where there is only one class, or where a score is not finite.
    """
    ranked, order = scores.sort()
    lens = labels[order] > 0.5
    negatives_before = torch.cat([lens.new_zeros(1, dtype=torch.int64), (~lens).cumsum(0)])
    first = torch.searchsorted(ranked, ranked)
    end = torch.searchsorted(ranked, ranked, right=True)
    # Twice the negatives below a lens and once those beside it, over all lenses.
    pairs_won = ((negatives_before[first] + negatives_before[end]) * lens).sum()
    n_lenses = lens.sum()
    n_pairs = n_lenses * (len(scores) - n_lenses)
    known = (n_pairs > 0) & scores.isfinite().all()
    return torch.where(known, pairs_won.double() / (2 * n_pairs).double(), math.nan)
