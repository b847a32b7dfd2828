"""Steps and scores ask a device for nothing on the way: a GPU would be waited for each time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from stronglens.networks.depthwise import FittedConv2d
from stronglens.networks.resident import ResidentSamples
from stronglens.settings.train import TrainSettings
from stronglens.training import validation
from stronglens.training.step import Steps, WholeSteps
from stronglens.training.trainer import Trainer
from stronglens.training.validation import roc_auc, score

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "is_nonzero", "equal", "_to_copy")
"""Operations that read a value of the device, make a shape of values, or copy from one device to another."""


class Watched(TorchDispatchMode):
    """Notes operations for which a GPU would be waited."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        converts = name == "_to_copy" and "device" not in (kwargs or {})
        indexes_by_mask = name == "index" and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        if (name in WAITING and not converts) or indexes_by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def nothing_waits() -> Iterator[None]:
    with Watched() as watched:
        yield
    assert not watched.found


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=4),
        FittedConv2d(4, 4, 7, padding=3, groups=4),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.LazyLinear(1),
    )


@pytest.fixture
def samples() -> ResidentSamples:
    rows = torch.arange(40)
    return ResidentSamples(torch.randn(40, 9, 9), rows[:, None], (rows % 2).float(), has_gaps=False)


def test_the_watch_sees_what_waits() -> None:
    values = torch.arange(3.0)
    for wait in (
        lambda: values.sum().item(),
        lambda: bool(values.any()),
        lambda: values[values > 1],
        values.nonzero,
    ):
        with Watched() as watched:
            wait()
        assert watched.found


@pytest.mark.parametrize("kind", [Steps, WholeSteps])
def test_steps_ask_the_device_for_nothing(samples: ResidentSamples, kind: type[Steps]) -> None:
    settings = TrainSettings(
        epochs=1,
        batch_size=8,
        ema_decay=0.9,
        mixup_alpha=0.4,
        cutmix_alpha=1.0,
        label_smoothing=0.1,
        clip_grad_norm=0.5,
        augment_noise=0.1,
        augment_gamma=0.1,
    )
    learning = network()
    learning(samples.take(torch.arange(2)))
    trainer = Trainer(learning, samples, samples, settings, 1, "never", torch.rand(40) + 0.5)
    learner, plan, sums = trainer._learner, trainer._plan, trainer._sums
    plan.fill(0, 0)
    steps = kind(learner, plan, sums, learning)
    steps.take(0)  # states of the optimiser are made
    with nothing_waits():
        for number in range(1, plan.n_steps):
            steps.take(number)
    assert sums.losses.all()


def test_scores_are_read_once(samples: ResidentSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "SCORING_BATCH_SIZE", 16)
    scoring = network()
    scoring(samples.take(torch.arange(2)))
    score(scoring, samples, "float32")
    with nothing_waits():  # `tolist` at the end is no operation of its own
        found = score(scoring, samples, "float32")
    assert 0 <= found.auc <= 1
    with nothing_waits():
        roc_auc(samples.images[:, 0, 0], samples.labels)
