"""One step of learning, against the same worked out by hand, and in every way to run it."""

import copy
import math
from typing import Any

import pytest
import torch
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from small_trainings import OF_STEPS, STACK, small_network, small_samples, train
from stronglens.networks.resident import ResidentSamples
from stronglens.settings.train import TrainSettings
from stronglens.training import step
from stronglens.training.step import (
    EpochPlan,
    Learner,
    Sums,
    Turn,
    WholeSteps,
    can_be_recorded,
    learn,
    unchanged,
)
from stronglens.training.trainer import Trainer


def test_averaged_weights_are_the_average_of_those_of_the_steps(data, tmp_path, monkeypatch):
    seen = []
    follow = step.follow

    def note_and_follow(average, network, share):
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        follow(average, network, share)

    monkeypatch.setattr(step, "follow", note_and_follow)
    assert train(data, tmp_path, STACK | {"train": STACK["train"] | {"ema_decay": 0.6}}) == 0
    assert len(seen) == 6  # 3 epochs of 2 steps
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    for name, found in last.items():
        expected = seen[0][name].double()
        for number, weights in enumerate(seen[1:], start=1):
            decay = min(0.6, 1 - (1 + number) ** (-2 / 3))
            expected = decay * expected + (1 - decay) * weights[name].double()
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OF_STEPS)
def test_whole_steps_give_the_bytes_of_single_ones(name: str) -> None:
    weights = torch.rand(90) + 0.5
    found = {
        way: Trainer(small_network(), small_samples(), small_samples(), OF_STEPS[name], 1, way, weights).fit()  # type: ignore[arg-type]
        for way in ("never", "whole")
    }
    assert [one.way for one in found.values()] == ["eager", "whole"]
    assert found["never"].records == found["whole"].records
    for key, tensor in found["never"].last.items():
        assert torch.equal(tensor, found["whole"].last[key]), key


def test_what_is_tried_is_put_back_in_place() -> None:
    trainer = Trainer(small_network(), small_samples(), small_samples(), OF_STEPS["all"], 1)
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


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_half_a_step_in_float16_leaves_no_trace(
    optimiser: str, clip: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a recording that fails leaves: the next step neither takes old gradients for its own nor refuses."""
    settings = TrainSettings(
        epochs=2,
        batch_size=16,
        precision="fp16",
        optimiser=optimiser,
        clip_grad_norm=clip,  # type: ignore[arg-type]
    )

    def new() -> Trainer:
        return Trainer(small_network(), small_samples(), small_samples(), settings, 1)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("cannot be recorded")

    expected, one = new().fit(), new()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="cannot be recorded"):
        patch.setattr(one._learner.optimiser, "step", fail)
        one.measure("eager")
    found = one.fit()
    assert found.records == expected.records
    assert all(torch.equal(tensor, found.last[key]) for key, tensor in expected.last.items())


@pytest.mark.parametrize(
    ("precision", "optimiser", "can"),
    [("fp16", "adamw", True), ("fp16", "muon", False), ("bf16", "muon", True), ("float32", "adamw", True)],
)
def test_which_steps_ask_the_device_for_nothing(precision: str, optimiser: str, can: bool) -> None:
    settings = TrainSettings(precision=precision, optimiser=optimiser)  # type: ignore[arg-type]
    learner = Trainer(small_network(), small_samples(), small_samples(), settings, 1)._learner
    assert can_be_recorded(learner) == can


def one_pixel_learner(settings: TrainSettings, rate: float = 0.5, **more: object) -> Learner:
    """Logits 2 x - 1 of images of one pixel x: four of them, the first and the last of lenses."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 1))
    with torch.no_grad():
        network[1].weight.fill_(2.0)
        network[1].bias.fill_(-1.0)
    pixels = torch.tensor([0.2, 0.9, -0.4, 1.5]).view(4, 1, 1)
    rows, labels = torch.arange(4)[:, None], torch.tensor([1.0, 0.0, 0.0, 1.0])
    return Learner(
        network,
        torch.optim.SGD(network.parameters(), lr=rate),
        torch.amp.GradScaler("cpu", enabled=False),
        None,
        settings,
        ResidentSamples(pixels, rows, labels, has_gaps=False),
        torch.Generator(),
        **more,  # type: ignore[arg-type]
    )


def weight_and_bias(learner: Learner) -> tuple[float, float]:
    weight, bias = learner.network.parameters()
    return weight.item(), bias.item()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_step_follows_the_gradient_of_the_weighted_loss(smoothing: float) -> None:
    weights = [9.0, 2.0, 9.0, 0.5]
    settings = TrainSettings(label_smoothing=smoothing, augment=False)
    learner = one_pixel_learner(settings, weights=torch.tensor(weights))
    sums = Sums(3, torch.device("cpu"))
    numbers = torch.tensor([3, 1])  # pixels 1.5 of a lens, 0.9 of none: logits 2 and 0.8
    learn(learner, learner.network, Turn(numbers, torch.tensor([2]), 0.0, None), sums)
    loss = of_weight = of_bias = 0.0
    for pixel, label, weight in ((1.5, 1, 0.5), (0.9, 0, 2.0)):
        target = label * (1 - smoothing) + smoothing / 2
        prob = 1 / (1 + math.exp(-(2 * pixel - 1)))
        loss -= weight * (target * math.log(prob) + (1 - target) * math.log(1 - prob)) / 2
        of_weight += weight * (prob - target) * pixel / 2
        of_bias += weight * (prob - target) / 2
    assert weight_and_bias(learner) == pytest.approx((2 - 0.5 * of_weight, -1 - 0.5 * of_bias), abs=1e-6)
    assert sums.losses.tolist() == pytest.approx([0, 0, loss], abs=1e-6)
    assert sums.n_right.tolist() == [0, 0, 1]  # the logit of what is no lens is above 0


def test_gradients_are_clipped_to_their_norm() -> None:
    learner = one_pixel_learner(TrainSettings(clip_grad_norm=0.01, augment=False), rate=1.0)
    turn = Turn(torch.arange(4), torch.tensor([0]), 0.0, None)
    learn(learner, learner.network, turn, Sums(1, torch.device("cpu")))
    weight, bias = weight_and_bias(learner)
    assert math.hypot(weight - 2, bias + 1) == pytest.approx(0.01, rel=1e-3)


def test_an_average_moves_by_its_share_and_counters_are_copied() -> None:
    network = nn.BatchNorm1d(1)
    average = ModelEmaV3(network)
    network.weight.data.fill_(3.0)
    network.num_batches_tracked.fill_(7)
    step.follow(average, network, 0.25)
    state = average.module.state_dict()
    assert state["weight"].item() == pytest.approx(1.5)  # from 1, a quarter of the way to 3
    assert state["num_batches_tracked"].item() == 7


def plan_of(seed: int = 1, **settings: object) -> EpochPlan:
    return EpochPlan(one_pixel_learner(TrainSettings.model_validate({"batch_size": 3, **settings})), seed)


def order_of(plan: EpochPlan, epoch: int) -> list[int]:
    plan.fill(epoch, 0)
    return [number for step in range(plan.n_steps) for number in plan.numbers(step).tolist()]


def test_an_epoch_shows_every_sample_once_in_an_order_of_its_own() -> None:
    plan = plan_of()
    assert (plan.n_steps, plan.n_whole) == (2, 1)
    orders = [order_of(plan, epoch) for epoch in range(20)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len({tuple(order) for order in orders}) > 5
    torch.rand(3)  # what is drawn meanwhile means nothing
    assert [order_of(plan_of(), epoch) for epoch in (7, 2)] == [orders[7], orders[2]]
    assert [order_of(plan_of(seed=2), epoch) for epoch in range(20)] != orders


def test_dropped_paths_are_drawn_anew_in_each_epoch() -> None:
    drawn = []
    for epoch in (0, 1, 0):
        plan_of().fill(epoch, 0)
        drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[2] != drawn[1]


def test_rates_are_those_of_the_moments_of_the_epoch() -> None:
    plan = plan_of(epochs=4, schedule="cosine", lr=0.1, lr_floor=0.0)
    plan.fill(1, 0)
    expected = [0.05 * (1 + math.cos(math.pi * epoch / 4)) for epoch in (1.0, 1.5)]
    assert plan.rates == pytest.approx(expected)
    found = [plan.rate_there(torch.tensor([step])).item() for step in (0, 1)]
    assert found == pytest.approx(expected)


def test_a_whole_step_on_the_device_is_that_of_its_number() -> None:
    plan = EpochPlan(
        one_pixel_learner(TrainSettings.model_validate({"batch_size": 2, "mixup_alpha": 0.4})), 1
    )
    plan.fill(3, 0)
    for number in range(2):
        one, there = plan.turn(number), plan.turn_there(torch.tensor([number]))
        assert torch.equal(one.numbers, there.numbers)
        assert torch.equal(one.step, there.step)
        assert one.mixing is not None
        assert there.mixing is not None
        assert torch.equal(one.mixing.partners, there.mixing.partners)
        assert torch.equal(one.mixing.share, there.mixing.share)  # type: ignore[arg-type]


def test_figures_of_the_first_steps_come_back() -> None:
    sums, again = Sums(3, torch.device("cpu")), Sums(3, torch.device("cpu"))
    for number in range(3):
        lens = torch.tensor(1.0 + number), torch.tensor(2.0 + number)
        sums.note(torch.tensor([number]), torch.tensor(0.5 + number), torch.tensor(4 + number), lens)
    again.load_state_dict(sums.state_dict(2))
    assert again.losses.tolist() == [0.5, 1.5, 0]
    assert again.n_right.tolist() == [4, 5, 0]
    assert again.lens.tolist() == [[1, 2], [2, 3], [0, 0]]


def test_steps_that_cannot_be_recorded_are_taken_one_by_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: WholeSteps) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    settings = TrainSettings(epochs=1, batch_size=30)
    expected = Trainer(small_network(), small_samples(), small_samples(), settings, 1).fit()
    monkeypatch.setattr(WholeSteps, "_recorded", fail)
    made = WholeSteps.__init__

    def as_on_a_gpu(self: WholeSteps, *given: Any, **more: Any) -> None:
        made(self, *given, **more)
        self._rates = [torch.zeros(())]

    monkeypatch.setattr(WholeSteps, "__init__", as_on_a_gpu)
    whole = Trainer(small_network(), small_samples(), small_samples(), settings, 1, "whole")
    with pytest.raises(RuntimeError, match="not permitted"):
        whole.measure("whole")
    found = whole.fit()
    assert (found.way, found.records) == ("eager", expected.records)
    assert [one for one in caplog.messages if "cannot be recorded here" in one] == [
        "the step cannot be recorded here, steps are taken one by one, slower: RuntimeError: operation not "
        "permitted when stream is capturing"
    ]


class Asking(nn.Module):
    """Drops out on the device, and reads it, which no recorded step may."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = small_network()
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: torch.Tensor) -> Any:
        if torch.cuda.is_current_stream_capturing():
            images.sum().item()
        return self.layers(self.dropout(images))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recording_that_failed_on_a_gpu_leaves_no_trace() -> None:
    device = torch.device("cuda")
    samples = small_samples()
    there = ResidentSamples(
        samples.images.to(device), samples.rows.to(device), samples.labels.to(device), has_gaps=False
    )
    settings = TrainSettings(epochs=2, batch_size=30)
    found = []
    for choice in ("never", "whole"):
        torch.manual_seed(1)
        network = Asking().to(device)
        found.append(Trainer(network, there, there, settings, 1, choice).fit())  # type: ignore[arg-type]
    assert [one.way for one in found] == ["eager", "eager"]
    assert found[0].records == found[1].records


def test_a_gpu_is_given_few_steps_ahead_and_never_waits() -> None:
    given, done = [0], [0]

    class Mark:
        def __init__(self) -> None:
            self.at = given[0]

        def synchronize(self) -> None:
            assert given[0] >= self.at + 4  # so many are still to be done while the host waits
            done[0] = self.at

    queue = step.Queue(4, Mark)
    for _ in range(40):
        given[0] += 1
        queue.add()
        assert given[0] - done[0] <= 8
