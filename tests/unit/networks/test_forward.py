"""Outputs of a network for samples: each its own, in their order, whatever the batches are."""

import pytest
import torch
from torch import Tensor, nn

from stronglens.networks.forward import Room, logits_of, outputs_of
from stronglens.networks.precision import algorithms
from stronglens.networks.resident import ResidentSamples
from stronglens.settings.train import TrainSettings


class Noting(nn.Module):
    """Gives the first pixel of each sample, ten times that, and 1 in training; notes its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images)
        first = images[:, 0, 0, 0]
        return torch.stack([first, 10 * first, torch.full_like(first, float(self.training))], dim=1)


class Small(Noting):
    """Has room for three images at once."""

    def forward(self, images: Tensor) -> Tensor:
        outputs = super().forward(images)
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return outputs


class NoRoom(nn.Module):
    """Has room for none."""

    def forward(self, images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture
def samples() -> ResidentSamples:
    images = torch.arange(1.0, 8.0)[:, None, None].expand(7, 2, 2)
    return ResidentSamples(images, torch.arange(7).flip(0)[:, None], torch.zeros(7), has_gaps=False)


@pytest.mark.parametrize("fill", [False, True])
def test_every_sample_has_its_own_outputs(samples: ResidentSamples, fill: bool) -> None:
    network = Noting().train()
    outputs = outputs_of(network, samples, None, 3, fill=fill)
    first = torch.arange(7.0, 0.0, -1.0)
    assert torch.equal(outputs, torch.stack([first, 10 * first, torch.zeros(7)], dim=1))
    assert [len(images) for images in network.shown] == [3, 3, 3 if fill else 1]
    if fill:
        assert network.shown[2][1:].abs().sum() == 0
    assert torch.equal(logits_of(network, samples, None, 4, fill=fill), first)


def test_a_compiled_network_is_asked_in_place_of_the_network(samples: ResidentSamples) -> None:
    network = Noting()
    outputs = outputs_of(network, samples, None, 4, forward=lambda images: -images[:, :, 0, 0])
    assert torch.equal(outputs[:, 0], -torch.arange(7.0, 0.0, -1.0))
    assert network.shown == []
    assert not outputs.requires_grad


def test_half_precision_comes_back_as_float32(samples: ResidentSamples) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    seen = []
    found = outputs_of(
        network, samples, torch.bfloat16, 4, forward=lambda images: seen.append(network(images)) or seen[-1]
    )
    assert {one.dtype for one in seen} == {torch.bfloat16}
    assert found.dtype == torch.float32


def test_fewer_are_shown_where_a_batch_has_no_room(
    samples: ResidentSamples, caplog: pytest.LogCaptureFixture
) -> None:
    network = Small()
    assert torch.equal(logits_of(network, samples, None, 5, fill=True), torch.arange(7.0, 0.0, -1.0))
    assert [len(images) for images in network.shown] == [5, 2, 2, 1, 2, 2, 1]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("5 images have no room on the GPU at once, 2 are tried: CUDA out of")


def test_what_has_fitted_is_known_the_next_time(samples: ResidentSamples) -> None:
    network, room = Small(), Room(5)
    for _ in range(2):
        logits_of(network, samples, None, 5, room=room)
    assert room.most == 2
    assert [len(images) for images in network.shown] == [5, 2, 2, 1, 2, 2, 2, 1, 2]


def test_no_room_is_an_error_where_bytes_count(samples: ResidentSamples) -> None:
    with algorithms(TrainSettings(deterministic=True)), pytest.raises(torch.OutOfMemoryError):
        logits_of(Small(), samples, None, 5)
    with pytest.raises(torch.OutOfMemoryError):
        logits_of(NoRoom(), samples, None, 5)
