"""One pass over the training samples, which can be cut between two steps and gone on with later."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from stronglens.networks.augment import augment
from stronglens.networks.batch_norm import in_batches
from stronglens.networks.compiled import Forward
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.precision import autocast
from stronglens.progress import progress
from stronglens.settings.train import TrainSettings
from stronglens.training.lens_task import LensTargets, mean_of
from stronglens.training.mixing import mix, mixes
from stronglens.training.schedule import rate_at


@dataclass(frozen=True)
class Learner:
    """What an epoch changes, and how.

    Attributes
    ----------
    network : Module
        What learns.
    forward : callable
        The network, compiled if it is.
    optimiser : Optimizer
        Of its parameters.
    scaler : GradScaler
        Does nothing unless `dtype` is float16.
    dtype : torch.dtype or None
        See `stronglens.networks.precision.autocast`.
    settings : TrainSettings
        Batches, learning rates, augmentation.
    seed : int
        With the epoch's number the seed of all that is random in it.
    weights : Tensor of float32, shape (n_samples,), optional
        Weight of each training sample's loss, on the device; all alike if not given.
    average : ModelEmaV3, optional
        Follows the weights of the network, step by step.
    lens : LensTargets, optional
        Lens parameters that are learnt beside the label.
    """

    network: nn.Module
    forward: Forward
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    dtype: torch.dtype | None
    settings: TrainSettings
    seed: int
    weights: Tensor | None = None
    average: ModelEmaV3 | None = None
    lens: LensTargets | None = None


@dataclass(frozen=True)
class EpochResult:
    """Mean loss and accuracy over the samples as they were met, and the last learning rate.

    The loss is the one that is learnt from, with weights and smoothed labels; a mixed image has the label of
    its larger share. `lens_loss` is that of lens parameters, without their weight; None where there are none.
    """

    loss: float
    acc: float
    lr: float
    lens_loss: float | None = None

    @property
    def moment(self) -> dict[str, Any]:
        """For `run_epoch`, to give this result again."""
        return {"result": asdict(self)}

    @property
    def done(self) -> str:
        """How far it came, in words."""
        return "all steps"


@dataclass(frozen=True)
class CutEpoch:
    """An epoch that was cut: for `run_epoch`, to go on.

    Attributes
    ----------
    moment : dict
        Steps done, sums so far, states of the generators; tensors and numbers.
    n_steps : int
        Steps of the whole epoch.
    """

    moment: dict[str, Any]
    n_steps: int

    @property
    def done(self) -> str:
        """How far it came, in words."""
        return f"{self.moment['step']} of {self.n_steps} steps"


def run_epoch(
    learner: Learner,
    train: LoadedSamples,
    epoch: int,
    plateau_drops: int = 0,
    says_stop: Callable[[], bool] = lambda: False,
    moment: dict[str, Any] | None = None,
) -> EpochResult | CutEpoch:
    """Show the network every sample once.

    PyTorch's global generators are seeded, since dropped paths come from there.

    Parameters
    ----------
    learner : Learner
        What learns, and how.
    train : ResidentSamples or StreamedSamples
        What it learns from.
    epoch : int
        Number of the epoch, from 0.
    plateau_drops : int
        See `stronglens.training.schedule.rate_at`.
    says_stop : callable
        Asked after every step: whether to stop there.
    moment : dict, optional
        Where to go on: of what was returned for this epoch, with the network and the optimiser as they were
        then.

    Returns
    -------
    EpochResult or CutEpoch
        The latter if it was to stop before the end.

    Raises
    ------
    InputError
        See `stronglens.networks.batch_norm.in_batches`.
    """
    if moment is not None and "result" in moment:
        return EpochResult(**moment["result"])
    settings, device = learner.settings, train.rows.device
    generator = _seed_epoch(learner.seed, epoch, device)
    order = torch.randperm(len(train), generator=generator, device=device)
    batches = in_batches(order, settings.batch_size, learner.network)
    sums = _Sums()
    first = 0
    if moment is not None:
        first = moment["step"]
        sums.go_on(moment)
        _set_generators(generator, device, moment)
    lr = settings.lr
    learner.network.train()
    turns = zip(_shown(batches[first:], epoch), train.in_turn(batches[first:]), strict=True)
    for step, (numbers, taken) in enumerate(turns, start=first):
        lr = rate_at(settings, epoch + step / len(batches), plateau_drops)
        for group in learner.optimiser.param_groups:
            group["lr"] = lr
        images = augment(taken, settings, generator)
        labels = train.labels[numbers]
        targets, weights = labels, None if learner.weights is None else learner.weights[numbers]
        if settings.label_smoothing > 0:
            targets = labels * (1 - settings.label_smoothing) + settings.label_smoothing / 2
        if mixes(settings):
            # Of this step alone: a training that goes on within an epoch needs no state for it.
            chance = np.random.default_rng([learner.seed, epoch, step, 1])
            images, targets, weights = mix(images, targets, weights, settings, chance)
            labels = (targets > 0.5).float()
        with autocast(device, learner.dtype):
            outputs = learner.forward(images).float()
        logit = outputs[:, 0]
        loss = learnt = binary_cross_entropy_with_logits(logit, targets, weights)
        lens_loss = None
        if learner.lens is not None:
            lens_loss = learner.lens.loss(outputs[:, 1:], numbers, weights)
            learnt = loss + learner.lens.weight * mean_of(*lens_loss)
        learner.optimiser.zero_grad(set_to_none=True)
        learner.scaler.scale(learnt).backward()  # type: ignore[no-untyped-call]
        if settings.clip_grad_norm is not None:
            learner.scaler.unscale_(learner.optimiser)
            nn.utils.clip_grad_norm_(learner.network.parameters(), settings.clip_grad_norm)
        learner.scaler.step(learner.optimiser)
        learner.scaler.update()
        if learner.average is not None:
            learner.average.update(learner.network, epoch * len(batches) + step + 1)
        sums.add(loss, logit, labels, lens_loss)
        if says_stop() and step + 1 < len(batches):
            reached = {"step": step + 1, **sums.so_far(), **_generator_states(generator, device)}
            return CutEpoch(reached, len(batches))
    whole = sums.so_far()
    of_lenses = None if learner.lens is None else mean_of(*whole["lens"]).item()
    return EpochResult(whole["loss"].item() / len(train), whole["n_right"].item() / len(train), lr, of_lenses)


class _Sums:
    """Sums over the steps of an epoch.

    A step leaves what it found on the device: to read it there would make a GPU wait for the CPU, and to add
    it up there takes longer to start than to do.
    """

    def __init__(self) -> None:
        self._loss, self._n_right, self._lens = 0.0, 0, [0.0, 0.0]
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []
        self._of_lenses: list[Tensor] = []

    def add(
        self, loss: Tensor, logit: Tensor, labels: Tensor, lens_loss: tuple[Tensor, Tensor] | None
    ) -> None:
        """Add a step: its mean loss; logits and labels, shape (n,); what `LensTargets.loss` gave."""
        self._steps.append((loss.detach(), logit.detach(), labels))
        if lens_loss is not None:
            self._of_lenses += [part.detach() for part in lens_loss]

    def so_far(self) -> dict[str, Tensor]:
        """What `go_on` needs: sums of the loss over images, of right answers, of the lens losses."""
        self._add_up()
        return {
            "loss": torch.tensor(self._loss, dtype=torch.float64),
            "n_right": torch.tensor(self._n_right),
            "lens": torch.tensor(self._lens, dtype=torch.float64),
        }

    def go_on(self, moment: dict[str, Any]) -> None:
        self._loss, self._n_right = moment["loss"].item(), moment["n_right"].item()
        self._lens = moment["lens"].tolist()

    def _add_up(self) -> None:
        if not self._steps:
            return
        losses, logits, labels = zip(*self._steps, strict=True)
        # One after the other, so that an epoch that was cut gives the same last bits as a whole one.
        for loss, of_step in zip(torch.stack(losses).tolist(), labels, strict=True):
            self._loss += loss * len(of_step)
        self._n_right += int(((torch.cat(logits) > 0).float() == torch.cat(labels)).sum())
        if self._of_lenses:
            for pair in torch.stack(self._of_lenses).view(-1, 2).tolist():
                self._lens = [total + new for total, new in zip(self._lens, pair, strict=True)]
        self._steps, self._of_lenses = [], []


def _shown(batches: tuple[Tensor, ...], epoch: int) -> Iterator[Tensor]:
    return progress(batches, len(batches), f"epoch {epoch + 1}", "steps")


def _seed_epoch(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    own, shared = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64) >> np.uint64(1)
    torch.manual_seed(int(shared))
    return torch.Generator(device).manual_seed(int(own))


def _generator_states(generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
    states = {"own": generator.get_state(), "global": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _set_generators(generator: torch.Generator, device: torch.device, states: dict[str, Any]) -> None:
    generator.set_state(states["own"])
    torch.set_rng_state(states["global"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
