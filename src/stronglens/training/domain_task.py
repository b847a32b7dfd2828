"""Telling domains apart, learnt beside the label by outputs that are there in training alone."""

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


def take_weights(wide: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network the weights of one with fewer outputs, which are its first; the rest stays as it is."""
    with torch.no_grad():
        for name, own in wide.state_dict().items():
            part = own[: len(weights[name])] if own.ndim else own
            part.copy_(weights[name])


def without_more(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights for a network, from those of one with more outputs, of which its own are the first."""
    own = network.state_dict()
    return {name: tensor[: len(own[name])] if tensor.ndim else tensor for name, tensor in weights.items()}
