"""A submission, its record, and the files it came from: what is changed is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import check_submission
import submission
import threshold
from ensemble import main as ensemble_main
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from stronglens.formats.artefact import sha256_of, write_json

BUCKETS = ("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses")
LABELLED = [f"{bucket}/D_{number:08d}" for bucket in BUCKETS for number in range(6)]
BLIND = [f"object_{number:05d}" for number in range(9)]


def prob_of(seed: int) -> Callable[[str, str], float]:
    def prob(key: str, band: str) -> float:
        lens = "_lenses" in key or (key in BLIND and BLIND.index(key) % 2)
        return (0.6 if lens else 0.3) + 0.01 * int(key[-2:]) + 0.001 * seed

    return prob


def write_pixels(packed: Path) -> None:
    """The bytes whose hash `write_packed_tables` states: nobody here looks at them."""
    index = pd.read_parquet(packed / "index.parquet")
    pairs = list(zip(index["object"], index["band"], strict=True))
    (packed / "cutouts.npy").write_bytes(repr(pairs).encode())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def make_run(root: Path, combination: str = "{}") -> Path:
    """A working folder after a run: two members, a test set in two parts."""
    results = root / "results"
    labelled = write_packed_tables(results / "buckets/labelled", cutouts_of(LABELLED))
    parts = [
        write_packed_tables(
            results / f"buckets/challenge/part_{part}",
            cutouts_of(BLIND[part::2]),
            labelled=False,
            rejected=[("/data/x_g.fits", "x")][part:],
        )
        for part in (0, 1)
    ]
    for packed in (labelled, *parts):
        write_pixels(packed)
    split = results / "splits"
    split.mkdir()
    (split / "objects.parquet").write_bytes(b"the split")
    objects_sha256 = sha256_of(split / "objects.parquet")
    data = {
        f"{name}_sha256": sha256_of(labelled / file)
        for name, file in (("cutouts", "cutouts.npy"), ("index", "index.parquet"))
    }
    write_json(
        split / "objects.json",
        {"settings": {"seed": 7}, "sha256": {"objects.parquet": objects_sha256}} | data,
    )
    ensemble, options = results / "ensemble/nano", []
    for seed in (1, 2):
        member = results / f"models/nano/seed_{seed}"
        member.mkdir(parents=True)
        (member / "best.pt").write_bytes(b"weights %d" % seed)
        weights = {"weights_sha256": sha256_of(member / "best.pt")}
        settings = {"network": {"name": "convnextv2_nano"}}
        size = {"size_px": 41, "in_chans": 1}
        write_json(
            member / "best.json",
            {"model": "nano", "seed": seed, "settings": settings}
            | weights
            | size
            | data
            | {"objects_sha256": objects_sha256},
        )
        folder = results / f"predictions/nano/seed_{seed}"
        stated: dict[str, Any] = {"seed": seed} | weights
        write_prediction(folder / "val", labelled, prob_of(seed), objects_sha256=objects_sha256, **stated)
        for part, packed in enumerate(parts):
            write_prediction(folder / f"challenge/part_{part}", packed, prob_of(seed), which="test", **stated)
        options += [f"--members={member}", f"--val-predictions={folder}/val"]
        options += [f"--test-predictions={folder}/challenge"]
    seeds = results / "predictions/nano"
    val = [f"--predictions={seeds}/seed_{seed}/val" for seed in (1, 2)]
    val += [f"--packed={labelled}", f"--settings={combination}", f"--out-dir={ensemble}/val"]
    assert ensemble_main([*val, "--which=val"]) == 0
    assert threshold.main([f"--ensemble-csv={ensemble}/val/val_ens.csv", f"--out-dir={ensemble}/val"]) == 0
    test = [f"--predictions={seeds}/seed_{seed}/challenge" for seed in (1, 2)]
    blind = [f"--packed={results}/buckets/challenge", "--parts=2"]
    made = f"--out-dir={ensemble}/challenge", f"--threshold={ensemble}/val/threshold.txt"
    made = *made, f"--validation={ensemble}/val/val_ens.json"
    assert ensemble_main([*test, *blind, "--which=test", *made]) == 0
    options += [f"--ensemble-csv={ensemble}/challenge/test_ens.csv", *blind, f"--labelled={labelled}"]
    options += [f"--splits={split}", f"--validation={ensemble}/val", '--threshold={"method": "youden"}']
    options += [f"--out={root}/submission.csv", f"--provenance={root}/submission.json"]
    (root / "options.json").write_text(json.dumps(options))
    assert submit(root) == 0
    return root


def submit(root: Path) -> int:
    options = json.loads((root / "options.json").read_text())
    return submission.main([*options, "--settings.ensemble=nano"])


def check(root: Path) -> int:
    return check_submission.main(
        [f"--submission={root}/submission.csv", f"--record={root}/submission.json", "--root=/"]
    )


def test_record_names_all_that_made_it(run: Path) -> None:
    record = json.loads((run / "submission.json").read_text())
    stored = {str(path) for path in (run / "results").rglob("*") if path.is_file()}
    assert stored - set(record["files"]) == {
        str(run / "results/ensemble/nano/val/metrics_val_ens.json")  # follows from what is in it
    }
    for path, digest in record["files"].items():
        assert sha256_of(Path(path)) == digest
    assert [member["seed"] for member in record["members"]] == [1, 2]
    assert record["members"][0]["settings"] == {"network": {"name": "convnextv2_nano"}}
    assert record["settings"]["split"] == {"seed": 7}
    assert record["settings"]["threshold"]["method"] == "youden"
    assert record["threshold"] == float((run / "results/ensemble/nano/val/threshold.txt").read_text())


def test_what_is_as_it_was_passes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert check(run) == 0
    said = capsys.readouterr().err
    assert "come out the same when computed again" in said
    assert "code, versions and machine are the same here" in said


def test_what_was_fitted_comes_out_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", '{"combine_members": "weighted", "calibration": "isotonic"}')
    capsys.readouterr()
    assert check(run) == 0
    assert "come out the same when computed again" in capsys.readouterr().err


def test_another_combination_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", '{"combine_members": "mean_of_logits"}')
    validation = run / "results/ensemble/nano/val/val_ens.json"
    description = json.loads(validation.read_text())
    del description["combination"]
    write_json(validation, description)
    assert submit(run) == 1
    assert "expected members combined as in" in capsys.readouterr().err


def test_what_is_gone_is_told_and_no_fault(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "results/buckets/labelled/cutouts.npy").unlink()
    assert check(run) == 0
    assert "1 files that it came from are not there" in capsys.readouterr().err


def test_another_machine_and_code_are_told_and_no_fault(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stronglens.submitting.recheck.machine", lambda: {"name": "elsewhere"})
    assert check(run) == 0
    assert "not the same here: machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "submission.csv",
        "results/models/nano/seed_2/best.pt",
        "results/models/nano/seed_2/best.json",
        "results/buckets/challenge/part_1/cutouts.npy",
        "results/splits/objects.parquet",
        "results/predictions/nano/seed_1/val/pred_val.csv",
        "results/ensemble/nano/challenge/test_ens.csv",
        "results/ensemble/nano/val/threshold.txt",
    ],
)
def test_a_changed_file_is_named(run: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    content = bytearray((run / name).read_bytes())
    content[-2] ^= 1
    (run / name).write_bytes(content)
    assert check(run) == 1
    assert f"{run / name}: expected sha256" in capsys.readouterr().err


def forge(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a record, and state what it describes rightly."""
    record = json.loads((run / "submission.json").read_text())
    change(record)
    write_json(run / "submission.json", record)


def test_an_answer_that_was_changed_with_its_hash_is_found(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = run / "submission.csv"
    # One answer becomes a lens and another none: their number stays the same.
    text = table.read_text().replace("object_00000,0,", "object_00000,1,")
    table.write_text(text.replace("object_00001,1,", "object_00001,0,"))
    forge(run, lambda record: record.update(sha256={"submission.csv": sha256_of(table)}))
    assert check(run) == 1
    assert "another submission comes out when it is made again" in capsys.readouterr().err


def test_predictions_of_other_weights_are_found(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "results/predictions/nano/seed_1/val/pred_val.json"
    write_json(path, json.loads(path.read_text()) | {"weights_sha256": "0" * 64})
    forge(run, lambda record: record["files"].update({str(path): sha256_of(path)}))
    assert check(run) == 1
    assert "expected predictions by a member of the record, found others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("models/nano/seed_1/best.json", {"weights_sha256": "0" * 64}, "expected the weights of nano seed 1"),
        ("models/nano/seed_1/best.json", {"objects_sha256": "0" * 64}, "trained with the split of this run"),
        ("ensemble/nano/val/val_ens.json", {"members": []}, "t* was chosen for another ensemble"),
    ],
)
def test_a_submission_of_what_does_not_belong_together_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, change: dict[str, Any], message: str
) -> None:
    path = run / "results" / name
    write_json(path, json.loads(path.read_text()) | change)
    assert submit(run) == 1
    assert message in capsys.readouterr().err


def test_another_threshold_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "results/ensemble/nano/val/threshold.txt").write_text("0.123\n")
    assert submit(run) == 1
    assert "expected t* = " in capsys.readouterr().err


def test_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "submission.json", {"format": 1})
    assert check(tmp_path) == 1
    assert "expected the record of a submission" in capsys.readouterr().err
