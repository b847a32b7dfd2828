"""Training a network: epochs, the best of them, stopping early, going on where it was cut."""

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from stronglens.formats.train_progress import EndedEpoch, ProgressFile, TrainProgress
from stronglens.networks.augment import computes_on_pixels
from stronglens.networks.compiled import Compile, Forward, compiled, worth_compiling
from stronglens.networks.device import LostDeviceError, check_after, compute_a_little
from stronglens.networks.forward import Room
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.precision import autocast_dtype, gradient_scaler, resolved
from stronglens.networks.ways import (
    Candidate,
    ChoiceFile,
    Measured,
    card_of,
    in_words,
)
from stronglens.running.errors import InputError, StoppedError
from stronglens.running.gpu_lock import jobs_per_gpu
from stronglens.running.progress import progress
from stronglens.settings.train import Precision, TrainSettings
from stronglens.training.domain_task import DomainTargets
from stronglens.training.lens_task import LensTargets, mean_of
from stronglens.training.mixing import mixes
from stronglens.training.muon import Muon, matrices_apart
from stronglens.training.resume import StateKeeper
from stronglens.training.schedule import Watch, layer_groups, side_seen
from stronglens.training.step import EpochPlan, Learner, Steps, Sums, WholeSteps, can_be_recorded, unchanged
from stronglens.training.stop_signal import StopSignal
from stronglens.training.validation import Scores, score, scoring_batch_size

log = logging.getLogger(__name__)

WAYS: tuple[Candidate, ...] = (
    Candidate("eager", "eager"),
    Candidate("whole", "the whole step as one CUDA graph", 2.0),
    # Measured: 41 to 71 s, eight at once, beside an H200; 82 and 87 s beside an H100 and other work.
    Candidate("whole_compiled", "the whole step as one CUDA graph, compiled", 60.0),
    Candidate("graphs", "compiled, with CUDA graphs", 60.0, unless="whole_compiled"),
    Candidate("compiled", "compiled", 60.0, unless="graphs"),
)
"""Ways to take a step, in the order in which they are tried."""

N_COMPARED, N_TIMED = 20, 40
"""Steps whose losses, as means so far, are compared with those of the eager way; steps that are timed."""


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
class FitResult:
    """State dicts of the best and the last epoch, the figures of all, and the way or ways steps were taken.

    `lens_losses` are the training losses of lens parameters, an epoch each; empty where there are none.
    """

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    best_epoch: int
    records: list[EpochRecord]
    lens_losses: list[float]
    way: str


class Trainer:
    """Trains a network; its weights are those of the last step afterwards.

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
    compile_choice : str
        How steps are taken: one of `stronglens.networks.compiled.Compile`.
    weights : Tensor of float32, shape (n_train,), optional
        Weight of each training sample's loss; all alike if not given.
    lens : LensTargets, optional
        Lens parameters of the training samples, learnt by the outputs after the logit. They have no part in
        choosing the best epoch.
    choices : Path, optional
        Folder where jobs share what they have measured.
    about : dict of JSON values, optional
        What the network is, as far as its speed depends on it: which choices are shared.
    targets : Tensor of float32, shape (n_train,), optional
        Probability of being a lens that each training sample is to get; its label if not given. Validation
        goes by labels either way.
    domains : DomainTargets, optional
        Domains of the training samples, learnt by the network's last outputs.

    Raises
    ------
    InputError
        There is nothing to learn from, or a class is absent; or batches are of one sample, and the network
        has batch normalisation.
    """

    def __init__(
        self,
        network: nn.Module,
        train: LoadedSamples,
        val: LoadedSamples,
        settings: TrainSettings,
        seed: int,
        compile_choice: Compile = "never",
        weights: Tensor | None = None,
        lens: LensTargets | None = None,
        choices: Path | None = None,
        about: Mapping[str, Any] | None = None,
        targets: Tensor | None = None,
        domains: DomainTargets | None = None,
    ) -> None:
        _check_classes(train, "training")
        _check_classes(val, "validation")
        self.settings, self._train, self._val = settings, train, val
        self._device = device = train.rows.device
        dtype = autocast_dtype(device, settings.precision)
        average = None
        if settings.ema_decay is not None:
            average = ModelEmaV3(network, decay=settings.ema_decay, use_warmup=True)
        self._learner = Learner(
            network,
            _optimiser(network, settings),
            gradient_scaler(device, dtype),
            dtype,
            settings,
            train,
            torch.Generator(device),
            None if weights is None else weights.to(device),
            average,
            lens,
            None if targets is None else targets.to(device),
            domains,
        )
        self._scored = network if average is None else average.module
        self._plan = EpochPlan(self._learner, seed)
        self._sums = Sums(self._plan.n_steps, device)
        self.watch, self.records = Watch(), list[EpochRecord]()
        self.lens_losses, self._seconds = list[float](), list[float]()
        self._best = copy.deepcopy(self._scored.state_dict())
        self._step = 0
        self._drawn: dict[str, Tensor] | None = None
        self._compile_choice, self._way, self._ways_taken = compile_choice, "", list[str]()
        self._stop_signal, self._room = StopSignal(), Room(scoring_batch_size(device))
        self._steps: dict[int | None, Steps] = {}  # by the side that they see
        work = work_of(settings, settings.epochs * self._plan.n_steps) | {
            "precision": resolved(device, settings.precision),
            "learns_lens_parameters": lens is not None,
            "learns_domains": domains is not None,
            "samples": type(train).__name__,
        }
        self._choices = ChoiceFile(choices, card_of(device) | work | dict(about or {}))

    def state_dict(self) -> dict[str, Any]:
        """All that going on needs, at any step: tensors (not copies of them), numbers, strings."""
        learner = self._learner
        return {
            "network": learner.network.state_dict(),
            "optimiser": learner.optimiser.state_dict()["state"],
            "scaler": learner.scaler.state_dict(),
            "average": None if learner.average is None else learner.average.module.state_dict(),
            "watch": asdict(self.watch),
            "records": [asdict(record) for record in self.records],
            "lens_losses": self.lens_losses,
            "seconds": self._seconds,
            "best": self._best,
            "step": self._step,
            "sums": self._sums.state_dict(self._step),
            "drawn": self._generator_states() if self._step else None,
            "way": self._way,
            "ways_taken": self._ways_taken,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, to go on there; before `fit`."""
        learner = self._learner
        learner.network.load_state_dict(state["network"])
        groups = learner.optimiser.state_dict()["param_groups"]
        learner.optimiser.load_state_dict({"state": state["optimiser"], "param_groups": groups})
        learner.scaler.load_state_dict(state["scaler"])
        if learner.average is not None:
            learner.average.module.load_state_dict(state["average"])
        self.watch = Watch(**state["watch"])
        self.records = [EpochRecord(**record) for record in state["records"]]
        self.lens_losses, self._seconds = list(state["lens_losses"]), list(state["seconds"])
        self._best = {name: tensor.to(self._device) for name, tensor in state["best"].items()}
        self._step, self._drawn, self._way = state["step"], state["drawn"], state["way"]
        self._ways_taken = list(state["ways_taken"])
        self._sums.load_state_dict(state["sums"])
        log.info("going on after epoch %d", len(self.records))

    def fit(
        self,
        keeper: StateKeeper | None = None,
        observe: Callable[[Mapping[str, Any]], None] | None = None,
        progress_file: ProgressFile | None = None,
    ) -> FitResult:
        """Train to the end, from wherever it is.

        Parameters
        ----------
        keeper : StateKeeper, optional
            Is offered the state after every step, and has to keep it where training stops or ends.
        observe : callable, optional
            Takes the state after each epoch; what it raises ends the training.
        progress_file : ProgressFile, optional
            Where it is written how far it is.

        Raises
        ------
        DivergedError
            The loss is not finite any more.
        StoppedError
            SIGTERM came; the state has been kept.
        """
        self._keeper, self._progress_file = keeper, progress_file
        self._note_progress(at_once=True)
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), StopSignal() as stop:
            self._stop_signal = stop
            scoring = self._prepare()
            while len(self.records) < self.settings.epochs and not self.watch.patience_is_over(self.settings):
                self._epoch(stop, scoring)
                if observe is not None:
                    observe(self.state_dict())
                ended = len(self.records) == self.settings.epochs
                if keeper is not None and not (ended or stop.requested):
                    keeper.offer(self.state_dict)
                if stop.requested and not ended:
                    self._stop(f"after epoch {len(self.records)}; the same command goes on there")
            if len(self.records) < self.settings.epochs:
                log.info("no better for %d epochs: stopped early", self.watch.n_waited)
            if keeper is not None:
                keeper.keep(self.state_dict())
        last = copy.deepcopy(self._scored.state_dict())
        way = ", then ".join(self._ways_taken)
        return FitResult(self._best, last, self.watch.best_epoch, self.records, self.lens_losses, way)

    def _epoch(self, stop: StopSignal, scoring: Forward) -> None:
        """Go through the running epoch to its end, score the network and note what came of it."""
        number, n_steps = len(self.records) + 1, self._plan.n_steps
        self._plan.fill(number - 1, self.watch.drops)
        steps = self._steps_now()
        started = time.monotonic()
        if self._drawn is not None:
            self._set_generators(self._drawn)
            self._drawn = None
        if stop.requested and self._step < n_steps:
            # A compiler may have been ended with this job: no step is taken in another way for that.
            self._stop(f"before step {self._step + 1} of {n_steps} of epoch {number}; {_GOES_ON}")
        self._learner.network.train()
        left = range(self._step, n_steps)
        for _ in progress(steps.each(left), len(left), f"epoch {number}", "steps"):
            self._step += 1
            if steps.way not in self._ways_taken:
                self._ways_taken.append(steps.way)
            self._note_progress()
            if stop.requested and self._step < n_steps:
                self._stop(f"after {self._step} of {n_steps} steps of epoch {number}; {_GOES_ON}")
            if self._keeper is not None and self._step < n_steps:
                self._keeper.offer(self.state_dict)
        precision = self.settings.precision
        scores = _score_until(stop, self._scored, self._val, precision, scoring, self._room)
        if scores is None:
            self._stop(f"after all steps of epoch {number}; {_GOES_ON}")
        self._end_epoch(scores, time.monotonic() - started)

    def _end_epoch(self, scores: Scores, seconds: float) -> None:
        settings, number = self.settings, len(self.records) + 1
        loss, acc, lens_loss = self._means()
        figures = (scores.loss, scores.acc, scores.auc, self._plan.rates[-1])
        record = _finite(EpochRecord(number, loss, acc, *figures), settings)
        self.records.append(record)
        self._seconds.append(round(seconds, 3))
        self.lens_losses += [] if lens_loss is None else [lens_loss]
        monitored = scores.auc if settings.monitor == "auc" else scores.loss
        improved = self.watch.observe(settings, number, monitored)
        if improved:
            self._best = copy.deepcopy(self._scored.state_dict())
        self._step = 0
        log.info(
            "epoch %d/%d: train loss %.4f acc %.4f, val loss %.4f acc %.4f auc %.4f, lr %.3g, "
            "%s%.1f s, %.0f images/s%s",
            *(number, settings.epochs, *astuple(record)[1:]),
            "" if lens_loss is None else f"lens parameters {lens_loss:.4f}, ",
            seconds,
            len(self._train) / seconds,
            " (best)" if improved else "",
        )
        self._note_progress(at_once=True)

    def _means(self) -> tuple[float, float, float | None]:
        """Mean loss and accuracy over the samples as they were met, and mean loss of lens parameters."""
        sizes = [len(self._plan.numbers(step)) for step in range(self._plan.n_steps)]
        # One after the other, in double precision: the last bits do not depend on where an epoch was cut.
        loss = 0.0
        for of_step, size in zip(self._sums.losses.tolist(), sizes, strict=True):
            loss += of_step * size
        acc = int(self._sums.n_right.sum()) / len(self._train)
        if self._learner.lens is None:
            return loss / len(self._train), acc, None
        total, share = 0.0, 0.0
        for of_step, its_share in self._sums.lens.tolist():
            total, share = total + of_step, share + its_share
        mean = mean_of(*torch.tensor([total, share], dtype=torch.float64)).item()
        return loss / len(self._train), acc, mean

    def _stop(self, state: str) -> NoReturn:
        if self._keeper is not None:
            self._keeper.keep(self.state_dict())
        raise StoppedError(f"stopped by SIGTERM {state}")

    def _note_progress(self, *, at_once: bool = False) -> None:
        if self._progress_file is None:
            return
        if at_once or self._progress_file.due:
            epochs = [
                EndedEpoch(val_auc=None if math.isnan(record.val_auc) else record.val_auc, seconds=seconds)
                for record, seconds in zip(self.records, self._seconds, strict=True)
            ]
            self._progress_file.write(
                TrainProgress(
                    n_epochs=self.settings.epochs,
                    epochs=epochs,
                    step=self._step,
                    n_steps=self._plan.n_steps,
                )
            )

    def _generator_states(self) -> dict[str, Tensor]:
        states = {"own": self._learner.generator.get_state(), "global": torch.get_rng_state()}
        on_gpu = self._device.type == "cuda"
        return states | ({"cuda": torch.cuda.get_rng_state(self._device)} if on_gpu else {})

    def _set_generators(self, states: Mapping[str, Tensor]) -> None:
        self._learner.generator.set_state(states["own"])
        torch.set_rng_state(states["global"])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], self._device)

    def _prepare(self) -> Forward:
        """Decide how steps are taken, and how the network is scored."""
        if not self._way:
            self._way, steps = self._chosen()
            if steps is not None:
                self._steps = {self._plan.side_px: steps}
        scoring: Forward = self._scored
        # On an H200 nano scores 150,000 images in 0.8 s, eager, in batches of 2,048. To compile takes
        # about as long as it would save in 80 epochs.
        if self._worth_compiling(self._val, learn=False):
            size, graphs = scoring_batch_size(self._device), self._way == "graphs"
            scoring = self._compiled(self._scored, self._val, size, learn=False, graphs=graphs)
        return scoring

    def _steps_now(self) -> Steps:
        """The steps of the running epoch."""
        side = self._plan.side_px
        if side not in self._steps:
            self._steps = {side: self._made(self._way)}
        return self._steps[side]

    def _chosen(self) -> tuple[str, Steps | None]:
        """The way that is demanded, or the fastest: by estimate on a CPU, by measuring on a GPU."""
        n_whole, choice = self._plan.n_whole, self._compile_choice
        if n_whole == 0:
            return "eager", None
        if choice != "auto":
            return {"never": "eager", "always": "compiled"}.get(choice, choice), None
        if self._device.type == "cpu":
            return "compiled" if self._worth_compiling(self._train, learn=True) else "eager", None
        if self.settings.deterministic or self.settings.epochs * n_whole < 10 * (N_COMPARED + N_TIMED):
            return "eager", None
        if way := self._choices.read():
            log.info("steps are taken as other jobs have found to be fastest here: %s", _words(way))
            return way, None
        return self._measured()

    def _worth_compiling(self, samples: LoadedSamples, *, learn: bool) -> bool:
        # By all epochs, not by those that are left: a resumed training computes as one that was not cut.
        n_shown = len(samples) * self.settings.epochs
        if learn and self.settings.crop_px is not None:
            n_shown //= 2  # it is compiled twice
        network = self._learner.network
        return worth_compiling(self._compile_choice, network, samples.image_shape, n_shown, learn=learn)

    def _measured(self) -> tuple[str, Steps | None]:
        """The fastest way by measuring, and its steps."""
        epochs = range(len(self.records), self.settings.epochs)
        n_steps = len(epochs) * self._plan.n_steps
        # Steps that see another part of the images are set up anew.
        n_setups = len({side_seen(self.settings, epoch) for epoch in epochs})
        candidates = [
            replace(one, setup_s=n_setups * one.setup_s)
            for one in WAYS
            if "whole" not in one.name or can_be_recorded(self._learner)
        ]
        made: dict[str, Steps] = {}
        least_s = math.inf

        def measure(way: str) -> Measured:
            nonlocal least_s
            try:
                found, steps = self.measure(way)
            except LostDeviceError:
                raise
            except Exception:
                self._stop_before_steps()  # what was asked to end may have failed for it
                raise
            self._stop_before_steps()
            found = replace(found, setup_s=n_setups * found.setup_s)
            if found.cost_s(n_steps) < least_s:
                # Of the others none is kept: a recorded step holds all memory that it needs.
                least_s = found.cost_s(n_steps)
                made.clear()
                made[way] = steps
            return found

        choice = self._choices.choose(candidates, measure, n_steps)
        log.info("%s", in_words(choice, candidates, "images", self.settings.batch_size))
        way = self._choices.keep(choice) if choice.had_room else choice.name
        return way, made.get(way)

    def _stop_before_steps(self) -> None:
        if self._stop_signal.requested:
            raise StoppedError("stopped by SIGTERM before the first step; the same command begins anew")

    def measure(self, way: str) -> tuple[Measured, Steps]:
        """Try a way, and give what was found and its steps; weights, optimiser, generators stay as they are.

        Raises
        ------
        LostDeviceError
            The GPU does not answer any more.
        Exception
            The way does not work here.
        """
        try:
            with unchanged(self._learner, self._sums):
                return self._measure(way)
        except Exception as error:
            check_after(error, self._device, compute_a_little)
            raise

    def _measure(self, way: str) -> tuple[Measured, Steps]:
        settings, n_whole = self.settings, self._plan.n_whole
        started = time.monotonic()
        steps = self._made(way, strict=True)
        self._plan.fill(0, 0)
        self._learner.network.train()
        n_compared = min(N_COMPARED, n_whole)
        for _ in steps.each(range(n_compared)):
            pass
        losses = self._sums.losses[:n_compared].tolist()  # waits for the device
        means = [sum(losses[:n]) / n for n in range(1, n_compared + 1)]
        setup_s = time.monotonic() - started
        left = settings.epochs * self._plan.n_steps
        n_timed = min(N_TIMED, left)
        started = time.monotonic()
        for first in range(0, n_timed, n_whole):
            for _ in steps.each(range(min(n_whole, n_timed - first))):
                pass
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        if steps.way != way:
            raise RuntimeError(f"steps were taken otherwise: {_words(steps.way)}")
        return Measured(setup_s, (time.monotonic() - started) / n_timed, means), steps

    def _made(self, way: str, *, strict: bool = False) -> Steps:
        """The steps of a way; where the network cannot be compiled it runs as it is, or `strict`: raises."""
        network = self._learner.network
        forward: Forward = network
        if way in ("compiled", "graphs", "whole_compiled"):
            forward = self._compiled(
                network, self._train, self.settings.batch_size, learn=True, graphs=way == "graphs"
            )
            if strict and forward is network:
                raise RuntimeError("the network cannot be compiled here")
        parts = self._learner, self._plan, self._sums, forward
        return WholeSteps(*parts, strict=strict) if way.startswith("whole") else Steps(*parts, way)

    def _compiled(
        self, network: nn.Module, samples: LoadedSamples, size: int, *, learn: bool, graphs: bool = False
    ) -> Forward:
        if len(samples) < size:
            return network
        channels, *sides = samples.image_shape
        seen = self._plan.side_px if learn else None
        shape = (size, channels, *(sides if seen is None else (seen, seen)))
        return compiled(network, shape, self._device, self._learner.dtype, learn=learn, graphs=graphs)


def work_of(settings: TrainSettings, n_steps: int) -> dict[str, Any]:
    """What of settings the costs of so many steps depend on, beside the precision: whose jobs share a choice.

    Their number is given to a factor of two.
    """
    return {
        "batch_size": settings.batch_size,
        "crop_px": settings.crop_px,
        "n_steps_below_2_to": n_steps.bit_length(),
        "optimiser": settings.optimiser,
        "in_layers": settings.layer_decay is not None,
        "computes_on_pixels": computes_on_pixels(settings),
        "clipped": settings.clip_grad_norm is not None,
        "mixed": mixes(settings),
        "averaged": settings.ema_decay is not None,
        "jobs_on_the_card": jobs_per_gpu(),
    }


_GOES_ON = "the same command goes on there"


def _words(way: str) -> str:
    return next((one.words for one in WAYS if one.name == way), way)


def _finite(record: EpochRecord, settings: TrainSettings) -> EpochRecord:
    """The record, unless training has diverged."""
    if not (math.isfinite(record.train_loss) and math.isfinite(record.val_loss)):
        raise DivergedError(
            f"epoch {record.epoch}: the loss is {record.train_loss} in training and {record.val_loss} in "
            f"validation; training has diverged: a lower lr (now {settings.lr:g}) or a warm-up may help"
        )
    return record


def _score_until(
    stop: StopSignal,
    network: nn.Module,
    samples: LoadedSamples,
    precision: Precision,
    forward: Forward,
    room: Room,
) -> Scores | None:
    """The scores; None if it was to stop before they were there, which may take longer than servers wait."""

    def forward_until(images: Tensor) -> Tensor:
        if stop.requested:
            raise StoppedError
        return forward(images)

    try:
        return score(network, samples, precision, forward_until, room)
    except StoppedError:
        return None


def _optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    groups = layer_groups(network, settings.layer_decay)
    if settings.optimiser == "muon":
        return Muon(matrices_apart(network, groups), settings.lr, settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def _check_classes(samples: LoadedSamples, split: str) -> None:
    n_lenses = int(samples.labels.sum())
    if not 0 < n_lenses < len(samples):
        raise InputError(
            f"{split} split: expected lenses and non-lenses, found {n_lenses} samples of lenses "
            f"and {len(samples) - n_lenses} of non-lenses"
        )
