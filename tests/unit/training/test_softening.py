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
from stronglens.formats.artefact import read_json, sha256_of, write_json
from stronglens.formats.packed import open_packed
from stronglens.inspecting.cutout_statistics import frame_noise
from stronglens.networks.normalise import stretch_asinh
from stronglens.networks.samples import make_samples
from stronglens.running.errors import InputError
from stronglens.settings.preprocess import PreprocessSettings
from stronglens.training.softening import with_measured_softening

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
    with pytest.raises(InputError, match="expected softenings in counts, measured in training, found"):
        stretch_asinh(torch.zeros(1, 3, 3), ["g"], settings)
    some = PreprocessSettings(normalisation="asinh", asinh_softening_of_band={"g": 1})
    with pytest.raises(InputError, match=r"found none for band r$"):
        stretch_asinh(torch.zeros(2, 3, 3), ["g", "r"], some)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e9])
def test_softenings_follow_the_unit_of_the_pixels(tmp_path: Path, unit: float) -> None:
    packed = write_packed(tmp_path / "packed", bands="gr")
    cutouts = np.load(packed / "cutouts.npy")
    np.save(packed / "cutouts.npy", (unit * cutouts.astype(np.float64)).astype(np.float32))
    restate(packed)
    opened = open_packed(packed)
    samples = make_samples(opened.index, "each", np.ones(len(opened.index), bool), ["g", "r"])
    settings = with_measured_softening(PreprocessSettings(normalisation="asinh"), opened, samples)
    # It goes through JSON to prediction, whatever its size.
    noted = PreprocessSettings.model_validate_json(settings.model_dump_json())
    noise = {
        band: float(np.median(frame_noise(cutouts[opened.index["band"] == band]))) for band in ("g", "r")
    }
    assert noted.asinh_softening_of_band == pytest.approx({band: 12 * unit * noise[band] for band in noise})
    bands = opened.index["band"].to_numpy(dtype=object)
    in_counts = PreprocessSettings(
        normalisation="asinh", asinh_softening_of_band={band: 12 * noise[band] for band in noise}
    )
    torch.testing.assert_close(
        stretch_asinh(torch.from_numpy(np.array(opened.cutouts)), bands, noted),
        stretch_asinh(torch.from_numpy(cutouts), bands, in_counts),
        rtol=1e-5,
        atol=1e-5,
    )
    given = PreprocessSettings(normalisation="asinh", asinh_softening_of_band={"g": 7})
    found = with_measured_softening(given, opened, samples).asinh_softening_of_band
    assert found == pytest.approx({"g": 7, "r": 12 * unit * noise["r"]})


def test_a_band_without_noise_is_named(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", bands="gr")
    cutouts = np.load(packed / "cutouts.npy")
    cutouts[1::2, :3] = cutouts[1::2, -3:] = cutouts[1::2, :, :3] = cutouts[1::2, :, -3:] = 2
    np.save(packed / "cutouts.npy", cutouts)
    restate(packed)
    opened = open_packed(packed)
    samples = make_samples(opened.index, "each", np.ones(len(opened.index), bool), ["g", "r"])
    with pytest.raises(InputError, match=r"packed: expected noise in the cutouts of band r"):
        with_measured_softening(PreprocessSettings(normalisation="asinh"), opened, samples)


def restate(packed: Path) -> None:
    summary = read_json(packed / "summary.json")
    summary["sha256"]["cutouts.npy"] = sha256_of(packed / "cutouts.npy")
    write_json(packed / "summary.json", summary)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"normalisation": "object"}, "but normalisation is object; for example normalisation: asinh"),
        ({"normalisation": "asinh", "asinh_softening_of_band": {"g": 1}}, "are both given"),
        ({"normalisation": "asinh", "asinh_softening": 0.1}, "asinh_softening are both given"),
    ],
)
def test_softenings_that_contradict_each_other(more: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreprocessSettings.model_validate({"asinh_softening_in_noise": 12} | more)
