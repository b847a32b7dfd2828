"""Samples live on the device where there is room; they are the same wherever they live."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from some_samples import PREPROCESSING, choose
from stronglens.formats.joined import join_sets
from stronglens.formats.packed import PackedSet
from stronglens.networks import loaded
from stronglens.networks.loaded import Residence, load_samples
from stronglens.networks.resident import ResidentSamples
from stronglens.networks.samples import Samples, join_samples, make_samples
from stronglens.networks.streamed import StreamedSamples
from stronglens.settings.preprocess import PreprocessSettings

CPU = torch.device("cpu")


@pytest.mark.parametrize("residence", ["always", "never"])
def test_a_network_sees_the_same_object_in_any_way(packed: PackedSet, residence: Residence) -> None:
    """Of an object's bands alone or stacked, of all objects or few: pixels and scale are the object's."""
    settings = PREPROCESSING["object"]
    everything = np.ones(len(packed.index), dtype=bool)
    each = make_samples(packed.index, "each", everything, packed.summary.bands)
    stack = make_samples(packed.index, ["i", "g"], everything, packed.summary.bands)
    single = load_samples(packed, each, settings, CPU, residence).take(torch.arange(len(each)))
    stacked = load_samples(packed, stack, settings, CPU, residence).take(torch.arange(len(stack)))
    for sample, rows in enumerate(stack.rows):
        for channel, row in enumerate(rows):
            expected = single[row, 0] if row >= 0 else torch.zeros(33, 33)
            assert torch.equal(stacked[sample, channel], expected)
    middle = Samples(each.rows[3:9], each.table.iloc[3:9])  # begins and ends within an object
    few = load_samples(packed, middle, settings, CPU, residence).take(torch.arange(6))
    assert torch.equal(few, single[3:9])


@pytest.mark.parametrize("residence", ["always", "never"])
def test_objects_without_any_of_the_bands_are_zero(packed: PackedSet, residence: Residence) -> None:
    rows = np.full((3, 2), -1)
    samples = Samples(rows, packed.index.iloc[:3][["path", "domain", "label", "object", "band"]])
    loaded_samples = load_samples(packed, samples, PREPROCESSING["plain"], CPU, residence)
    assert torch.equal(loaded_samples.take(torch.arange(3)), torch.zeros(3, 2, 33, 33))


def test_jobs_that_share_a_gpu_share_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**10, 2 * 10**10))
    gpu = torch.device("cuda")
    assert loaded._room_on(gpu) == pytest.approx(6e9)
    monkeypatch.setenv("STRONGLENS_JOBS_PER_GPU", "3")
    assert loaded._room_on(gpu) == pytest.approx(2e9)
    assert loaded._room_on(CPU) == float("inf")


def test_all_samples_of_a_job_share_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on the card already, 2.5 GB of 10, and what is kept for more of it, are of this job."""
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7 * 10**9, 2 * 10**10))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 10**9)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 25 * 10**8)
    assert loaded._room_on(gpu) == pytest.approx(6e9 - 2.5e9)


def test_samples_are_streamed_where_their_room_is_gone_meanwhile(
    packed: PackedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*given: object) -> ResidentSamples:
        raise torch.OutOfMemoryError("CUDA out of memory")

    samples = choose(packed, "each")
    monkeypatch.setattr(loaded, "load_resident", no_room)
    assert isinstance(load_samples(packed, samples, PREPROCESSING["plain"], CPU), StreamedSamples)
    with pytest.raises(torch.OutOfMemoryError):
        load_samples(packed, samples, PREPROCESSING["plain"], CPU, "always")


@pytest.mark.parametrize(
    ("gigabytes", "n_jobs", "whole", "half"),
    [
        (80, 1, True, True),
        (8, 1, False, True),
        (80, 8, False, True),
        (4, 1, False, False),
        (16, 4, False, False),
    ],
)
def test_a_million_cutouts_live_on_a_card_that_has_room_for_them(
    monkeypatch: pytest.MonkeyPatch, gigabytes: int, n_jobs: int, whole: bool, half: bool
) -> None:
    """They take 6.7 GB, or 3.4 GB in half precision, and may take 60 % of what is free, in equal shares."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (gigabytes * 10**9, 10**12))
    monkeypatch.setenv("STRONGLENS_JOBS_PER_GPU", str(n_jobs))
    monkeypatch.setattr(loaded, "load_resident", lambda *given: "resident")
    monkeypatch.setattr(loaded, "stream_samples", lambda *given: "streamed")
    # As many pixels in a hundredth of the cutouts, which are sooner counted.
    packed = SimpleNamespace(cutouts=np.broadcast_to(np.float32(0), (10**4, 410, 410)))
    samples = Samples(np.arange(10**4)[:, None], pd.DataFrame(index=range(10**4)))
    for dtype, lives in ((torch.float32, whole), (torch.bfloat16, half), (torch.float16, half)):
        found = load_samples(packed, samples, PreprocessSettings(), torch.device("cuda"), dtype=dtype)  # type: ignore[arg-type]
        assert found == ("resident" if lives else "streamed")


def test_what_has_no_room_is_streamed(packed: PackedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = choose(packed, "each")
    n_pixels = len(samples) * 33 * 33
    for dtype, n_bytes in ((torch.float32, 4 * n_pixels), (torch.bfloat16, 2 * n_pixels)):
        for room, kind in ((n_bytes, ResidentSamples), (n_bytes - 1, StreamedSamples)):
            monkeypatch.setattr(loaded, "_room_on", lambda device, room=room: room)
            found = load_samples(packed, samples, PREPROCESSING["plain"], CPU, dtype=dtype)
            assert isinstance(found, kind)
            if isinstance(found, ResidentSamples):
                assert found.images.dtype == dtype
                assert found.take(torch.arange(3)).dtype == torch.float32


def joined_with_itself(packed: PackedSet, bands: str | list[str]) -> tuple[Samples, Samples]:
    """Samples of a set, and those of the set and itself, as if these were two."""
    samples = choose(packed, bands)
    return samples, join_samples([samples, samples], [len(packed.index), len(packed.index)])


@pytest.mark.parametrize("residence", ["always", "never"])
@pytest.mark.parametrize("name", PREPROCESSING)
@pytest.mark.parametrize("bands", ["each", ["y", "g", "r"]])
def test_sets_that_are_joined_look_as_each_does_alone(
    packed: PackedSet, bands: str | list[str], name: str, residence: Residence
) -> None:
    """An object is normalised with its own cutouts, though another set has one of its key."""
    samples, both = joined_with_itself(packed, bands)
    settings = PREPROCESSING[name]
    alone = load_samples(packed, samples, settings, CPU, "always")
    joined = load_samples(join_sets([packed, packed]), both, settings, CPU, residence)
    assert isinstance(joined, ResidentSamples if residence == "always" else StreamedSamples)
    assert joined.image_shape == alone.image_shape
    n = len(samples)
    order = torch.from_numpy(np.random.default_rng(3).permutation(2 * n))
    shown = torch.cat(list(joined.in_turn(torch.split(order, 11))))
    assert torch.equal(shown, alone.take(order % n))
    assert torch.equal(joined.labels, alone.labels.repeat(2))


def test_where_only_one_of_two_sets_has_room_both_are_streamed(
    packed: PackedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are one set: half of a batch from here and half from there would be as slow."""
    samples, both = joined_with_itself(packed, "each")
    n_bytes = 2 * len(samples) * 33 * 33
    for room, kind in ((2 * n_bytes, ResidentSamples), (2 * n_bytes - 1, StreamedSamples)):
        monkeypatch.setattr(loaded, "_room_on", lambda device, room=room: room)
        found = load_samples(
            join_sets([packed, packed]), both, PREPROCESSING["plain"], CPU, dtype=torch.bfloat16
        )
        assert isinstance(found, kind)
        if isinstance(found, ResidentSamples):
            assert found.images.dtype == torch.bfloat16
            assert found.images.nbytes == 2 * n_bytes
