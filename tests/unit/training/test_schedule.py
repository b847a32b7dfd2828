import math

import pytest
import torch
from torch import nn

from stronglens.networks.network import build_network
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings
from stronglens.settings.train import TrainSettings
from stronglens.training.schedule import Watch, layer_groups, rate_at


def test_exponential_falls_to_its_floor():
    settings = TrainSettings(epochs=80, lr=3.5e-4, schedule="exponential", lr_floor=0.1)
    assert rate_at(settings, 0) == pytest.approx(3.5e-4)
    assert rate_at(settings, 40) == pytest.approx(3.5e-4 * math.sqrt(0.1))
    assert rate_at(settings, 80) == pytest.approx(3.5e-5)


def test_cosine_is_half_way_down_in_the_middle():
    settings = TrainSettings(epochs=10, lr=1.0, schedule="cosine", lr_floor=0.2)
    assert [rate_at(settings, epoch) for epoch in (0, 5, 10)] == pytest.approx([1.0, 0.6, 0.2])


def test_step_drops_at_whole_steps():
    settings = TrainSettings(epochs=30, lr=1.0, schedule="step", step_epochs=10, step_factor=0.1)
    assert [rate_at(settings, epoch) for epoch in (9.99, 10, 19.99, 20)] == pytest.approx([1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "exponential", "plateau"])
def test_warmup_rises_linearly_then_meets_the_schedule(schedule):
    settings = TrainSettings(epochs=10, lr=2.0, schedule=schedule, warmup_epochs=2, lr_floor=0.1)
    assert [rate_at(settings, epoch) for epoch in (0, 1, 2)] == pytest.approx([0, 1, 2])


@pytest.mark.parametrize("schedule", ["cosine", "step", "exponential", "plateau"])
def test_rate_never_goes_below_the_floor(schedule):
    settings = TrainSettings(epochs=100, lr=1.0, schedule=schedule, lr_floor=0.3, step_epochs=5)
    assert min(rate_at(settings, epoch, plateau_drops=epoch // 3) for epoch in range(101)) >= 0.3


@pytest.mark.parametrize("cooldown", [0, 2])
def test_plateau_drops_when_pytorch_would(cooldown):
    settings = TrainSettings(
        epochs=40,
        lr=1.0,
        schedule="plateau",
        plateau_factor=0.5,
        plateau_patience=2,
        plateau_cooldown=cooldown,
        monitor="loss",
        min_delta=0.01,
    )
    generator = torch.Generator().manual_seed(3)
    losses = (torch.rand(40, generator=generator) + torch.linspace(1, 0.8, 40)).tolist()
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=2, cooldown=cooldown, threshold=0.01, threshold_mode="abs"
    )
    watch = Watch()
    for epoch, loss in enumerate(losses, start=1):
        theirs.step(loss)
        watch.observe(settings, epoch, loss)
        assert rate_at(settings, epoch, watch.drops) == pytest.approx(optimiser.param_groups[0]["lr"])
    assert watch.drops >= 2


def test_watch_keeps_the_best_and_stops_when_patience_is_over():
    settings = TrainSettings(monitor="auc", patience=2, min_delta=0.01)
    watch = Watch()
    improved = [
        watch.observe(settings, epoch, auc) for epoch, auc in enumerate([0.6, 0.8, 0.805, 0.7], start=1)
    ]
    assert improved == [True, True, False, False]
    assert (watch.best, watch.best_epoch) == (0.8, 2)
    assert watch.patience_is_over(settings)
    assert not watch.patience_is_over(settings.model_copy(update={"patience": None}))


def test_nan_is_no_improvement():
    settings = TrainSettings(monitor="loss")
    watch = Watch()
    assert not watch.observe(settings, 1, math.nan)
    assert watch.observe(settings, 2, 0.7)
    assert not watch.observe(settings, 3, math.nan)
    assert watch.best_epoch == 2


def test_layers_learn_the_slower_the_earlier() -> None:
    settings = MemberSettings.model_validate({"network": "convnext_atto"})
    network = build_network(settings.network, 1, 41)
    groups = layer_groups(network, 0.5)
    scale = {id(parameter): group["lr_scale"] for group in groups for parameter in group["params"]}
    named = dict(network.named_parameters())
    assert {*scale} == {id(parameter) for parameter in named.values()}
    of = {name: scale[id(parameter)] for name, parameter in named.items()}
    assert of["head.fc.weight"] == 1 > of["stages.3.blocks.1.mlp.fc1.weight"] > of["stem.0.weight"] > 0
    # Each is half of the next: all are powers of a half, none is left out.
    steps = sorted(set(scale.values()), reverse=True)
    assert steps == [0.5**number for number in range(len(steps))]
    assert layer_groups(network, None) == [{"params": list(network.parameters())}]


def test_a_network_whose_layers_are_not_known_has_one_rate() -> None:
    with pytest.raises(InputError, match=r"train\.layer_decay: timm does not say what the layers of Linear"):
        layer_groups(nn.Linear(2, 1), 0.5)
    assert len(layer_groups(nn.Linear(2, 1), None)) == 1
