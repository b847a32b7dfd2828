"""Softenings of the asinh stretch in units of the noise: measured on training cutouts, noted in counts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import predict
import train
from packed_files import write_packed, write_splits
from stronglens.artefact import read_json
from stronglens.networks.normalise import stretch_asinh
from stronglens.packing.cutout_statistics import frame_noise
from stronglens.packing.packed import open_packed
from stronglens.settings.preprocess import PreprocessSettings

NETWORK = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}


@pytest.mark.parametrize("bands", ["each", ["g", "r"]])
def test_training_measures_the_noise_and_prediction_takes_its_word(
    tmp_path: Path, bands: str | list[str]
) -> None:
    packed = write_packed(tmp_path / "packed")
    splits = write_splits(tmp_path / "splits", packed)
    settings = {
        "network": NETWORK,
        "bands": bands,
        "preprocess": {"normalisation": "asinh", "asinh_softening_in_noise": 12},
        "train": {"epochs": 1, "batch_size": 16},
    }
    options = [f"--packed={packed}", f"--splits={splits}", f"--out-dir={tmp_path}/member", "--device=cpu"]
    assert train.main([*options, "--settings", json.dumps(settings)]) == 0
    noted = read_json(tmp_path / "member/best.json")["settings"]["preprocess"]
    opened = open_packed(packed)
    split = pd.read_parquet(splits / "objects.parquet").set_index("object")["split"]
    learnt = (opened.index["object"].map(split) == "train").to_numpy()
    expected = {
        band: 12 * float(np.median(frame_noise(opened.cutouts[learnt & (opened.index["band"] == band)])))
        for band in ("grizy" if bands == "each" else bands)
    }
    assert noted["asinh_softening_of_band"] == pytest.approx(expected)
    assert noted["asinh_softening"] == pytest.approx(np.median(list(expected.values())))
    assert noted["asinh_softening_in_noise"] is None
    assert min(expected.values()) / 12 * 1.2 > 0.1 and max(expected.values()) / 12 < 0.2  # noise of 0.1
    assert predict.main([f"--member={tmp_path}/member", f"--packed={packed}", f"--out-dir={tmp_path}/p"]) == 0


def test_what_was_not_measured_is_not_guessed() -> None:
    settings = PreprocessSettings(normalisation="asinh", asinh_softening_in_noise=12)
    with pytest.raises(ValueError, match="expected softenings in counts, measured in training"):
        stretch_asinh(torch.zeros(1, 3, 3), ["g"], settings)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"normalisation": "object"}, "but normalisation is object; for example normalisation: asinh"),
        ({"normalisation": "asinh", "asinh_softening_of_band": {"g": 1}}, "are both given"),
    ],
)
def test_softenings_that_contradict_each_other(more: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreprocessSettings.model_validate({"asinh_softening_in_noise": 12} | more)
