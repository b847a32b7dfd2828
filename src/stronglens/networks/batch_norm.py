"""Batches for networks with batch normalisation, which cannot learn from one sample."""

import torch
from torch import Tensor, nn

from stronglens.running.errors import InputError


def in_batches(order: Tensor, batch_size: int, network: nn.Module) -> tuple[Tensor, ...]:
    """Cut the samples of an epoch into batches.

    Parameters
    ----------
    order : Tensor of int64, shape (n_samples,)
        The samples.
    batch_size : int
        Samples in a batch; the last has fewer where it does not divide their number.
    network : Module
        What learns from them. For one with batch normalisation, a last batch of a single sample joins the one
        before: with one pixel left in its last layers, a single sample has no variance.

    Raises
    ------
    InputError
        Each batch would be a single sample, and the network has batch normalisation.
    """
    batches = torch.split(order, batch_size)
    if len(batches[-1]) != 1 or not has_batch_norm(network):
        return batches
    if batch_size == 1:
        raise InputError(
            "train.batch_size: expected 2 or more for a network with batch normalisation, which learns from "
            "the differences within a batch, found 1"
        )
    return *batches[:-2], torch.cat(batches[-2:])


def has_batch_norm(network: nn.Module) -> bool:
    """Whether a network in training normalises by the statistics of a batch."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
