"""Fitting a network to samples: epochs, the best of them, stopping early, going on after an interruption."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from stronglens.errors import InputError
from stronglens.networks.augment import augment
from stronglens.networks.device import arithmetic, autocast
from stronglens.networks.forward import logits_of
from stronglens.networks.resident import ResidentSamples
from stronglens.progress import progress
from stronglens.settings.train import TrainSettings
from stronglens.training.schedule import Watch, rate_at

SCORING_BATCH_SIZE = 512


@dataclass(frozen=True)
class EpochRecord:
    """A line of `training_log.csv`; losses are mean binary cross-entropies, accuracies at probability 0.5."""

    epoch: int
    train_loss: float
    train_acc: float
    val_loss: float
    val_acc: float
    val_auc: float
    lr: float


@dataclass(frozen=True)
class Scores:
    """Figures of a network on samples; `auc` is NaN where there is only one class."""

    loss: float
    acc: float
    auc: float


@dataclass(frozen=True)
class FitResult:
    """State dicts of the best and the last epoch, and the figures of all."""

    best: dict[str, torch.Tensor]
    last: dict[str, torch.Tensor]
    best_epoch: int
    records: list[EpochRecord]


def score(network: nn.Module, samples: ResidentSamples, precision: str) -> Scores:
    """Mean loss, accuracy at probability 0.5 and area under the ROC curve, over samples."""
    dtype = arithmetic(samples.rows.device, precision)
    logit = logits_of(network, samples, dtype, SCORING_BATCH_SIZE)
    loss = binary_cross_entropy_with_logits(logit, samples.labels).item()
    label = samples.labels.cpu().numpy().astype(int)
    probs = logit.double().cpu().numpy()
    both = 0 < label.sum() < len(label)
    auc = float(roc_auc_score(label, probs)) if both and np.isfinite(probs).all() else math.nan
    acc = float(((logit > 0).float() == samples.labels).float().mean())
    return Scores(loss, acc, auc)


def fit(
    network: nn.Module,
    train: ResidentSamples,
    val: ResidentSamples,
    settings: TrainSettings,
    seed: int,
    state: dict[str, Any] | None = None,
    after_epoch: Callable[[dict[str, Any], list[EpochRecord]], None] | None = None,
) -> FitResult:
    """Train a network; the weights are those of the last epoch afterwards.

    Every epoch draws its order, augmentation and dropped paths from generators seeded by (seed, epoch). So
    an epoch does not depend on what was drawn before it, and a resumed training needs no random state.
    PyTorch's global generators are seeded too, since dropped paths come from there, and put back at the end.

    Parameters
    ----------
    network : Module
        Takes (n, n_channels, height, width), gives (n, 1) logits; lies on the samples' device.
    train, val : ResidentSamples
        What is learnt from, and what decides on the best epoch.
    settings : TrainSettings
        How.
    seed : int
        Of all that is random.
    state : dict, optional
        Where to go on: what `after_epoch` was given.
    after_epoch : callable, optional
        Takes a state to save and the records so far.

    Raises
    ------
    InputError
        There is nothing to learn from, a class is absent, or the loss is not finite any more.
    """
    _check_classes(train, "training")
    _check_classes(val, "validation")
    log = logging.getLogger("stronglens")
    device = train.rows.device
    dtype = arithmetic(device, settings.precision)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
    )
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    watch, records, best = Watch(), list[EpochRecord](), copy.deepcopy(network.state_dict())
    if state is not None:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        scaler.load_state_dict(state["scaler"])
        watch = Watch(**state["watch"])
        records = [EpochRecord(**record) for record in state["records"]]
        best = {name: tensor.to(device) for name, tensor in state["best"].items()}
        log.info("going on after epoch %d", len(records))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for epoch in range(len(records), settings.epochs):
            if watch.says_stop(settings):
                log.info("no better for %d epochs: stopped early", watch.n_waited)
                break
            started = time.monotonic()
            generator = _seed_epoch(seed, epoch, device)
            loss, acc, lr = _run_epoch(
                network, train, settings, optimiser, scaler, dtype, generator, epoch, watch.drops
            )
            scores = score(network, val, settings.precision)
            record = EpochRecord(epoch + 1, loss, acc, scores.loss, scores.acc, scores.auc, lr)
            if not (math.isfinite(loss) and math.isfinite(scores.loss)):
                raise InputError(
                    f"epoch {epoch + 1}: the loss is {loss} in training and {scores.loss} in validation; "
                    f"training has diverged: a lower lr (now {settings.lr:g}) or a warm-up may help"
                )
            records.append(record)
            improved = watch.observe(
                settings, epoch + 1, scores.auc if settings.monitor == "auc" else scores.loss
            )
            if improved:
                best = copy.deepcopy(network.state_dict())
            seconds = time.monotonic() - started
            log.info(
                "epoch %d/%d: train loss %.4f acc %.4f, val loss %.4f acc %.4f auc %.4f, lr %.3g, "
                "%.1f s, %.0f images/s%s",
                *(epoch + 1, settings.epochs, loss, acc, scores.loss, scores.acc, scores.auc, lr),
                *(seconds, len(train) / seconds, " (best)" if improved else ""),
            )
            if after_epoch is not None:
                after_epoch(
                    {
                        "network": network.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "scaler": scaler.state_dict(),
                        "watch": asdict(watch),
                        "records": [asdict(record) for record in records],
                        "best": best,
                    },
                    records,
                )
    return FitResult(best, copy.deepcopy(network.state_dict()), watch.best_epoch, records)


def _run_epoch(
    network: nn.Module,
    train: ResidentSamples,
    settings: TrainSettings,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    dtype: torch.dtype | None,
    generator: torch.Generator,
    epoch: int,
    plateau_drops: int,
) -> tuple[float, float, float]:
    """One pass over the training samples: mean loss, accuracy, and the last learning rate."""
    device = train.rows.device
    order = torch.randperm(len(train), generator=generator, device=device)
    batches = torch.split(order, settings.batch_size)
    # Sums stay on the device: reading them every step would make a GPU wait for the CPU.
    loss_sum = torch.zeros((), device=device, dtype=torch.float64)
    n_right = torch.zeros((), device=device, dtype=torch.int64)
    lr = settings.lr
    network.train()
    for step, numbers in enumerate(_shown(batches, epoch)):
        lr = rate_at(settings, epoch + step / len(batches), plateau_drops)
        for group in optimiser.param_groups:
            group["lr"] = lr
        images = augment(train.take(numbers), settings, generator)
        labels = train.labels[numbers]
        with autocast(device, dtype):
            logit = network(images).squeeze(1).float()
        loss = binary_cross_entropy_with_logits(logit, labels)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()
        loss_sum += loss.detach().double() * len(numbers)
        n_right += ((logit.detach() > 0).float() == labels).sum()
    return loss_sum.item() / len(train), n_right.item() / len(train), lr


def _shown(batches: tuple[torch.Tensor, ...], epoch: int) -> Iterator[torch.Tensor]:
    return progress(batches, len(batches), f"epoch {epoch + 1}", "steps")


def _seed_epoch(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    own, shared = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64) >> np.uint64(1)
    torch.manual_seed(int(shared))
    return torch.Generator(device).manual_seed(int(own))


def _check_classes(samples: ResidentSamples, split: str) -> None:
    n_lenses = int(samples.labels.sum())
    if not 0 < n_lenses < len(samples):
        raise InputError(
            f"{split} split: expected lenses and non-lenses, found {n_lenses} samples of lenses "
            f"and {len(samples) - n_lenses} of non-lenses"
        )
