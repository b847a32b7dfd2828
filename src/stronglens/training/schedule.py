"""What changes in the course of training: the learning rate, how much is seen of an image, when it ends."""

import math
from dataclasses import dataclass
from typing import Any

from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined] # in its documentation
from torch import nn

from stronglens.running.errors import InputError
from stronglens.settings.train import TrainSettings


def rate_at(settings: TrainSettings, epoch: float, plateau_drops: int = 0) -> float:
    """Learning rate at a moment of training.

    Parameters
    ----------
    settings : TrainSettings
        Schedule, highest rate, floor, warm-up.
    epoch : float
        Epochs since the start, in [0, epochs]; fractions are moments within an epoch.
    plateau_drops : int
        How often a `plateau` schedule has dropped so far.

    Returns
    -------
    float
        Rising linearly over the warm-up, then following the schedule, never below `lr_floor` times `lr`.

    Notes
    -----
    The exponential schedule is the one that falls to the floor over the epochs after the warm-up:
    lr (lr_floor)^t with t from 0 to 1. Cosine: Loshchilov & Hutter (2017), SGDR, eq. 5, without restarts.
    """
    if epoch < settings.warmup_epochs:
        return settings.lr * epoch / settings.warmup_epochs
    since = epoch - settings.warmup_epochs
    t = min(since / (settings.epochs - settings.warmup_epochs), 1.0)
    floor = settings.lr_floor
    match settings.schedule:
        case "cosine":
            factor = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * t))
        case "exponential":
            factor = floor**t
        case "step":
            factor = settings.step_factor ** (since // settings.step_epochs)
        case "plateau":
            factor = settings.plateau_factor**plateau_drops
        case "constant":
            factor = 1.0
    return settings.lr * max(factor, floor)


def side_seen(settings: TrainSettings, epoch: int) -> int | None:
    """Side of the central square that an epoch, from 0 on, sees of training images; None: all of them."""
    return settings.crop_px if epoch < int(settings.crop_share * settings.epochs) else None


@dataclass
class Watch:
    """Follows the monitored figure: the best epoch, when to stop early, when a plateau drops the rate.

    Attributes
    ----------
    best : float or None
        Best value so far; None before the first.
    best_epoch : int
        Its epoch, counted from 1; 0 before the first.
    n_waited : int
        Epochs since then that saw whole images.
    n_bad, n_cooldown, drops : int
        State of the plateau rule: epochs without improvement that count, epochs that still do not count, and
        drops so far.
    """

    best: float | None = None
    best_epoch: int = 0
    n_waited: int = 0
    n_bad: int = 0
    n_cooldown: int = 0
    drops: int = 0

    def observe(self, settings: TrainSettings, epoch: int, value: float) -> bool:
        """Take the monitored value after an epoch, and say whether it is the best so far.

        A NaN is never an improvement. Plateaus follow `torch.optim.lr_scheduler.ReduceLROnPlateau` with an
        absolute threshold of `min_delta`.
        """
        gain = value if settings.monitor == "auc" else -value
        known = None if self.best is None else (self.best if settings.monitor == "auc" else -self.best)
        improved = not math.isnan(gain) if known is None else gain > known + settings.min_delta
        if improved:
            self.best, self.best_epoch, self.n_waited, self.n_bad = value, epoch, 0, 0
        else:
            self.n_waited += side_seen(settings, epoch - 1) is None
            self.n_bad += 1
        if self.n_cooldown > 0:
            self.n_cooldown -= 1
            self.n_bad = 0
        if self.n_bad > settings.plateau_patience:
            self.drops += 1
            self.n_cooldown = settings.plateau_cooldown
            self.n_bad = 0
        return improved

    def patience_is_over(self, settings: TrainSettings) -> bool:
        """Whether patience is over."""
        return settings.patience is not None and self.n_waited >= settings.patience


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
