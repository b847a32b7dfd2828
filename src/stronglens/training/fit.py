"""Fitting a network to samples: epochs, the best of them, stopping early, going on after an interruption."""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from timm.utils.model_ema import ModelEmaV3
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from stronglens.errors import InputError, StoppedError
from stronglens.networks.compiled import Compile, Forward, compiled, pays
from stronglens.networks.forward import logits_of
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.precision import autocast_dtype, gradient_scaler
from stronglens.settings.train import Precision, TrainSettings
from stronglens.training.epoch import CutEpoch, Learner, run_epoch
from stronglens.training.lens_task import LensTargets
from stronglens.training.schedule import Watch
from stronglens.training.stop_signal import StopSignal

SCORING_BATCH_SIZE = 512


class DivergedError(InputError):
    """The loss is not finite any more: the settings are to blame, not the data."""


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
    """State dicts of the best and the last epoch, and the figures of all.

    `lens_losses` are the training losses of lens parameters, an epoch each; empty where there are none.
    """

    best: dict[str, torch.Tensor]
    last: dict[str, torch.Tensor]
    best_epoch: int
    records: list[EpochRecord]
    lens_losses: list[float]


def score(
    network: nn.Module, samples: LoadedSamples, precision: Precision, forward: Forward | None = None
) -> Scores:
    """Mean loss, accuracy at probability 0.5 and area under the ROC curve, over samples.

    `forward` is the network compiled, if it is, for batches of `SCORING_BATCH_SIZE`.
    """
    dtype = autocast_dtype(samples.rows.device, precision)
    logit = logits_of(network, samples, dtype, SCORING_BATCH_SIZE, forward=forward)
    loss = binary_cross_entropy_with_logits(logit, samples.labels).item()
    label = samples.labels.cpu().numpy().astype(int)
    probs = logit.double().cpu().numpy()
    both = 0 < label.sum() < len(label)
    auc = float(roc_auc_score(label, probs)) if both and np.isfinite(probs).all() else math.nan
    acc = float(((logit > 0).float() == samples.labels).float().mean())
    return Scores(loss, acc, auc)


def fit(
    network: nn.Module,
    train: LoadedSamples,
    val: LoadedSamples,
    settings: TrainSettings,
    seed: int,
    state: dict[str, Any] | None = None,
    after_epoch: Callable[[dict[str, Any]], None] | None = None,
    compile_choice: Compile = "never",
    weights: torch.Tensor | None = None,
    lens: LensTargets | None = None,
) -> FitResult:
    """Train a network; its weights are those of the last step afterwards.

    Where weights are averaged (`ema_decay`), the average is what is scored, and what is best and last.

    Every epoch draws its order, augmentation and dropped paths from generators seeded by (seed, epoch), so it
    does not depend on what was drawn before it. PyTorch's global generators are put back at the end.

    Parameters
    ----------
    network : Module
        Takes (n, n_channels, height, width), gives (n, n_outputs), the logit first; lies on the
        samples' device.
    train, val : ResidentSamples or StreamedSamples
        What is learnt from, and what decides on the best epoch.
    settings : TrainSettings
        How.
    seed : int
        Of all that is random.
    state : dict, optional
        Where to go on: what `after_epoch` was given.
    after_epoch : callable, optional
        Takes a state to save; called after every epoch, and when training has to stop within one.
    compile_choice : {"auto", "always", "graphs", "never"}
        Whether the network is compiled; auto: if all epochs together pay it back.
    weights : Tensor of float32, shape (n_train,), optional
        Weight of each training sample's loss; all alike if not given.
    lens : LensTargets, optional
        Lens parameters of the training samples, learnt by the outputs after the logit. They have no part in
        choosing the best epoch.

    Raises
    ------
    InputError
        There is nothing to learn from, or a class is absent; or batches are of one sample, and the network
        has batch normalisation.
    DivergedError
        The loss is not finite any more.
    StoppedError
        SIGTERM came; the state has been saved.
    """
    _check_classes(train, "training")
    _check_classes(val, "validation")
    log = logging.getLogger("stronglens")
    device = train.rows.device
    dtype = autocast_dtype(device, settings.precision)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
    )
    scaler = gradient_scaler(device, dtype)
    average, scored = _averaged(network, settings)
    watch, records, lens_losses = Watch(), list[EpochRecord](), list[float]()
    best = copy.deepcopy(scored.state_dict())
    if state is not None:
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        scaler.load_state_dict(state["scaler"])
        if average is not None:
            average.module.load_state_dict(state["average"])
        watch = Watch(**state["watch"])
        records = [EpochRecord(**record) for record in state["records"]]
        lens_losses = list(state["lens_losses"])
        best = {name: tensor.to(device) for name, tensor in state["best"].items()}
        log.info("going on after epoch %d", len(records))
    # Decided by all epochs, not by those that are left: a resumed training computes as one that was not cut.
    learning, scoring = (
        _compiled(run, samples, batch_size, settings.epochs, compile_choice, dtype, learn=learn)
        for run, samples, batch_size, learn in (
            (network, train, settings.batch_size, True),
            (scored, val, SCORING_BATCH_SIZE, False),
        )
    )
    learner = Learner(
        network,
        learning,
        optimiser,
        scaler,
        dtype,
        settings,
        seed,
        None if weights is None else weights.to(device),
        average,
        lens,
    )

    def save(moment: dict[str, Any] | None = None) -> None:
        if after_epoch is not None:
            after_epoch(
                {
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "scaler": scaler.state_dict(),
                    "average": None if average is None else average.module.state_dict(),
                    "watch": asdict(watch),
                    "records": [asdict(record) for record in records],
                    "lens_losses": lens_losses,
                    "best": best,
                    "moment": moment,
                }
            )

    moment = None if state is None else state["moment"]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), StopSignal() as stop:
        for epoch in range(len(records), settings.epochs):
            if watch.says_stop(settings):
                log.info("no better for %d epochs: stopped early", watch.n_waited)
                break
            started = time.monotonic()
            result = run_epoch(learner, train, epoch, watch.drops, lambda: stop.requested, moment)
            if isinstance(result, CutEpoch) or (
                (scores := _score_until(stop, scored, val, settings.precision, scoring)) is None
            ):
                save(result.moment)
                raise StoppedError(
                    f"stopped by SIGTERM after {result.done} of epoch {epoch + 1}; the same command goes on "
                    "there"
                )
            moment = None
            record = EpochRecord(
                epoch=epoch + 1,
                train_loss=result.loss,
                train_acc=result.acc,
                val_loss=scores.loss,
                val_acc=scores.acc,
                val_auc=scores.auc,
                lr=result.lr,
            )
            records.append(_finite(record, settings))
            lens_losses += [] if result.lens_loss is None else [result.lens_loss]
            improved = watch.observe(
                settings, epoch + 1, scores.auc if settings.monitor == "auc" else scores.loss
            )
            if improved:
                best = copy.deepcopy(scored.state_dict())
            seconds = time.monotonic() - started
            log.info(
                "epoch %d/%d: train loss %.4f acc %.4f, val loss %.4f acc %.4f auc %.4f, lr %.3g, "
                "%s%.1f s, %.0f images/s%s",
                *(epoch + 1, settings.epochs, *astuple(record)[1:]),
                "" if result.lens_loss is None else f"lens parameters {result.lens_loss:.4f}, ",
                seconds,
                len(train) / seconds,
                " (best)" if improved else "",
            )
            save()
            if stop.requested and epoch + 1 < settings.epochs:
                raise StoppedError(
                    f"stopped by SIGTERM after epoch {epoch + 1}; the same command goes on there"
                )
    return FitResult(best, copy.deepcopy(scored.state_dict()), watch.best_epoch, records, lens_losses)


def _finite(record: EpochRecord, settings: TrainSettings) -> EpochRecord:
    """The record, unless training has diverged."""
    if not (math.isfinite(record.train_loss) and math.isfinite(record.val_loss)):
        raise DivergedError(
            f"epoch {record.epoch}: the loss is {record.train_loss} in training and {record.val_loss} in "
            f"validation; training has diverged: a lower lr (now {settings.lr:g}) or a warm-up may help"
        )
    return record


def _score_until(
    stop: StopSignal, network: nn.Module, samples: LoadedSamples, precision: Precision, forward: Forward
) -> Scores | None:
    """The scores; None if it was to stop before they were there, which may take longer than servers wait."""

    def forward_until(images: torch.Tensor) -> torch.Tensor:
        if stop.requested:
            raise StoppedError
        return forward(images)

    try:
        return score(network, samples, precision, forward_until)
    except StoppedError:
        return None


def _averaged(network: nn.Module, settings: TrainSettings) -> tuple[ModelEmaV3 | None, nn.Module]:
    """The average of the weights, if there is to be one, and the network that is scored."""
    if settings.ema_decay is None:
        return None, network
    average = ModelEmaV3(network, decay=settings.ema_decay, use_warmup=True)
    return average, average.module


def _compiled(
    network: nn.Module,
    samples: LoadedSamples,
    batch_size: int,
    n_epochs: int,
    choice: Compile,
    dtype: torch.dtype | None,
    *,
    learn: bool,
) -> Forward:
    """The network, compiled if there are full batches and compiling them pays."""
    if len(samples) < batch_size or not pays(choice, len(samples) * n_epochs):
        return network
    shape = (batch_size, *samples.image_shape)
    return compiled(network, shape, samples.rows.device, dtype, learn=learn, graphs=choice == "graphs")


def _check_classes(samples: LoadedSamples, split: str) -> None:
    n_lenses = int(samples.labels.sum())
    if not 0 < n_lenses < len(samples):
        raise InputError(
            f"{split} split: expected lenses and non-lenses, found {n_lenses} samples of lenses "
            f"and {len(samples) - n_lenses} of non-lenses"
        )
