"""Learning from objects without labels what a teacher says of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from blind_files import MEMBERS, objects_of, write_answers, write_blind
from lens_files import write_parameters
from packed_files import state_index
from small_trainings import PRODUCTS, SETTINGS, STACK, die_once_kept, train
from stronglens.formats.artefact import read_json, sha256_of, write_json
from stronglens.formats.joined import join_sets
from stronglens.formats.member_files import MemberDescription
from stronglens.formats.prediction_files import Member
from stronglens.networks.loaded import load_samples
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings
from stronglens.settings.preprocess import PreprocessSettings
from stronglens.training.teacher import Lesson
from stronglens.training.unlabelled import Unlabelled, UnlabelledFiles, read_unlabelled, unlabelled_files

CPU = torch.device("cpu")
NONE_KEPT_BACK = pd.Series([], dtype=str)
MISSING = [("03", "g"), ("05", "y"), *(("06", band) for band in "gr")]


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test set in two parts, some bands of which are missing."""
    return write_blind(tmp_path_factory.mktemp("blind") / "challenge", n_parts=2, missing=MISSING)


@pytest.fixture(scope="module")
def answers(blind: Path) -> Path:
    return write_answers(blind / "test_ens.csv", objects_of(blind))


LESSON = Lesson(torch.tensor([0.3]), "0" * 64, [Member(**one) for one in MEMBERS])
"""What the teacher says of the training objects."""


def read(packed: Path, csv: Path, kept_back: pd.Series = NONE_KEPT_BACK, **settings: Any) -> Unlabelled:
    member = MemberSettings.model_validate({"distil_from": "nano", "distil_on": ["challenge"]} | settings)
    found = read_unlabelled({"challenge": UnlabelledFiles(packed, csv)}, member, LESSON, kept_back)
    assert found is not None
    return found


@pytest.mark.parametrize("bands", ["each", ["g", "y"]])
def test_each_sample_gets_the_probability_of_its_object_before_calibration(
    blind: Path, answers: Path, bands: Any
) -> None:
    found = read(blind, answers, bands=bands)
    table = pd.read_csv(answers, dtype={"object": str}).set_index("object")["prob_raw"]
    assert found.samples.table["object"].is_monotonic_increasing
    assert set(found.samples.table["object"]) == set(table.index)
    assert len(found.samples) == (16 * 5 - 4 if bands == "each" else 16)
    expected = table[found.samples.table["object"]].to_numpy(np.float32)
    assert np.array_equal(found.targets.numpy(), expected)
    assert found.samples.table["label"].tolist() == (expected >= 0.5).astype(int).tolist()
    stated = found.stated["challenge"]
    assert stated["teacher_sha256"] == sha256_of(answers)
    assert stated["n_objects"] == 16
    assert stated["n_samples"] == len(found.samples)
    for part in (0, 1):
        assert stated["cutouts_sha256"][part] == sha256_of(blind / f"part_{part}" / "cutouts.npy")
        assert stated["index_sha256"][part] == sha256_of(blind / f"part_{part}" / "index.parquet")
    # The rows are those of their objects' cutouts, whichever part these are in.
    index = pd.concat([part.index for part in found.parts], ignore_index=True)
    for row, (key, letters) in zip(
        found.samples.rows, found.samples.table[["object", "band"]].to_numpy(), strict=True
    ):
        seen = index.iloc[row[row >= 0]]
        assert set(seen["object"]) <= {key}
        assert set(seen["band"]) <= set(letters)
    assert ((found.samples.rows < 0).sum() == 3) == (bands != "each")  # 03 and 06 lack g, 05 lacks y


@pytest.mark.parametrize("bands", ["each", ["i", "g"]])
def test_the_number_of_parts_changes_nothing_that_is_learnt(tmp_path: Path, bands: Any) -> None:
    found = []
    for n_parts in (1, 3):
        packed = write_blind(tmp_path / f"{n_parts}", n_parts=n_parts, missing=MISSING)
        csv = write_answers(tmp_path / f"answers_{n_parts}" / "test_ens.csv", objects_of(packed))
        one = read(packed, csv, bands=bands)
        images = load_samples(join_sets(one.parts), one.samples, PreprocessSettings(), CPU)
        found.append((one.targets, images.labels, images.take(torch.arange(len(images)))))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_a_set_may_lie_in_one_folder(blind: Path, answers: Path, tmp_path: Path) -> None:
    packed = write_blind(tmp_path / "packed", missing=MISSING)
    csv = write_answers(tmp_path / "test_ens.csv", objects_of(packed))
    assert torch.equal(read(packed / "part_0", csv).targets, read(blind, answers).targets)


def test_objects_of_which_nothing_is_known_or_seen_are_left_out(blind: Path, tmp_path: Path) -> None:
    objects = objects_of(blind)
    # 00 has no answer, and the teacher's members look at no band of 01.
    n_cutouts = [2 if key != "01" else 0 for key in objects[1:]]
    csv = write_answers(tmp_path / "test_ens.csv", objects[1:], n_cutouts=n_cutouts)
    left = [key for key in objects if key not in ("00", "01")]
    assert read(blind, csv, bands=["i", "g"]).samples.table["object"].tolist() == left
    # This network sees nothing of 06.
    left.remove("06")
    assert read(blind, csv, bands=["g", "r"]).samples.table["object"].tolist() == left
    complete = {"bands": ["g", "y"], "train": {"skip_incomplete": True}}
    left = [key for key in left if key not in ("03", "05")]
    assert read(blind, csv, **complete).samples.table["object"].tolist() == left
    # One that shows the pixels of a held-out object in one of its bands is not learnt from in any.
    index = pd.read_parquet(blind / "part_1" / "index.parquet")
    copied = index.iloc[[-1]]
    (key,) = copied["object"]
    kept = read(blind, csv, copied["pixel_hash"]).samples.table["object"]
    assert set(objects) - set(kept) == {"00", "01", key}


def test_without_test_sets_nothing_is_read() -> None:
    assert read_unlabelled({}, MemberSettings(), None, NONE_KEPT_BACK) is None
    taught = MemberSettings(distil_from="nano")
    assert read_unlabelled({}, taught, LESSON, NONE_KEPT_BACK) is None


def test_several_sets_follow_each_other(blind: Path, answers: Path, tmp_path: Path) -> None:
    other = write_blind(tmp_path / "other", name="other", n_parts=1)
    csv = write_answers(tmp_path / "test_ens.csv", objects_of(other), prob_raw=0.25)
    files = {"challenge": UnlabelledFiles(blind, answers), "other": UnlabelledFiles(other, csv)}
    settings = MemberSettings(distil_from="nano", distil_on=["other", "challenge"], bands=["g", "i"])
    found = read_unlabelled(files, settings, LESSON, NONE_KEPT_BACK)
    assert found is not None
    assert list(found.stated) == ["other", "challenge"]
    assert found.targets[:16].tolist() == [0.25] * 16
    assert torch.equal(found.targets[16:], read(blind, answers, bands=["g", "i"]).targets)
    assert [part.summary.dataset for part in found.parts] == ["other", "challenge", "challenge"]
    assert found.samples.rows[:16].max() < len(found.parts[0].index) <= found.samples.rows[16:, 1].min()


def _another_set(packed: Path, csv: Path) -> None:
    summary = read_json(packed / "part_1" / "summary.json")
    write_json(packed / "part_1" / "summary.json", summary | {"dataset": "other"})


def _a_part_twice(packed: Path, csv: Path) -> None:
    shutil.rmtree(packed / "part_1")
    shutil.copytree(packed / "part_0", packed / "part_1")


def _labelled(packed: Path, csv: Path) -> None:
    summary = read_json(packed / "part_0" / "summary.json")
    write_json(packed / "part_0" / "summary.json", summary | {"labelled": True})


def _changed_cutouts(packed: Path, csv: Path) -> None:
    cutouts = np.load(packed / "part_1" / "cutouts.npy")
    cutouts[0, 0, 0] += 1
    np.save(packed / "part_1" / "cutouts.npy", cutouts)


def _changed_index(packed: Path, csv: Path) -> None:
    path = packed / "part_0" / "index.parquet"
    pd.read_parquet(path).assign(band="g").to_parquet(path)


def _changed_table(packed: Path, csv: Path) -> None:
    csv.write_text(csv.read_text().replace("0.95", "0.85"))


def _another_packed_set(packed: Path, csv: Path) -> None:
    path = packed / "part_0" / "index.parquet"
    index = pd.read_parquet(path)
    index.assign(object=index["object"].replace(index["object"][0], "new")).to_parquet(path)
    state_index(packed / "part_0")


def _other_members(packed: Path, csv: Path) -> None:
    write_answers(csv, objects_of(packed), members=MEMBERS[:1])


def _of_files(packed: Path, csv: Path) -> None:
    path = csv.with_name("test_ens.json")
    write_json(path, read_json(path) | {"level": "file"})


def _nothing_seen(packed: Path, csv: Path) -> None:
    write_answers(csv, objects_of(packed), n_cutouts=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            _another_set,
            r"part_1/summary\.json: expected part 1 of 2 of challenge, found part 1 of 2 of other",
        ),
        (_a_part_twice, r"part_1/summary\.json: expected part 1 of 2 of challenge, found part 0 of 2"),
        (_labelled, r"part_0/summary\.json: expected a test set without labels, found a labelled one"),
        (_changed_cutouts, r"part_1/cutouts\.npy: expected .*, found "),
        (_changed_index, r"part_0/index\.parquet: expected .*, found "),
        (_changed_table, r"test_ens\.csv: expected .*, found "),
        (_another_packed_set, r"test_ens\.csv: expected objects of .*challenge, found .., which it lacks"),
        (
            _other_members,
            r"test_ens\.csv: expected probabilities of nano seed 1, nano seed 2, .* found those",
        ),
        (_of_files, r"test_ens\.csv: expected an ensemble of level object, found level file"),
        (_nothing_seen, r"challenge: expected objects with a probability in .*, found none among 16"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    blind: Path, tmp_path: Path, change: Callable[[Path, Path], None], says: str
) -> None:
    packed = shutil.copytree(blind, tmp_path / "challenge")
    csv = write_answers(tmp_path / "test_ens.csv", objects_of(packed))
    read(packed, csv)
    change(packed, csv)
    with pytest.raises(InputError, match=says):
        read(packed, csv)


def test_sets_and_settings_name_the_same(blind: Path, answers: Path) -> None:
    files = unlabelled_files({"challenge": blind}, {"challenge": answers})
    assert files == {"challenge": UnlabelledFiles(blind, answers)}
    with pytest.raises(InputError, match="setting distil_on, none, found challenge"):
        read_unlabelled(files, MemberSettings(distil_from="nano"), LESSON, NONE_KEPT_BACK)
    settings = MemberSettings(distil_from="nano", distil_on=["challenge", "other"])
    with pytest.raises(InputError, match="distil_on, challenge, other, found challenge"):
        read_unlabelled(files, settings, LESSON, NONE_KEPT_BACK)
    with pytest.raises(InputError, match="found sets challenge and tables none"):
        unlabelled_files({"challenge": blind}, {})


# Whole trainings

Data = tuple[Path, Path]


@pytest.fixture(scope="module")
def lesson(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher's table of the training objects."""
    index = pd.read_parquet(data[0] / "index.parquet").drop_duplicates("object")
    csv = tmp_path_factory.mktemp("lesson") / "train_ens.csv"
    return write_answers(csv, index["object"].tolist(), label=index["label"].to_numpy())


@pytest.fixture(scope="module")
def taught(lesson: Path, blind: Path, answers: Path) -> list[str]:
    """Options of a training that learns from the test set too."""
    return [
        *("--teacher", str(lesson)),
        *("--unlabelled", f"challenge={blind}", "--unlabelled-teacher", f"challenge={answers}"),
    ]


def student(settings: dict[str, Any] = STACK, **train_settings: Any) -> dict[str, Any]:
    learnt = {"distil_from": "nano", "distil_on": ["challenge"]}
    return settings | learnt | {"train": settings["train"] | train_settings}


def losses(folder: Path) -> list[float]:
    found: list[float] = pd.read_csv(folder / "training_log.csv")["train_loss"].tolist()
    return found


def test_a_student_learns_from_what_has_no_labels(
    data: Data, taught: list[str], answers: Path, tmp_path: Path
) -> None:
    assert train(data, tmp_path / "both", student(), 42, *taught) == 0
    settings = STACK | {"distil_from": "nano"}
    assert train(data, tmp_path / "alone", settings, 42, *taught[:2]) == 0
    both, alone = (MemberDescription.read(tmp_path / name / "best.json") for name in ("both", "alone"))
    assert both.unlabelled is not None
    stated = both.unlabelled["challenge"]
    assert stated.teacher_sha256 == sha256_of(answers)
    assert (stated.n_objects, stated.n_samples) == (16, 16)
    assert both.settings["distil_on"] == ["challenge"]
    assert losses(tmp_path / "both") != losses(tmp_path / "alone")
    # Off: records say nothing of it.
    assert "distil_on" not in alone.settings
    assert "unlabelled" not in json.loads((tmp_path / "alone" / "best.json").read_text())
    # The softening, the split and the scores are those of labelled objects.
    results = [read_json(tmp_path / name / "results.json") for name in ("both", "alone")]
    assert results[0]["n_samples"] == results[1]["n_samples"]
    assert results[0]["unlabelled"]["challenge"] == stated.model_dump()


def test_what_is_measured_is_measured_on_the_training_split(
    data: Data, taught: list[str], tmp_path: Path
) -> None:
    measured = {"preprocess": {"normalisation": "asinh"}}
    assert train(data, tmp_path / "both", student(STACK | measured, epochs=1), 42, *taught) == 0
    alone = STACK | measured | {"distil_from": "nano", "train": STACK["train"] | {"epochs": 1}}
    assert train(data, tmp_path / "alone", alone, 42, *taught[:2]) == 0
    found = [read_json(tmp_path / name / "best.json")["settings"]["preprocess"] for name in ("both", "alone")]
    assert found[0] == found[1]
    assert found[0]["asinh_softening_of_band"]


@pytest.mark.parametrize("n_steps", [0, 2])
def test_a_training_that_was_cut_gives_the_same_bytes(
    data: Data, taught: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_steps: int
) -> None:
    settings = student(balance="bucket", mixup_alpha=0.2)
    assert train(data, tmp_path / "whole", settings, 42, *taught) == 0
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_once_kept(patch, 1, n_steps)
        train(data, tmp_path / "cut", settings, 42, *taught)
    assert train(data, tmp_path / "cut", settings, 42, *taught) == 0
    for name in PRODUCTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_lens_parameters_are_learnt_where_they_are_known(
    data: Data, taught: list[str], tmp_path: Path
) -> None:
    """Unlabelled objects have none, and no part in the units of the estimates."""
    packed = shutil.copytree(data[0], tmp_path / "packed")
    index = pd.read_parquet(packed / "index.parquet").drop_duplicates("object")
    radii = np.where(index["label"] == 1, np.linspace(0.5, 2, len(index)), np.nan)
    table = pd.DataFrame({"object": index["object"], "bucket": index["bucket"], "Rein": radii})
    write_parameters(packed, table)
    estimating = STACK | {"lens_parameters": {"targets": ["Rein"]}}
    assert train((packed, data[1]), tmp_path / "both", student(estimating), 42, *taught) == 0
    alone = estimating | {"distil_from": "nano"}
    assert train((packed, data[1]), tmp_path / "alone", alone, 42, *taught[:2]) == 0
    units = [read_json(tmp_path / name / "best.json")["lens_parameters"] for name in ("both", "alone")]
    assert units[0] == units[1]
    found = read_json(tmp_path / "both" / "results.json")["lens_parameters"]["train_losses"]
    assert len(found) == 3
    assert 0 < min(found) <= max(found) < 10


@pytest.mark.parametrize("more", [("--resident", "never"), ("--compile", "whole")], ids=["streamed", "whole"])
def test_where_samples_live_and_how_steps_are_taken_change_nothing(
    data: Data, taught: list[str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    assert train(data, tmp_path / "plain", student(SETTINGS), 42, *taught) == 0
    assert train(data, tmp_path / "other", student(SETTINGS), 42, *taught, *more) == 0
    for name in ("best.pt", "last.pt", "training_log.csv"):
        assert (tmp_path / "other" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes(), name


def test_a_table_without_its_setting_leaves_nothing_behind(
    data: Data, taught: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "out", STACK | {"distil_from": "nano"}, 42, *taught) == 1
    assert "setting distil_on, none, found challenge" in capsys.readouterr().err
    assert train(data, tmp_path / "out", STACK | {"distil_on": ["challenge"]}, 42) == 2
    assert "no teacher whose probabilities" in capsys.readouterr().err
    assert not (tmp_path / "out" / "best.pt").exists()
