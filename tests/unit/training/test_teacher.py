"""Learning from an ensemble: its probabilities as targets, the loss, a whole training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as loss_of

import ensemble
import predict
import train
from capsule_files import SMALL
from packed_files import write_packed, write_splits
from stronglens.configuring.config import check_config
from stronglens.configuring.distilled import with_distilled
from stronglens.formats.artefact import read_json, sha256_of, write_json
from stronglens.networks.resident import ResidentSamples
from stronglens.networks.samples import Samples
from stronglens.running.errors import InputError
from stronglens.settings.train import TrainSettings
from stronglens.training.teacher import read_lesson
from stronglens.training.trainer import Trainer

ROWS = [("a", 1, 0.7, 0.9), ("b", 0, 0.2, 0.1), ("c", 1, 0.4, 0.3)]
"""Object, label, probability, the same before calibration."""


def table_of(folder: Path, rows: list[tuple[Any, ...]] = ROWS, *, calibrated: bool = True) -> Path:
    columns = ["object", "label", "prob", "prob_raw"]
    table = pd.DataFrame(rows, columns=columns)[columns if calibrated else columns[:3]]
    csv = folder / "train_ens.csv"
    table.to_csv(csv, index=False)
    described = {"format": 1, "members": [], "level": "object", "sha256": {csv.name: sha256_of(csv)}}
    write_json(folder / "train_ens.json", described)
    return csv


def samples_of(*objects: tuple[str, int]) -> Samples:
    table = pd.DataFrame(objects, columns=["object", "label"])
    return Samples(np.arange(len(table))[:, None], table)


def test_each_cutout_gets_the_probability_of_its_object_before_calibration(tmp_path: Path) -> None:
    samples = samples_of(("b", 0), ("a", 1), ("a", 1), ("seen by no member", 1))
    csv = table_of(tmp_path)
    lesson = read_lesson(csv, samples, "nano")
    assert lesson is not None
    torch.testing.assert_close(lesson.targets, torch.tensor([0.1, 0.9, 0.9, 1.0]))
    assert lesson.sha256 == sha256_of(csv)
    plain = read_lesson(table_of(tmp_path, calibrated=False), samples, "nano")
    assert plain is not None
    torch.testing.assert_close(plain.targets, torch.tensor([0.2, 0.7, 0.7, 1.0]))
    assert read_lesson(None, samples, None) is None


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        ([("x", 1), ("y", 0)], "found none of any of them"),
        ([("b", 0), ("a", 0)], "another of a"),
    ],
    ids=["other objects", "other labels"],
)
def test_a_table_of_other_objects_teaches_nothing(tmp_path: Path, objects: Any, says: str) -> None:
    csv = table_of(tmp_path)
    with pytest.raises(InputError, match=says):
        read_lesson(csv, samples_of(*objects), "nano")


def test_a_changed_or_unasked_table_is_refused(tmp_path: Path) -> None:
    csv = table_of(tmp_path)
    with pytest.raises(InputError, match="without the setting"):
        read_lesson(csv, samples_of(("a", 1)), None)
    with pytest.raises(InputError, match="no table of nano"):
        read_lesson(None, samples_of(("a", 1)), "nano")
    csv.write_text(csv.read_text().replace("0.9", "0.8"))
    with pytest.raises(InputError, match=r"train_ens\.csv"):
        read_lesson(csv, samples_of(("a", 1)), "nano")


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_cross_entropy_with_the_targets(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(8, 5, 5, generator=generator), (torch.arange(8) % 2).float()
    targets, weights = torch.rand(8, generator=generator), torch.rand(8, generator=generator) + 0.5
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(25, 1))
    with torch.no_grad():
        logits = network(images)[:, 0]
    wanted = targets * (1 - smoothing) + smoothing / 2
    expected = -(wanted * torch.sigmoid(logits).log() + (1 - wanted) * torch.sigmoid(-logits).log())
    samples = ResidentSamples(images, torch.arange(8)[:, None], labels, has_gaps=False)
    settings = TrainSettings(epochs=1, batch_size=8, lr=1e-9, augment=False, label_smoothing=smoothing)
    result = Trainer(
        network,
        samples,
        samples,
        settings,
        1,
        weights=weights,
        targets=targets,  # type: ignore[arg-type]
    ).fit()
    record = result.records[0]
    assert record.train_loss == pytest.approx((expected * weights).mean().item(), rel=1e-5)
    # What decides on the best epoch are the labels.
    assert record.val_loss == pytest.approx(loss_of(logits, labels).item(), rel=1e-5)


def test_a_network_learns_what_its_teacher_says_and_not_its_labels(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", n_per_bucket=12)
    data = ["--packed", str(packed), "--splits", str(write_splits(tmp_path / "splits", packed))]
    cpu = ["--device", "cpu", "--threads", "1"]
    settings = {"network": SMALL, "train": {"epochs": 1, "batch_size": 16}}

    def member(name: str, *more: str, **own: Any) -> Path:
        out = tmp_path / name
        stated = ["--out-dir", str(out), "--model", name, "--settings", json.dumps(settings | own)]
        assert train.main([*data, *cpu, *stated, *more]) == 0
        return out

    def combined(which: str, *more: str) -> Path:
        folder = tmp_path / "predictions" / which
        chosen = ["--member", str(tmp_path / "teacher"), "--split", which, "--out-dir", str(folder)]
        assert predict.main([*data, *cpu, *chosen]) == 0
        out = tmp_path / "ensemble" / which
        given = ["--predictions", str(folder), "--packed", str(packed), "--which", which]
        assert ensemble.main([*given, "--out-dir", str(out), *more]) == 0
        return out / f"{which}_ens.csv"

    member("teacher")
    fitted = combined("val", "--settings", json.dumps({"calibration": "temperature"}))
    csv = combined("train", "--validation", str(fitted.with_suffix(".json")))
    table = pd.read_csv(csv)
    split = pd.read_parquet(tmp_path / "splits" / "objects.parquet").set_index("object")["split"]
    assert set(table["object"]) == set(split.index[split == "train"])
    assert "pred" not in table
    assert read_json(csv.with_suffix(".json"))["combination"]["settings"]["calibration"] == "temperature"
    student = read_json(member("student", "--teacher", str(csv), distil_from="nano") / "best.json")
    assert student["teacher_sha256"] == sha256_of(csv)
    assert student["settings"]["distil_from"] == "nano"
    assert "distil_from" not in read_json(tmp_path / "teacher" / "best.json")["settings"]
    # The first epoch's loss, of equal first weights, is the only thing that says what was learnt.
    losses = [
        pd.read_csv(tmp_path / name / "training_log.csv")["train_loss"][0] for name in ("teacher", "student")
    ]
    assert losses[0] != losses[1]


CONFIG = {
    "data": {
        "labelled": {"slsim_lenses": "a", "slsim_nonlenses": "b", "hsc_lenses": "c", "hsc_nonlenses": "d"}
    },
    "testsets": {
        "challenge": {"path": "e"},
        "scored": {
            "labelled": True,
            "buckets": {"slsim_lenses": "f", "slsim_nonlenses": "g", "hsc_lenses": "h", "hsc_nonlenses": "i"},
        },
    },
    "models": {
        "nano": {"seeds": [7, 8], "seed_overrides": {7: {"train": {"lr": 1e-4}}}},
        "small": {"seeds": [1], "distil_from": "all"},
    },
    "ensembles": {
        "all": {"models": ["nano"], "calibration": "temperature"},
        "files": {"models": ["nano"], "level": "file"},
        "one": {"models": ["small"]},
    },
    "submission": {"ensemble": "all"},
}


def learning_on(*testsets: str) -> dict[str, Any]:
    """A network that learns from test sets too."""
    return {"distil_from": "all", "distil_on": list(testsets)}


def test_distilled_ensembles_have_the_first_settings_of_their_teacher() -> None:
    plain = check_config(CONFIG, "config")
    assert with_distilled(plain) is plain
    config = with_distilled(check_config(CONFIG | {"capsule": {"distil": True}}, "config"))
    # Neither of files nor of what is distilled already.
    assert set(config.ensembles) - set(plain.ensembles) == {"all_distilled"}
    assert config.members("all_distilled") == [("all_distilled", 7)]
    assert config.ensembles["all_distilled"].calibration == "temperature"
    settings = config.member_settings("all_distilled", 7)
    assert settings.distil_from == "all"
    assert settings.train.lr == 1e-4
    assert config.teachers("all_distilled") == config.teachers("small") == {"all"}
    # Off: no record, and no parameter of a rule, says that there is such a setting.
    assert "distil_on" not in settings.model_dump(mode="json") | config.capsule.model_dump(mode="json")
    capsule = {"distil": True, "distil_on": ["challenge"]}
    config = with_distilled(check_config(CONFIG | {"capsule": capsule}, "config"))
    more = config.member_settings("all_distilled", 7)
    assert more == settings.model_copy(update={"distil_on": ["challenge"]})
    assert config.member_settings("small", 1).distil_on == []


@pytest.mark.parametrize(
    ("models", "more", "says"),
    [
        ({"small": {"seeds": [1], "distil_from": "al"}}, {}, "did you mean all"),
        ({"small": {"seeds": [1], "distil_from": "files"}}, {}, "level is file"),
        ({"small": {"seeds": [1], "distil_from": "one"}}, {}, "neither could be trained first"),
        ({"nano": {"seeds": [1], "distil_from": "one"}}, {}, "neither could be trained first"),
        ({"small": {"checkpoints": {1: "x"}, "distil_from": "all"}}, {}, "learns from no ensemble"),
        (
            {},
            {"searches": {"s": {"model": "small", "space": {"train.lr": {"low": 1e-5, "high": 1e-3}}}}},
            "learns from an ensemble",
        ),
        ({"all_distilled": {"seeds": [1]}}, {"capsule": {"distil": True}}, "kept for what capsule.distil"),
        ({"nano": {"seeds": [1], "distil_on": ["challenge"]}}, {}, "for example distil_from: nano"),
        ({"small": {"seeds": [1]} | learning_on("challenges")}, {}, "did you mean challenge"),
        (
            {"small": {"seeds": [1]} | learning_on("heldout")},
            {},
            "found heldout, expected the name of a test set",
        ),
        ({"small": {"seeds": [1]} | learning_on("scored")}, {}, "found scored, which is labelled"),
        (
            {"small": {"seeds": [1], "seed_overrides": {1: learning_on("scored")}}},
            {},
            "overrides.1.distil_on: found scored",
        ),
        ({"small": {"seeds": [1]} | learning_on("challenge", "challenge")}, {}, "a test set twice"),
        (
            {"small": {"seeds": [1]} | learning_on("challenge") | {"distil_from": "one"}},
            {},
            "neither could be trained",
        ),
        ({}, {"capsule": {"distil_on": ["challenge"]}}, "capsule.distil is off"),
        ({}, {"capsule": {"distil": True, "distil_on": ["scored"]}}, "capsule.distil_on: found scored"),
    ],
)
def test_teachers_that_cannot_be(models: dict[str, Any], more: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_config(CONFIG | {"models": CONFIG["models"] | models} | more, "config")  # type: ignore[operator]
