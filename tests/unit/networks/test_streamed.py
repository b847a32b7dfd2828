"""Samples that are streamed are the same as those that live on the device."""

import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from packed_files import write_packed
from stronglens.formats.packed import PackedSet, open_packed
from stronglens.networks import loaded
from stronglens.networks.loaded import Residence, load_samples
from stronglens.networks.resident import ResidentSamples
from stronglens.networks.samples import Samples, make_samples
from stronglens.networks.streamed import StreamedSamples
from stronglens.settings.preprocess import PreprocessSettings

CPU = torch.device("cpu")
SETTINGS = {
    "plain": PreprocessSettings(smoothing="gaussian"),
    "padded": PreprocessSettings(scale="mad", pad_to_px=40),
    "psf": PreprocessSettings(smoothing="psf", psf_target_fwhm_px=4.5, psf_input_fwhm_px={"hsc": 3.6}),
    "object": PreprocessSettings(normalisation="object", smoothing="gaussian"),
    "asinh": PreprocessSettings(
        normalisation="asinh", asinh_softening=0.1, asinh_softening_of_band={"r": 0.3}
    ),
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> PackedSet:
    missing = [("slsim_lenses/D_00000001", "g"), ("hsc_lenses/D_00000002", "y")]
    return open_packed(write_packed(tmp_path_factory.mktemp("data") / "packed", missing=missing))


def choose(packed: PackedSet, bands: str | list[str]) -> Samples:
    """Samples of two thirds of the objects."""
    chosen = packed.index["object"].str[-1].astype(int).mod(3).ne(0).to_numpy()
    return make_samples(packed.index, bands, chosen, packed.summary.bands)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("bands", ["each", ["y", "g", "r"]])
def test_same_images(packed: PackedSet, bands: str | list[str], name: str) -> None:
    samples = choose(packed, bands)
    resident, streamed = (
        load_samples(packed, samples, SETTINGS[name], CPU, residence) for residence in ("always", "never")
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


@pytest.mark.parametrize("residence", ["always", "never"])
def test_a_network_sees_the_same_object_in_any_way(packed: PackedSet, residence: Residence) -> None:
    """Of an object's bands alone or stacked, of all objects or few: pixels and scale are the object's."""
    settings = SETTINGS["object"]
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
    loaded_samples = load_samples(packed, samples, SETTINGS["plain"], CPU, residence)
    assert torch.equal(loaded_samples.take(torch.arange(3)), torch.zeros(3, 2, 33, 33))


def test_whoever_stops_in_between_leaves_no_thread_behind(packed: PackedSet) -> None:
    streamed = load_samples(packed, choose(packed, "each"), SETTINGS["plain"], CPU, "never")
    turns = streamed.in_turn(torch.split(torch.arange(len(streamed)), 4))
    before = threading.active_count()
    next(turns)
    assert threading.active_count() == before + 1
    del turns
    assert threading.active_count() == before


def test_jobs_that_share_a_gpu_share_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**10, 2 * 10**10))
    gpu = torch.device("cuda")
    assert loaded._room_on(gpu) == pytest.approx(6e9)
    monkeypatch.setenv("STRONGLENS_JOBS_PER_GPU", "3")
    assert loaded._room_on(gpu) == pytest.approx(2e9)
    assert loaded._room_on(CPU) == float("inf")


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
            found = load_samples(packed, samples, SETTINGS["plain"], CPU, dtype=dtype)
            assert isinstance(found, kind)
            if isinstance(found, ResidentSamples):
                assert found.images.dtype == dtype
                assert found.take(torch.arange(3)).dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_images_on_a_gpu(packed: PackedSet) -> None:
    samples = choose(packed, ["g", "r", "y"])
    device = torch.device("cuda")
    resident, streamed = (
        load_samples(packed, samples, SETTINGS["plain"], device, residence)
        for residence in ("always", "never")
    )
    batches = torch.split(torch.randperm(len(samples), device=device), 5)
    for numbers, images in zip(batches, streamed.in_turn(batches), strict=True):
        torch.testing.assert_close(images, resident.take(numbers), rtol=0, atol=1e-5)
