"""Networks with batch normalisation learn whatever number of samples is left for the last batch."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from packed_files import write_packed, write_splits
from stronglens.networks.batch_norm import has_batch_norm, in_batches
from stronglens.networks.network import build_network
from stronglens.running.errors import InputError
from stronglens.settings.network import NetworkSettings
from train import main

PLAIN, NORMALISED = nn.Sequential(nn.Linear(1, 1), nn.LayerNorm(1)), nn.Sequential(nn.BatchNorm2d(3))


@pytest.mark.parametrize("n_samples", range(2, 14))
@pytest.mark.parametrize("batch_size", [2, 3, 4, 64])
def test_no_batch_is_a_single_sample_and_none_is_lost(n_samples: int, batch_size: int) -> None:
    order = torch.randperm(n_samples)
    plain, found = (in_batches(order, batch_size, network) for network in (PLAIN, NORMALISED))
    assert torch.equal(torch.cat(found), order)
    assert [len(batch) for batch in plain] == [len(batch) for batch in torch.split(order, batch_size)]
    assert min(len(batch) for batch in found) > 1
    assert max(len(batch) for batch in found) <= batch_size + 1
    if len(plain[-1]) > 1:
        assert [len(batch) for batch in found] == [len(batch) for batch in plain]


def test_batches_of_one_sample_are_refused() -> None:
    assert len(in_batches(torch.arange(3), 1, PLAIN)) == 3
    with pytest.raises(InputError, match=r"train\.batch_size: expected 2 or more .* found 1"):
        in_batches(torch.arange(3), 1, NORMALISED)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet10t", True),
        ("mobilenetv3_small_050", True),
        ("convnextv2_atto", False),
        ("vit_tiny_patch16_224", False),
    ],
)
def test_timm_s_batch_normalisation_is_known(name: str, expected: bool) -> None:
    options = {"timm": {"img_size": 48, "patch_size": 16}} if name.startswith("vit") else {}
    side = 48 if options else 41
    settings = NetworkSettings.model_validate({"name": name, **options})
    assert has_batch_norm(build_network(settings, 1, side)) is expected


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_a_network_with_batch_normalisation_trains_with_one_sample_left_over(
    tmp_path: Path, name: str
) -> None:
    packed = write_packed(tmp_path / "packed", size_px=32)
    splits = write_splits(tmp_path / "splits", packed)
    settings = {"network": {"name": name}, "bands": ["g", "r"], "train": {"epochs": 1, "batch_size": 23}}
    options = [f"--packed={packed}", f"--splits={splits}", f"--out-dir={tmp_path}/member", "--device=cpu"]
    assert main([*options, "--threads=1", "--settings", json.dumps(settings)]) == 0
    results = json.loads((tmp_path / "member/results.json").read_text())
    assert results["n_samples"]["train"] % 23 == 1  # else nothing is tested
