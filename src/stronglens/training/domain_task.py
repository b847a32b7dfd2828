"""Telling domains apart, learnt beside the label by outputs that are there in training alone."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from stronglens.running.errors import InputError


@dataclass(frozen=True)
class DomainTargets:
    """What is learnt.

    Attributes
    ----------
    shares : Tensor of float32, shape (n_samples, n_domains)
        1 for the domain of a sample, 0 for the others; 0 for all where it is not known. On the samples'
        device.
    weight : float
        Of the loss, beside that of the label.
    """

    shares: Tensor
    weight: float

    @property
    def n_domains(self) -> int:
        """Domains, and outputs for them."""
        return self.shares.shape[1]

    def loss(self, outputs: Tensor, numbers: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the domains of some samples.

        Parameters
        ----------
        outputs : Tensor of float32, shape (n, n_domains)
            Logarithms of probabilities, up to a constant.
        numbers : Tensor of int64, shape (n,)
            Which samples these are.
        weights : Tensor of float32, shape (n,), optional
            Weight of each sample; all alike if not given.

        Returns
        -------
        total, share : Tensor, scalars
            Sum of the weighted losses of samples whose domain is known, and of their weights.
        """
        # Products, not indices: on a GPU the gradients of those are sums in no order.
        shares = self.shares[numbers]
        if weights is not None:
            shares = shares * weights[:, None]
        return -(shares * outputs.log_softmax(dim=1)).sum(), shares.sum()


def make_domain_targets(
    table: pd.DataFrame, weight: float, device: torch.device, n_unlabelled: int = 0
) -> DomainTargets | None:
    """Domains as something to learn.

    Parameters
    ----------
    table : DataFrame
        A row per training sample: domain.
    weight : float
        Of the loss; 0: there is nothing to learn but the label.
    device : torch.device
        Where the samples lie.
    n_unlabelled : int
        Samples that follow, of no known domain.

    Raises
    ------
    InputError
        All are of one domain.
    """
    if weight == 0:
        return None
    codes, names = pd.factorize(table["domain"], sort=True)
    if len(names) < 2:
        raise InputError(
            "train.domain_weight: expected training samples of two domains or more, found "
            f"{', '.join(names)} alone; leave it out"
        )
    shares = np.zeros((len(table) + n_unlabelled, len(names)), np.float32)
    shares[np.arange(len(table)), codes] = 1
    return DomainTargets(torch.from_numpy(shares).to(device), weight)


def widened(network: nn.Module, n_more: int) -> nn.Module:
    """A copy of a network with more outputs, after its own and zero at first.

    Raises
    ------
    InputError
        Its last layer is not linear: what comes of more rows in it is not known.
    """
    network = copy.deepcopy(network)
    last: nn.Module = network.get_classifier()  # type: ignore[operator] # every network of timm has it
    if not isinstance(last, nn.Linear):
        raise InputError(
            "train.domain_weight: expected a network whose last layer is linear, found "
            f"{type(last).__name__}; leave it out, or take another network"
        )
    last.out_features += n_more
    for name, own in list(last.named_parameters(recurse=False)):
        more = own.new_zeros((n_more, *own.shape[1:]))
        setattr(last, name, nn.Parameter(torch.cat([own.detach(), more])))
    return network


def narrowed(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The state dict of a network, from that of what `widened` made of it."""
    own = network.state_dict()
    return {name: tensor[: len(own[name])] if own[name].ndim else tensor for name, tensor in state.items()}
