"""Samples that are streamed are the same as those that live on the device."""

import threading

import numpy as np
import pytest
import torch

from some_samples import PREPROCESSING, choose
from stronglens.formats.packed import PackedSet
from stronglens.networks.loaded import load_samples
from stronglens.networks.resident import ResidentSamples
from stronglens.networks.streamed import StreamedSamples

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", PREPROCESSING)
@pytest.mark.parametrize("bands", ["each", ["y", "g", "r"]])
def test_same_images(packed: PackedSet, bands: str | list[str], name: str) -> None:
    samples = choose(packed, bands)
    resident, streamed = (
        load_samples(packed, samples, PREPROCESSING[name], CPU, residence)
        for residence in ("always", "never")
    )
    assert isinstance(resident, ResidentSamples)
    assert isinstance(streamed, StreamedSamples)
    assert len(resident) == len(streamed) == len(samples)
    assert resident.image_shape == streamed.image_shape
    assert torch.equal(resident.labels, streamed.labels)
    batches = torch.split(torch.from_numpy(np.random.default_rng(3).permutation(len(samples))), 7)
    taken = list(streamed.in_turn(batches))
    assert len(taken) == len(batches)
    for numbers, images in zip(batches, taken, strict=True):
        assert images.shape == (len(numbers), *streamed.image_shape)
        assert torch.equal(images, resident.take(numbers))
    assert torch.equal(streamed.take(batches[0]), taken[0])
    assert not list(streamed.in_turn([]))


def test_whoever_stops_in_between_leaves_no_thread_behind(packed: PackedSet) -> None:
    streamed = load_samples(packed, choose(packed, "each"), PREPROCESSING["plain"], CPU, "never")
    turns = streamed.in_turn(torch.split(torch.arange(len(streamed)), 4))
    before = threading.active_count()
    next(turns)
    assert threading.active_count() == before + 1
    del turns
    assert threading.active_count() == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_images_on_a_gpu(packed: PackedSet) -> None:
    samples = choose(packed, ["g", "r", "y"])
    device = torch.device("cuda")
    resident, streamed = (
        load_samples(packed, samples, PREPROCESSING["plain"], device, residence)
        for residence in ("always", "never")
    )
    batches = torch.split(torch.randperm(len(samples), device=device), 5)
    for numbers, images in zip(batches, streamed.in_turn(batches), strict=True):
        torch.testing.assert_close(images, resident.take(numbers), rtol=0, atol=1e-5)
