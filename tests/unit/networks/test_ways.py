"""The way that is done first is taken, by made-up timings; and what is measured on a CPU leaves no trace."""

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from stronglens.networks.resident import ResidentSamples
from stronglens.networks.ways import (
    Candidate,
    Choice,
    ChoiceFile,
    LostDeviceError,
    Measured,
    choose,
    in_words,
)
from stronglens.prediction import batch
from stronglens.prediction.in_turn import InTurn
from stronglens.settings.train import TrainSettings
from stronglens.training import trainer as module
from stronglens.training.step import unchanged
from stronglens.training.trainer import WAYS, Trainer

THREE = [Candidate("eager", "eager"), Candidate("whole", "whole", 2.0), Candidate("compiled", "fast", 60.0)]
EAGER = Measured(0.5, 0.04, [0.7, 0.6])


def measuring(found: Mapping[str, Measured | Exception], asked: list[str]) -> Callable[[str], Measured]:
    def measure(name: str) -> Measured:
        asked.append(name)
        one = found[name]
        if isinstance(one, Exception):
            raise one
        return one

    return measure


def chosen(n_steps: int, **found: Measured | Exception) -> tuple[Choice, list[str]]:
    asked: list[str] = []
    return choose(THREE, measuring({"eager": EAGER} | found, asked), n_steps), asked


def test_the_fastest_wins() -> None:
    choice, _ = chosen(10**6, whole=Measured(2, 0.006), compiled=Measured(60, 0.003))
    assert choice.name == "compiled"
    line = in_words(choice, THREE, "images", 128)
    assert line.startswith("taken: fast; measured: eager 3,200 images/s (set up in 0 s)")


def test_a_setup_that_takes_longer_than_it_saves_is_not_worth_it() -> None:
    choice, asked = chosen(18_000, whole=Measured(2, 0.006), compiled=Measured(80, 0.003))
    assert (choice.name, asked) == ("whole", ["eager", "whole", "compiled"])
    # With so few steps it is not even tried.
    choice, asked = chosen(1000, whole=Measured(2, 0.006), compiled=Measured(0, 0))
    assert (choice.name, asked) == ("whole", ["eager", "whole"])
    assert "would not be won back" in choice.refused["compiled"]
    choice, asked = chosen(20, whole=Measured(2, 0.006))
    assert (choice.name, asked) == ("eager", ["eager"])


@pytest.mark.parametrize(
    ("way", "why"),
    [
        (RuntimeError("no kernel image\nfor this card"), "RuntimeError: no kernel image"),
        (AssertionError(), "AssertionError: AssertionError"),
        (Measured(2, 0.001, [0.7, math.nan]), "not finite"),
        (Measured(2, math.inf, [0.7, 0.6]), "not finite"),
        (Measured(2, 0.001, [0.7, 0.62]), "2.0e-02 from those of the first"),
    ],
)
def test_a_way_that_fails_or_is_wrong_is_not_taken(way: Measured | Exception, why: str) -> None:
    choice, asked = chosen(10**6, whole=way, compiled=Measured(60, 0.02, [0.7001, 0.6001]))
    assert (choice.name, asked) == ("compiled", ["eager", "whole", "compiled"])
    assert why in choice.refused["whole"]


def test_where_all_fail_the_first_is_taken() -> None:
    choice, _ = chosen(10**6, eager=ValueError("a"), whole=ValueError("b"), compiled=ValueError("c"))
    assert (choice.name, list(choice.refused)) == ("eager", ["eager", "whole", "compiled"])


def test_a_lost_gpu_ends_the_job() -> None:
    with pytest.raises(LostDeviceError):
        chosen(10**6, whole=LostDeviceError("an illegal memory access"))


def test_a_way_that_a_faster_one_makes_needless_is_not_tried() -> None:
    ways = [*THREE, Candidate("slower", "slower", unless="whole")]
    found = {"eager": EAGER, "whole": Measured(2, 0.006), "compiled": Measured(60, 0.003)}
    asked: list[str] = []
    choose(ways, measuring(found, asked), 10**6)
    assert asked == ["eager", "whole", "compiled"]
    found |= {"whole": Measured(2, math.nan), "slower": Measured(2, 0.001)}
    assert choose(ways, measuring(found, []), 10**6).name == "slower"


def test_jobs_share_the_choice_of_the_first(tmp_path: Path) -> None:
    first, second = (ChoiceFile(tmp_path, {"card": "H100", "batch": 128, "shape": [1, 41, 41]}) for _ in "ab")
    assert first.read() is None
    assert first.keep(Choice("whole", {"whole": EAGER}, {})) == "whole"
    assert second.keep(Choice("eager", {"eager": EAGER}, {})) == "whole"
    assert second.read() == "whole"
    assert ChoiceFile(tmp_path, {"card": "A100"}).read() is None
    assert len(list(tmp_path.iterdir())) == 1
    assert first.path is not None
    first.path.write_text("{")
    assert first.read() is None
    assert ChoiceFile(None, {}).keep(Choice("whole", {}, {})) == "whole"


@pytest.fixture
def samples() -> ResidentSamples:
    images = torch.randn(90, 9, 9, generator=torch.Generator().manual_seed(1))
    rows = torch.arange(90)
    return ResidentSamples(images, rows[:, None], (rows % 2).float(), has_gaps=False)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Flatten(), nn.Linear(4 * 49, 1)
    )


SETTINGS = {
    "plain": TrainSettings(epochs=2, batch_size=16),
    "all": TrainSettings(
        epochs=2,
        batch_size=16,
        ema_decay=0.9,
        mixup_alpha=0.4,
        cutmix_alpha=1.0,
        label_smoothing=0.1,
        clip_grad_norm=0.5,
        augment_noise=0.1,
        augment_gamma=0.1,
        warmup_epochs=1,
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_whole_steps_give_the_bytes_of_single_ones(samples: ResidentSamples, name: str) -> None:
    weights = torch.rand(90) + 0.5
    found = {
        way: Trainer(network(), samples, samples, SETTINGS[name], 1, way, weights).fit()  # type: ignore[arg-type]
        for way in ("never", "whole")
    }
    assert [one.way for one in found.values()] == ["eager", "whole"]
    assert found["never"].records == found["whole"].records
    for key, tensor in found["never"].last.items():
        assert torch.equal(tensor, found["whole"].last[key]), key


@pytest.mark.parametrize("name", SETTINGS)
def test_measuring_leaves_weights_optimiser_and_generators_as_they_were(
    samples: ResidentSamples, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = Trainer(network(), samples, samples, SETTINGS[name], 1).fit()
    trainer = Trainer(network(), samples, samples, SETTINGS[name], 1, "auto", None, None, tmp_path)
    monkeypatch.setattr(module, "WAYS", WAYS[:2])
    monkeypatch.setattr(Trainer, "_chosen", Trainer._measured)
    drawn = torch.get_rng_state()
    found = trainer.fit()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert found.way in ("eager", "whole")
    assert found.records == expected.records
    for key, tensor in expected.last.items():
        assert torch.equal(tensor, found.last[key]), key
    assert len(list(tmp_path.iterdir())) == 1


def test_a_resumed_training_takes_its_way_and_measures_nothing(
    samples: ResidentSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Trainer(network(), samples, samples, SETTINGS["all"], 1, "whole")
    states: list[dict[str, object]] = []
    expected = first.fit(observe=lambda state: states.append(copy.deepcopy(dict(state))))
    monkeypatch.setattr(Trainer, "_chosen", None)
    again = Trainer(network(), samples, samples, SETTINGS["all"], 1, "never")
    again.load_state_dict(states[0])
    found = again.fit()
    assert (found.way, found.records) == ("whole", expected.records)
    for key, tensor in expected.last.items():
        assert torch.equal(tensor, found.last[key]), key


def test_what_is_tried_is_put_back_in_place(samples: ResidentSamples) -> None:
    trainer = Trainer(network(), samples, samples, SETTINGS["all"], 1)
    learner = trainer._learner
    before = copy.deepcopy(learner.network.state_dict())
    # Of steps that were taken before a training was cut: what is tried begins at step 0, too.
    trainer._sums.losses.fill_(0.5)
    with unchanged(learner, trainer._sums):
        steps = trainer._made("whole")
        trainer._plan.fill(0, 0)
        for step in range(3):
            steps.take(step)
        assert not torch.equal(learner.network.state_dict()["0.weight"], before["0.weight"])
    assert all(torch.equal(tensor, before[key]) for key, tensor in learner.network.state_dict().items())
    assert all(not tensor.any() for state in learner.optimiser.state.values() for tensor in state.values())
    assert all(parameter.grad is None for parameter in learner.network.parameters())
    assert torch.equal(trainer._sums.losses, torch.full_like(trainer._sums.losses, 0.5))


class Unlike(nn.Module):
    """A network that knows how large batches may be."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images.flatten(1)[:, :1]


def test_a_batch_of_prediction_is_measured_within_memory_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ChoiceFile(tmp_path, {"card": "any"})
    arguments = ((1, 3, 3), torch.device("cpu"), None, 10**6, kept, (4, 16, 64))
    size, forward = batch.fastest_batch(Unlike(16), *arguments, may_compile=False)
    assert size in (4, 16)
    assert forward is None
    monkeypatch.setattr(batch, "choose", None)  # the next job measures nothing
    assert batch.fastest_batch(Unlike(16), *arguments)[0] == size


def test_of_a_batch_that_was_asked_for_only_compiling_is_measured() -> None:
    arguments = ((1, 3, 3), torch.device("cpu"), None, 10**6, ChoiceFile(None, {}), (8,))
    assert batch.fastest_batch(Unlike(16), *arguments, may_compile=False) == (8, None)


def test_a_gpu_that_is_lost_while_batches_are_measured_ends_the_job() -> None:
    """Other batches would only fail as well, and the last of them be taken."""

    def lost(device: torch.device) -> None:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    arguments = ((1, 3, 3), torch.device("cpu"), None, 10**6, ChoiceFile(None, {}))
    with pytest.raises(LostDeviceError, match="goes on from the last saved state"):
        batch.fastest_batch(Unlike(0), *arguments, may_compile=False, probe=lost)


def test_work_in_turn_keeps_its_order_and_raises_what_went_wrong() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == 3:
            raise OSError("the disk is full")
        done.append(number)

    with InTurn(work) as call:
        for number in range(3):
            call(number)
    assert done == [0, 1, 2]
    with pytest.raises(OSError, match="full"), InTurn(work) as call:
        for number in (5, 3, 6, 7):
            call(number)
    assert done == [0, 1, 2, 5]
    with pytest.raises(OSError, match="full"), InTurn(work) as call:
        call(3)
