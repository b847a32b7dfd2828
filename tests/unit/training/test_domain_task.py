"""Domains, learnt beside the label: their loss, and outputs that are gone when training ends."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import cross_entropy

from small_trainings import (
    PRODUCTS,
    SETTINGS,
    SmallNetwork,
    die_once_kept,
    small_network,
    small_samples,
    train,
    with_train,
)
from stronglens.networks.forward import outputs_of
from stronglens.networks.network import build_network
from stronglens.networks.resident import ResidentSamples
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings
from stronglens.settings.network import NetworkSettings
from stronglens.settings.train import TrainSettings
from stronglens.training.domain_task import (
    DomainTargets,
    make_domain_targets,
    take_weights,
    without_more,
)
from stronglens.training.lens_task import LensTargets, mean_of
from stronglens.training.trainer import Trainer

CPU = torch.device("cpu")
DOMAINS = pd.DataFrame({"domain": ["slsim", "hsc", "slsim", "euclid"]})
WITH = with_train(domain_weight=0.5)


def targets_of(table: pd.DataFrame, n_unlabelled: int = 0) -> DomainTargets:
    targets = make_domain_targets(table, 0.3, CPU, n_unlabelled)
    assert targets is not None
    return targets


def test_the_loss_is_the_weighted_cross_entropy_of_known_domains() -> None:
    targets = targets_of(DOMAINS, n_unlabelled=2)
    assert (targets.n_domains, targets.weight) == (3, 0.3)
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    numbers, weights = torch.tensor([0, 3, 5, 1]), torch.tensor([0.5, 2.0, 9.0, 1.0])
    # In alphabetical order: euclid, hsc, slsim; sample 5 has none.
    each = cross_entropy(outputs, torch.tensor([2, 0, 0, 1]), reduction="none")[[0, 1, 3]]
    torch.testing.assert_close(mean_of(*targets.loss(outputs, numbers)), each.mean())
    expected = (each * weights[[0, 1, 3]]).sum() / 3.5
    torch.testing.assert_close(mean_of(*targets.loss(outputs, numbers, weights)), expected)


def test_a_batch_without_a_known_domain_teaches_nothing() -> None:
    outputs = torch.randn(2, 3, requires_grad=True)
    mean_of(*targets_of(DOMAINS, 2).loss(outputs, torch.tensor([4, 5]))).backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert not outputs.grad.any()


def test_there_must_be_something_to_tell_apart() -> None:
    assert make_domain_targets(DOMAINS, 0.0, CPU) is None
    with pytest.raises(InputError, match="of two domains or more, found slsim alone"):
        make_domain_targets(DOMAINS[DOMAINS["domain"] == "slsim"], 0.3, CPU)


@pytest.mark.parametrize(
    ("name", "options"),
    [("cutout_resnet", {}), ("convnextv2_atto", {}), ("deit_tiny_distilled_patch16_224", {"img_size": 41})],
)
def test_a_network_s_own_outputs_are_the_first_of_one_with_more(name: str, options: dict[str, Any]) -> None:
    def built(n_outputs: int) -> nn.Module:
        settings = NetworkSettings(name=name, timm=options)  # the last has two layers of outputs
        return build_network(settings, in_chans=2, size_px=41, n_outputs=n_outputs).eval()

    plain, wide, other = built(3), built(5), built(3)
    take_weights(wide, plain.state_dict())
    images = torch.randn(4, 2, 41, 41)
    with torch.inference_mode():
        outputs, expected = wide(images), plain(images)
    torch.testing.assert_close(outputs[:, :3], expected)
    other.load_state_dict(without_more(wide.state_dict(), other))
    assert all(torch.equal(own, plain.state_dict()[key]) for key, own in other.state_dict().items())


def test_a_network_learns_to_tell_domains_apart_beside_all_else() -> None:
    noise = small_samples()
    bright = torch.arange(90) % 3 == 0
    samples = ResidentSamples(noise.images + bright[:, None, None], noise.rows, noise.labels, has_gaps=False)
    domains = targets_of(pd.DataFrame({"domain": ["a" if one else "b" for one in bright]}))
    network = small_network()
    assert isinstance(network, SmallNetwork)
    network[-1] = nn.Linear(4 * 49, 1 + 1 + 2)
    # A lens parameter that is 1 for all: outputs of one task reach no other.
    lens = LensTargets(torch.ones(90, 1), 1.0)
    settings = TrainSettings(epochs=30, batch_size=16, lr=1e-2)
    trainer = Trainer(
        network,
        samples,
        samples,
        settings,
        1,
        lens=lens,
        domains=dataclasses.replace(domains, weight=1.0),
    )
    result = trainer.fit()
    assert result.lens_losses[-1] < 0.5 * result.lens_losses[0]
    outputs = outputs_of(trainer._learner.network, samples, None, 90)
    found = outputs[:, 2:].argmax(dim=1)
    assert (found == (~bright).long()).float().mean() > 0.95
    assert (outputs[:, 1] - 1).abs().mean() < 0.3


@pytest.mark.parametrize("more", [{}, {"ema_decay": 0.9, "layer_decay": 0.8, "optimiser": "muon"}])
def test_a_member_is_of_the_same_kind_and_a_cut_training_gives_the_same_bytes(
    data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    with_domains = with_train(domain_weight=0.5, **more)
    assert train(data, tmp_path / "plain") == train(data, tmp_path / "whole", with_domains) == 0
    plain, found = (torch.load(tmp_path / name / "best.pt", weights_only=True) for name in ("plain", "whole"))
    assert {key: tensor.shape for key, tensor in found.items()} == {
        key: tensor.shape for key, tensor in plain.items()
    }
    assert not torch.equal(found["head.fc.weight"], plain["head.fc.weight"])
    described = json.loads((tmp_path / "whole/best.json").read_text())
    assert described["settings"]["train"]["domain_weight"] == 0.5
    assert "domain_weight" not in json.loads((tmp_path / "plain/best.json").read_text())["settings"]["train"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_once_kept(patch, 1, 1)
        train(data, tmp_path / "cut", with_domains)
    assert train(data, tmp_path / "cut", with_domains) == 0
    for name in PRODUCTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_settings_that_leave_nothing_to_tell_apart() -> None:
    for more, why in (
        ({"domains": ["hsc"]}, "two domains or more to tell apart, found hsc alone"),
        ({"train": {"domain_weight": 0.5, "mixup_alpha": 0.2}}, "an image mixed of two has no one domain"),
    ):
        with pytest.raises(ValidationError, match=why):
            MemberSettings.model_validate(SETTINGS | WITH | more)
