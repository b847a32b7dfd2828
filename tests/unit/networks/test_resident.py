"""Samples on the device: which cutout is which channel of which sample."""

import numpy as np
import pytest
import torch

from some_samples import PREPROCESSING, choose
from stronglens.formats.packed import PackedSet
from stronglens.networks.preprocess import preprocess
from stronglens.networks.resident import ResidentSamples, load_resident
from stronglens.networks.samples import Samples

CPU = torch.device("cpu")


@pytest.mark.parametrize("has_gaps", [False, True])
def test_channels_are_the_cutouts_of_their_rows_and_missing_ones_are_zero(has_gaps: bool) -> None:
    images = torch.arange(1.0, 5.0, dtype=torch.bfloat16)[:, None, None].expand(4, 2, 3)
    rows = torch.tensor([[2, 0], [3, -1 if has_gaps else 3], [1, 1]])
    samples = ResidentSamples(images, rows, torch.zeros(3), has_gaps=has_gaps)
    assert (len(samples), samples.image_shape) == (3, (2, 2, 3))
    taken = samples.take(torch.tensor([2, 1, 0, 2]))
    assert taken.shape == (4, 2, 2, 3)
    assert taken.dtype == torch.float32
    assert taken[:, :, 0, 0].tolist() == [[2, 2], [4, 0 if has_gaps else 4], [3, 1], [2, 2]]
    turns = list(samples.in_turn([torch.tensor([1]), torch.tensor([0, 2])]))
    assert [turn[:, 0, 0, 0].tolist() for turn in turns] == [[4], [3, 2]]


@pytest.mark.parametrize("bands", ["each", ["y", "g", "r"]])
def test_only_what_is_used_is_prepared_and_each_cutout_once(
    packed: PackedSet, bands: str | list[str]
) -> None:
    samples, settings = choose(packed, bands), PREPROCESSING["plain"]
    loaded = load_resident(packed, samples, settings, CPU)
    used = np.unique(samples.rows[samples.rows >= 0])
    assert len(loaded.images) == len(used) < len(packed.cutouts)
    assert loaded.has_gaps == (bands != "each")
    assert loaded.labels.tolist() == samples.table["label"].tolist()
    taken = loaded.take(torch.arange(len(samples)))
    for sample, rows in enumerate(samples.rows):
        for channel, row in enumerate(rows):
            if row < 0:
                assert taken[sample, channel].abs().max() == 0
            else:
                alone = preprocess(torch.from_numpy(packed.cutouts[[row]]), settings)[0]
                assert torch.equal(taken[sample, channel], alone)


def test_no_samples_are_no_images(packed: PackedSet) -> None:
    chosen = choose(packed, "each")
    none = load_resident(packed, Samples(chosen.rows[:0], chosen.table.iloc[:0]), PREPROCESSING["plain"], CPU)
    assert (len(none), len(none.images), none.has_gaps) == (0, 0, False)
