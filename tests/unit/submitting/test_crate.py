"""RO-Crate metadata of a submission, read back by the package that others read it with."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import describe_crate
import submission
from ensemble import main as ensemble_main
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from stronglens.formats.artefact import sha256_of

rocrate = pytest.importorskip("rocrate.rocrate", exc_type=ImportError)

OBJECTS = ["object_0", "object_1", "object_2"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A submission of three objects in the working folder."""
    monkeypatch.chdir(tmp_path)
    packed = write_packed_tables(Path("results/packed"), cutouts_of(OBJECTS), labelled=False)
    write_prediction(
        Path("results/pred"), packed, lambda key, band: 0.9 if key.endswith("0") else 0.1, which="test"
    )
    Path("t.txt").write_text("0.5\n")
    combined = "--predictions=results/pred --packed=results/packed --which=test --threshold=t.txt"
    assert ensemble_main([*combined.split(), "--out-dir=results/ens"]) == 0
    settings = json.dumps({"ensemble": "nano", "form": "short"})
    options = ["--ensemble-csv=results/ens/test_ens.csv", "--packed=results/packed", "--simulated"]
    made = ["--out=submission.csv", "--provenance=submission.json"]
    assert submission.main([*options, *made, f"--settings={settings}"]) == 0
    return tmp_path


def described(*more: str) -> Any:
    options = ["--record=submission.json", "--out=ro-crate-metadata.json", *more]
    assert describe_crate.main(options) == 0
    return rocrate.ROCrate(".")


def test_inputs_outputs_software_and_licence_are_named(folder: Path) -> None:
    record = json.loads((folder / "submission.json").read_text())
    os.utime(folder / "submission.csv", (86_400 * 365, 86_400 * 365))
    crate = described("--licence", "CC-BY-4.0")
    whole = crate.root_dataset
    assert (whole["license"], whole["datePublished"]) == ("CC-BY-4.0", "1971-01-01")
    assert "simulated" in whole["description"]
    assert crate.mainEntity.id == "submission.csv"
    assert crate.mainEntity["sha256"] == sha256_of(folder / "submission.csv")
    (action,) = (entity for entity in crate.contextual_entities if entity.type == "CreateAction")
    assert {one.id for one in action["result"]} == {"submission.csv", "submission.json"}
    inputs = {one.id: one["sha256"] for one in action["object"]}
    assert inputs == record["files"]
    assert "results/ens/test_ens.csv" in inputs
    software = action["instrument"]
    assert software["name"] == "stronglens"
    assert record["code"]["sha256"] in software["description"]
    packages = {one["name"]: one["softwareVersion"] for one in software["softwareRequirements"]}
    assert packages == record["versions"]


def test_equal_records_give_equal_bytes_and_files_elsewhere_their_whole_path(folder: Path) -> None:
    described()
    once = (folder / "ro-crate-metadata.json").read_bytes()
    assert described().root_dataset["license"] == "not stated"
    assert (folder / "ro-crate-metadata.json").read_bytes() == once
    (folder / "below").mkdir()
    options = ["--record=submission.json", "--out=below/ro-crate-metadata.json"]
    assert describe_crate.main(options) == 0
    text = (folder / "below/ro-crate-metadata.json").read_text()
    assert f'"{(folder / "submission.csv").resolve().as_uri()}"' in text


def test_a_submission_that_is_gone_or_no_package_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "submission.csv").unlink()
    options = ["--record=submission.json", "--out=x.json"]
    assert describe_crate.main(options) == 1
    assert "submission.csv: expected the submission that submission.json describes" in caplog.text
    monkeypatch.setitem(__import__("sys").modules, "rocrate.rocrate", None)
    assert describe_crate.main(options) == 1
    assert "pip install '.[provenance]'" in caplog.text
    assert not (folder / "x.json").exists()
