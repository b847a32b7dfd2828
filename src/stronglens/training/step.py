"""One step of learning, and the ways to run it: one by one, or whole as one CUDA graph.

A step is a function of tensors that lie on the device, and of nothing else: which samples, what is mixed,
where its figures go. What is decided before an epoch (order, learning rates, mixing) is laid there by
`EpochPlan`.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from stronglens.networks.augment import augment, centre
from stronglens.networks.batch_norm import in_batches
from stronglens.networks.compiled import Forward, runs_compiled
from stronglens.networks.device import check_after, compute_a_little, first_line, sent
from stronglens.networks.loaded import LoadedSamples
from stronglens.networks.precision import autocast
from stronglens.networks.resident import ResidentSamples
from stronglens.settings.train import TrainSettings
from stronglens.training.domain_task import DomainTargets
from stronglens.training.lens_task import LensTargets, mean_of
from stronglens.training.mixing import Mixing, draw_mixing, mix, mixes
from stronglens.training.schedule import rate_at, side_seen

log = logging.getLogger(__name__)

QUEUED = 16
"""Steps whose end is waited for at once, while as many have been given to the GPU after them: it never waits,
and what must wait for it, as a signal to stop does, waits for few of them."""

N_WARM_UP = 3
"""Steps before a step is recorded: what is made on first use (kernels, states, workspaces) must be there."""


@dataclass(frozen=True)
class Learner:
    """What a step changes, and how.

    Attributes
    ----------
    network : Module
        What learns.
    optimiser : Optimizer
        Of its parameters.
    scaler : GradScaler
        Does nothing unless `dtype` is float16.
    dtype : torch.dtype or None
        See `stronglens.networks.precision.autocast`.
    settings : TrainSettings
        Batches, learning rates, augmentation.
    samples : ResidentSamples or StreamedSamples
        What is learnt from.
    generator : torch.Generator
        Of order and augmentation, on the samples' device; dropped paths come from PyTorch's global ones.
    weights : Tensor of float32, shape (n_samples,), optional
        Weight of each training sample's loss, on the device; all alike if not given.
    average : ModelEmaV3, optional
        Follows the weights of the network, step by step.
    lens : LensTargets, optional
        Lens parameters that are learnt beside the label.
    targets : Tensor of float32, shape (n_samples,), optional
        Probability of being a lens that each training sample is to get, on the device; if not given, its
        label.
    domains : DomainTargets, optional
        Domains that are learnt beside the label, by the network's last outputs.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    dtype: torch.dtype | None
    settings: TrainSettings
    samples: LoadedSamples
    generator: torch.Generator
    weights: Tensor | None = None
    average: ModelEmaV3 | None = None
    lens: LensTargets | None = None
    targets: Tensor | None = None
    domains: DomainTargets | None = None

    @property
    def device(self) -> torch.device:
        """Where all of it lies."""
        return self.samples.rows.device


@dataclass(frozen=True)
class Turn:
    """What a step is about.

    Attributes
    ----------
    numbers : Tensor of int64, shape (n,)
        Which samples.
    step : Tensor of int64, shape (1,)
        Which step of the epoch: where its figures go.
    share : float, or Tensor of float32, scalar
        Of the new weights in their average.
    mixing : Mixing or None
        How images are mixed.
    side_px : int or None
        Side of the central square that is seen of them; None: all of them.
    """

    numbers: Tensor
    step: Tensor
    share: float | Tensor
    mixing: Mixing | None
    side_px: int | None = None


class EpochPlan:
    """What is decided before an epoch, on the device: order, learning rates, averaging, mixing.

    `fill` writes to the same tensors each time, since recorded steps read from where they lay.

    Parameters
    ----------
    learner : Learner
        Whose epochs.
    seed : int
        With the epoch's number the seed of all that is random in it.

    Attributes
    ----------
    side_px : int or None
        Side of the central square that is seen of each image; None: all of it. Steps that were recorded, or
        compiled, with another are of no use.

    Raises
    ------
    InputError
        See `stronglens.networks.batch_norm.in_batches`.
    """

    def __init__(self, learner: Learner, seed: int) -> None:
        n, device = len(learner.samples), learner.device
        self._learner, self._seed, self._batch_size = learner, seed, learner.settings.batch_size
        self._sizes = [len(batch) for batch in in_batches(torch.arange(n), self._batch_size, learner.network)]
        self.n_steps, self.n_whole = len(self._sizes), self._sizes.count(self._batch_size)
        self._order = torch.zeros(n, dtype=torch.int64, device=device)
        self._steps = torch.arange(self.n_steps, device=device)
        self._in_batch = torch.arange(self._batch_size, device=device)
        self.rates, self._shares = [0.0] * self.n_steps, [0.0] * self.n_steps
        self._rates_there = torch.zeros(self.n_steps, device=device)
        self._shares_there = torch.zeros(self.n_steps, device=device)
        self._drawn: Mixing | None = None
        self.side_px: int | None = None

    def fill(self, epoch: int, plateau_drops: int) -> None:
        """Plan an epoch, numbers from 0; seeds PyTorch's global generators and the learner's.

        `plateau_drops`: see `stronglens.training.schedule.rate_at`.
        """
        learner, settings = self._learner, self._learner.settings
        own, shared = np.random.SeedSequence([self._seed, epoch]).generate_state(2, np.uint64) >> np.uint64(1)
        torch.manual_seed(int(shared))
        learner.generator.manual_seed(int(own))
        self.side_px = side_seen(settings, epoch)
        n = len(self._order)
        self._order.copy_(torch.randperm(n, generator=learner.generator, device=learner.device))
        moments = [epoch + step / self.n_steps for step in range(self.n_steps)]
        self.rates = [rate_at(settings, moment, plateau_drops) for moment in moments]
        self._rates_there.copy_(torch.tensor(self.rates))
        if learner.average is not None:
            first = epoch * self.n_steps + 1
            decays = [learner.average.get_decay(first + step) for step in range(self.n_steps)]
            self._shares = [1.0 - decay for decay in decays]
            self._shares_there.copy_(torch.tensor(self._shares))
        if mixes(settings):
            _, height, width = learner.samples.image_shape
            generator = np.random.default_rng([self._seed, epoch, 1])
            self._lay_down(draw_mixing(self._sizes, height, width, settings, generator))

    def numbers(self, step: int) -> Tensor:
        """Which samples a step sees: int64, shape (n,); in the last one of an epoch n may be another."""
        return self._order[self._rows(step)]

    def turn(self, step: int) -> Turn:
        """What a step is about, by its number."""
        rows = self._rows(step)
        numbers, at = self._order[rows], self._steps[step : step + 1]
        return Turn(numbers, at, self._shares[step], self._mixing(rows, step), self.side_px)

    def turn_there(self, at: Tensor) -> Turn:
        """What a step with a whole batch is about, by its number on the device: int64, shape (1,)."""
        rows = at * self._batch_size + self._in_batch
        share = self._shares_there.index_select(0, at).view(())
        return Turn(self._order.index_select(0, rows), at, share, self._mixing(rows, at), self.side_px)

    def rate_there(self, at: Tensor) -> Tensor:
        """Learning rate of a step, by its number on the device: float32, scalar."""
        return self._rates_there.index_select(0, at).view(())

    def _rows(self, step: int) -> slice:
        # Only the last one may be of another size.
        first = step * self._batch_size
        return slice(first, first + self._sizes[step])

    def _mixing(self, rows: slice | Tensor, step: int | Tensor) -> Mixing | None:
        drawn = self._drawn
        if drawn is None:
            return None
        share, corners = (None if one is None else one[rows] for one in (drawn.share, drawn.corners))
        return Mixing(drawn.partners[rows], share, corners, drawn.cut[step].view(()))

    def _lay_down(self, drawn: Mixing) -> None:
        if self._drawn is None:
            device = self._learner.device
            share, corners = (
                None if one is None else sent(one, device) for one in (drawn.share, drawn.corners)
            )
            self._drawn = Mixing(sent(drawn.partners, device), share, corners, sent(drawn.cut, device))
            return
        for name, tensor in vars(drawn).items():
            if tensor is not None:
                getattr(self._drawn, name).copy_(tensor)


class Sums:
    """Figures of the steps of an epoch, on the device: to read them in a step would make a GPU wait.

    Attributes
    ----------
    losses : Tensor of float32, shape (n_steps,)
        The loss that is learnt from, with weights and smoothed labels.
    n_right : Tensor of int64, shape (n_steps,)
        Right answers; a mixed image has the label of its larger share.
    lens : Tensor of float32, shape (n_steps, 2)
        What `LensTargets.loss` gave.
    """

    def __init__(self, n_steps: int, device: torch.device) -> None:
        self.losses = torch.zeros(n_steps, device=device)
        self.n_right = torch.zeros(n_steps, dtype=torch.int64, device=device)
        self.lens = torch.zeros((n_steps, 2), device=device)

    def note(self, step: Tensor, loss: Tensor, n_right: Tensor, lens: tuple[Tensor, Tensor] | None) -> None:
        """Note the figures of a step."""
        self.losses.index_copy_(0, step, loss.detach().view(1))
        self.n_right.index_copy_(0, step, n_right.view(1))
        if lens is not None:
            self.lens.index_copy_(0, step, torch.stack(lens).detach().view(1, 2))

    def state_dict(self, n_steps: int) -> dict[str, Tensor]:
        """The figures of the first so many steps."""
        return {name: getattr(self, name)[:n_steps] for name in ("losses", "n_right", "lens")}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up what `state_dict` gave."""
        for name, tensor in state.items():
            getattr(self, name)[: len(tensor)].copy_(tensor)


def learn(learner: Learner, forward: Forward, turn: Turn, sums: Sums, images: Tensor | None = None) -> None:
    """Take one step, without asking the device for anything, unless float16 is learnt in by Muon.

    Parameters
    ----------
    learner : Learner
        What learns; its optimiser has the learning rate already.
    forward : callable
        The network, compiled if it is.
    turn : Turn
        What the step is about.
    sums : Sums
        Where its figures go.
    images : Tensor of float32, shape (n, n_channels, height, width), optional
        The turn's images, if they have been taken already.
    """
    settings, samples, numbers = learner.settings, learner.samples, turn.numbers
    images = augment(samples.take(numbers) if images is None else images, settings, learner.generator)
    labels = samples.labels[numbers]
    targets = labels if learner.targets is None else learner.targets[numbers]
    weights = None if learner.weights is None else learner.weights[numbers]
    if settings.label_smoothing > 0:
        targets = targets * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    if turn.mixing is not None:
        images, targets, weights = mix(images, targets, weights, turn.mixing)
        labels = (targets > 0.5).float()
    if turn.side_px is not None:
        images = centre(images, turn.side_px)
    with autocast(learner.device, learner.dtype):
        outputs = forward(images).float()
    logit, others = outputs[:, 0], outputs[:, 1:]
    loss = learnt = binary_cross_entropy_with_logits(logit, targets, weights)
    lens_loss = None
    if learner.domains is not None:
        others, of_domains = others.tensor_split([-learner.domains.n_domains], dim=1)
        domain_loss = mean_of(*learner.domains.loss(of_domains, numbers, weights))
        learnt = learnt + learner.domains.weight * domain_loss
    if learner.lens is not None:
        lens_loss = learner.lens.loss(others, numbers, weights)
        learnt = learnt + learner.lens.weight * mean_of(*lens_loss)
    optimiser, scaler = learner.optimiser, learner.scaler
    optimiser.zero_grad(set_to_none=True)
    scaler.scale(learnt).backward()  # type: ignore[no-untyped-call]
    if settings.clip_grad_norm is not None:
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(learner.network.parameters(), settings.clip_grad_norm)
    scaler.step(optimiser)
    scaler.update()
    if learner.average is not None:
        follow(learner.average, learner.network, turn.share)
    sums.note(turn.step, loss, ((logit.detach() > 0).float() == labels).sum(), lens_loss)


@torch.no_grad()
def follow(average: ModelEmaV3, network: nn.Module, share: float | Tensor) -> None:
    """Move averaged weights towards those of a network: average = (1 - share) average + share (weights).

    As `ModelEmaV3.update` does, but the share may lie on the device. Counters are copied.
    """
    for mean, new in zip(average.module.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(new, share)
        else:
            mean.copy_(new)


class Steps:
    """Steps that are taken one by one, as eager or compiled code.

    Parameters
    ----------
    learner : Learner
        What learns.
    plan : EpochPlan
        Of its epochs.
    sums : Sums
        Where figures go.
    forward : callable
        The network, compiled if it is.
    way : str
        What this way to take steps is called.
    """

    def __init__(
        self, learner: Learner, plan: EpochPlan, sums: Sums, forward: Forward, way: str = "eager"
    ) -> None:
        self._learner, self._plan, self._sums, self._forward = learner, plan, sums, forward
        self._way = way

    @property
    def way(self) -> str:
        """How they are taken: as it was meant, or another way where that has failed."""
        return self._way if runs_compiled(self._forward) else "eager"

    def each(self, numbers: range) -> Iterator[None]:
        """Take the steps of these numbers, each as it is asked for; what is streamed is read meanwhile."""
        samples = self._learner.samples
        if isinstance(samples, ResidentSamples):
            for number in numbers:
                self.take(number)
                yield
        else:
            batches = [self._plan.numbers(number) for number in numbers]
            for number, images in zip(numbers, samples.in_turn(batches), strict=True):
                self.take(number, images)
                yield

    def take(self, step: int, images: Tensor | None = None) -> None:
        """Take the step of that number; its images, if they have been taken already."""
        self._set_rate(self._plan.rates[step])
        learn(self._learner, self._forward, self._plan.turn(step), self._sums, images)

    def _set_rate(self, rate: float) -> None:
        for group in self._learner.optimiser.param_groups:
            # In single precision, as a recorded step finds it on the device.
            scaled = np.float32(rate) * np.float32(group.get("lr_scale", 1.0))
            group.update(lr=float(scaled), capturable=False)


class Mark(Protocol):
    """A place in what a GPU has to do."""

    def synchronize(self) -> None:
        """Wait until it has come there."""


def _mark(device: torch.device) -> Mark:
    """The end of what a GPU has been given so far."""
    mark = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    mark.record(torch.cuda.current_stream(device))
    return mark


class Queue:
    """Keeps short what a GPU has been given to do and has not done.

    Parameters
    ----------
    length : int
        After so many pieces of work, those before them are waited for.
    mark : callable
        Gives the end of what was given so far.
    """

    def __init__(self, length: int, mark: Callable[[], Mark]) -> None:
        self._length, self._mark = length, mark
        self._n = 0
        self._last: Mark | None = None

    def add(self) -> None:
        """Note a piece of work, and wait where there are too many."""
        self._n += 1
        if self._n % self._length == 0:
            before, self._last = self._last, self._mark()
            if before is not None:
                before.synchronize()


def can_be_recorded(learner: Learner) -> bool:
    """Whether steps ask the device for nothing: of float16, whether the optimiser passes over steps."""
    return not learner.scaler.is_enabled() or hasattr(learner.optimiser, "_step_supports_amp_scaling")


class WholeSteps(Steps):
    """Steps that find out on the device which one they are: there is nothing to do for the CPU in between.

    On a GPU a step is recorded as one CUDA graph, one launch instead of thousands; on a CPU the same code
    runs as it is. The last step of an epoch, where its batch is of another size, is taken like any other
    of `Steps`.

    Where a step cannot be recorded, that is said and steps are taken one by one; `way` is another then.

    Parameters
    ----------
    learner, plan, sums, forward
        See `Steps`.
    strict : bool
        Raise where a step cannot be recorded.
    """

    def __init__(
        self,
        learner: Learner,
        plan: EpochPlan,
        sums: Sums,
        forward: Forward,
        *,
        strict: bool = False,
    ) -> None:
        super().__init__(learner, plan, sums, forward)
        self._strict, self._one_by_one = strict, False
        self._at = torch.zeros(1, dtype=torch.int64, device=learner.device)
        self._next = 0
        self._shown: Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._rates: list[Tensor] = []
        if learner.device.type == "cuda":
            # A rate that is a tensor can change under the graph, and so can a step count that lies there.
            self._rates = [torch.zeros((), device=learner.device) for _ in learner.optimiser.param_groups]
        self._queue = Queue(QUEUED, lambda: _mark(learner.device))

    @property
    def way(self) -> str:
        """How they are taken: as it was meant, or another way where that has failed."""
        if self._one_by_one:
            return "compiled" if runs_compiled(self._forward) else "eager"
        return "whole_compiled" if runs_compiled(self._forward) else "whole"

    def take(self, step: int, images: Tensor | None = None) -> None:
        """Take the step of that number; its images, if they have been taken already."""
        if step >= self._plan.n_whole or self._one_by_one:
            super().take(step, images)
            return
        if step != self._next:
            self._at.fill_(step)
        self._next = step + 1
        if images is not None:
            if self._shown is None:
                self._shown = torch.empty_like(images)
            self._shown.copy_(images)
        if not self._rates:
            self._set_rate(self._plan.rates[step])
            self._whole()
            return
        if self._graph is None:
            try:
                self._graph = self._recorded()
            except Exception as error:
                if self._strict:
                    raise
                check_after(error, self._learner.device, compute_a_little)
                why = f"{type(error).__name__}: {first_line(error)}"
                log.warning("the step cannot be recorded here, steps are taken one by one, slower: %s", why)
                self._one_by_one = True
                super().take(step, images)
                return
            self._at.fill_(step)
        self._graph.replay()
        self._queue.add()

    def _whole(self) -> None:
        if self._rates:
            rate = self._plan.rate_there(self._at)
            for own, group in zip(self._rates, self._learner.optimiser.param_groups, strict=True):
                own.copy_(rate * group.get("lr_scale", 1.0))
        learn(self._learner, self._forward, self._plan.turn_there(self._at), self._sums, self._shown)
        self._at.add_(1)

    def _recorded(self) -> torch.cuda.CUDAGraph:
        """The step as a graph: takes some steps for it, and leaves none of their traces."""
        learner = self._learner
        with unchanged(learner, self._sums):
            groups = learner.optimiser.param_groups
            for group, rate in zip(groups, self._rates, strict=True):
                group["lr"] = rate
            # Warm-up and recording on one stream: gradients are summed up on the stream they began on.
            stream = torch.cuda.Stream(learner.device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream(learner.device))
            with torch.cuda.stream(stream):
                for _ in range(N_WARM_UP):
                    self._at.zero_()
                    self._whole()
            stream.synchronize()
            learner.optimiser.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(learner.generator)
            self._at.zero_()
            for group in groups:
                group["capturable"] = True
            current = torch.cuda.current_stream(learner.device)
            # The outer one puts the stream back where recording fails, which the inner one does not.
            try:
                with (
                    torch.cuda.stream(current),
                    torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
                ):
                    self._whole()
            except Exception:
                # PyTorch leaves generators as if they were still recorded, and they refuse to draw
                # (https://github.com/pytorch/pytorch/pull/171265): they get states of their own.
                for generator in (learner.generator, torch.cuda.default_generators[current.device_index]):
                    generator.graphsafe_set_state(torch.Generator(learner.device).graphsafe_get_state())
                raise
            current.wait_stream(stream)
        return graph


@contextmanager
def unchanged(learner: Learner, sums: Sums) -> Iterator[None]:
    """Put weights, average, optimiser, scaler, generators and figures back after the block, where they lay.

    In place, since recorded steps go on reading and writing there. An optimiser that had taken no step has a
    state of zeros afterwards, which is the same.
    """
    networks = [learner.network] + ([] if learner.average is None else [learner.average.module])
    tensors = [tensor for network in networks for tensor in network.state_dict().values()]
    tensors += [sums.losses, sums.n_right, sums.lens]
    kept = [tensor.clone() for tensor in tensors]
    moments = {parameter: _clones(state) for parameter, state in learner.optimiser.state.items()}
    scaler = learner.scaler.state_dict()
    rates = [(group["lr"], group.get("capturable", False)) for group in learner.optimiser.param_groups]
    own = learner.generator.get_state()
    try:
        with torch.random.fork_rng(devices=[learner.device] if learner.device.type == "cuda" else []):
            yield
    finally:
        with torch.no_grad():
            for tensor, before in zip(tensors, kept, strict=True):
                tensor.copy_(before)
            for parameter, state in learner.optimiser.state.items():
                for name, tensor in state.items():
                    if parameter in moments:
                        tensor.copy_(moments[parameter][name])
                    else:
                        tensor.zero_()
        learner.optimiser.zero_grad(set_to_none=True)
        for group, (rate, capturable) in zip(learner.optimiser.param_groups, rates, strict=True):
            group.update(lr=rate, capturable=capturable)
        learner.scaler.load_state_dict(scaler)
        _forget_half_a_step(learner)
        learner.generator.set_state(own)


def _forget_half_a_step(learner: Learner) -> None:
    """Of a step that has failed, PyTorch would take what it found of the gradients for that of the next."""
    if learner.scaler.is_enabled():
        learner.scaler._per_optimizer_states.clear()
        for name in ("grad_scale", "found_inf"):
            learner.optimiser.__dict__.pop(name, None)


def _clones(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}
