"""Learning rates that fall from the last layer to the first."""

import pytest
from torch import nn

from stronglens.networks.network import build_network
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings
from stronglens.training.layer_rates import layer_groups


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
