"""Learning rates that fall from the last layer to the first, for networks that others have trained."""

from typing import Any

from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined] # in its documentation
from torch import nn

from stronglens.running.errors import InputError


def layer_groups(network: nn.Module, decay: float | None) -> list[dict[str, Any]]:
    """Parameters of a network in groups for an optimiser.

    Parameters
    ----------
    network : Module
        As `stronglens.networks.network.build_network` makes it.
    decay : float or None
        Rate of each layer relative to that of the layer after it, from 0 to 1; None: one rate for all.

    Returns
    -------
    list of dict
        `params`, and `lr_scale`, by which the learning rate of the group is to be multiplied: 1 for the head.

    Raises
    ------
    InputError
        timm does not say what the layers of the network are.
    """
    if decay is None:
        return [{"params": list(network.parameters())}]
    if not hasattr(network, "group_matcher"):
        raise InputError(
            f"train.layer_decay: timm does not say what the layers of {type(network).__name__} are; "
            "leave it out"
        )
    return [
        {"params": group["params"], "lr_scale": group["lr_scale"]}
        for group in param_groups_layer_decay(network, layer_decay=decay, weight_decay_exclude_1d=False)
    ]
