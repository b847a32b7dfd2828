"""JSON files that steps leave: what is written is read; what is newer, damaged or of another kind is not."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stronglens.formats.ensemble_table import EnsembleDescription
from stronglens.formats.member_files import MemberDescription, TrainingResults
from stronglens.formats.packed import PackSummary
from stronglens.formats.prediction_files import PredictionDescription
from stronglens.formats.sidecar import Sidecar
from stronglens.formats.split_table import SplitDescription
from stronglens.running.errors import InputError

SHA256 = "0123456789abcdef" * 4

EXAMPLES: dict[type[Sidecar], dict[str, Any]] = {
    PackSummary: {
        "dataset": "labelled",
        "labelled": True,
        "size_px": 41,
        "bands": ["g", "r"],
        "n_cutouts": 7,
        "n_objects": 4,
        "missing_bands": {"r": {"n_objects": 1, "first": ["a/b"]}},
        "sha256": {"cutouts.npy": SHA256, "index.parquet": SHA256},
    },
    SplitDescription: {
        "cutouts_sha256": SHA256,
        "index_sha256": SHA256,
        "counts": {"n_objects": 2, "split": {"train": 2}, "bucket": {"a": {"train": 2}}},
        "sha256": {"objects.parquet": SHA256},
    },
    MemberDescription: {
        "model": "nano",
        "seed": 42,
        "settings": {"bands": "each"},
        "weights_sha256": SHA256,
        "cutouts_sha256": SHA256,
        "size_px": 41,
        "in_chans": 1,
        "best_epoch": 3,
        "val_auc": 0.875,
    },
    PredictionDescription: {
        "which": "val",
        "model": "nano",
        "seed": 42,
        "weights_sha256": SHA256,
        "cutouts_sha256": SHA256,
        "index_sha256": SHA256,
        "objects_sha256": None,
        "bands": ["g", "r"],
        "lens_parameters": ["Rein"],
        "n_samples": 5,
        "n_objects": 4,
        "sha256": {"pred_val.csv": SHA256},
    },
    EnsembleDescription: {
        "members": [
            {"model": "nano", "seed": 42, "weights_sha256": SHA256},
            {"model": "nano", "seed": 43, "weights_sha256": SHA256, "test_time_augmentation": True},
        ],
        "level": "object",
        "n_rows": 4,
        "threshold": 0.25,
        "combination": {"n_objects": 4},
        "lens_parameters": {"Rein": 2},
        "sha256": {"test_ens.csv": SHA256},
    },
    TrainingResults: {
        "model": "nano",
        "seed": 42,
        "settings": {"bands": "each"},
        "best": {"epoch": 3, "val_auc": 0.875, "lr": 0.001},
        "test": {"auc": None, "acc": 0.5, "loss": 0.25},
        "n_epochs": 7,
        "n_samples": {"train": 100},
    },
}
"""What a file of each kind holds, but for its format."""


def subclasses(kind: type[Sidecar]) -> set[type[Sidecar]]:
    return {one for child in kind.__subclasses__() for one in {child, *subclasses(child)}}


def test_every_kind_has_an_example() -> None:
    ours = {kind for kind in subclasses(Sidecar) if not kind.__name__.startswith("_")}
    assert ours == set(EXAMPLES)


@pytest.fixture(params=EXAMPLES, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Sidecar]:
    chosen: type[Sidecar] = request.param
    return chosen


def put(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_what_is_written_is_read_and_holds_its_format(kind: type[Sidecar], tmp_path: Path) -> None:
    made = kind.model_validate(EXAMPLES[kind])
    made.write(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == EXAMPLES[kind] | {"format": kind.FORMAT}
    read = kind.read(tmp_path / "a.json")
    assert read == made
    read.write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_file_without_a_number_is_of_the_first_format(kind: type[Sidecar], tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", EXAMPLES[kind])
    if kind.OLDEST == 1:
        assert kind.read(path) == kind.model_validate(EXAMPLES[kind])
    else:
        with pytest.raises(InputError, match=f"expected {kind.KIND} of format {kind.FORMAT}, found format 1"):
            kind.read(path)


def test_a_newer_format_is_refused(kind: type[Sidecar], tmp_path: Path) -> None:
    newer = kind.FORMAT + 1
    path = put(tmp_path / "a.json", EXAMPLES[kind] | {"format": newer, "a_key_of_later": 1})
    with pytest.raises(InputError) as caught:
        kind.read(path)
    assert str(caught.value) == (
        f"{path}: format {newer} is newer than this version reads ({kind.FORMAT}); update stronglens"
    )


@pytest.mark.parametrize("number", [0, "1", None, True, 1.5])
def test_what_is_no_number_of_a_format_is_refused(
    kind: type[Sidecar], tmp_path: Path, number: object
) -> None:
    path = put(tmp_path / "a.json", EXAMPLES[kind] | {"format": number})
    with pytest.raises(InputError) as caught:
        kind.read(path)
    assert str(caught.value).startswith(f"{path}: expected {kind.KIND} of format {kind.FORMAT}, found format")


def test_a_damaged_file_is_refused(kind: type[Sidecar], tmp_path: Path) -> None:
    good = EXAMPLES[kind] | {"format": kind.FORMAT}
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    assert required
    for name in required:
        path = put(tmp_path / "a.json", {key: value for key, value in good.items() if key != name})
        with pytest.raises(InputError) as caught:
            kind.read(path)
        assert str(caught.value) == f"{path}: expected {kind.KIND}, found no {name}; run the step again"
        path = put(tmp_path / "a.json", good | {name: [1]})
        with pytest.raises(InputError) as caught:
            kind.read(path)
        assert str(caught.value).startswith(f"{path}: expected {kind.KIND}, found {name}")
    path = put(tmp_path / "a.json", good | {"another": 1})
    with pytest.raises(InputError, match="found the unknown key another"):
        kind.read(path)
    path.write_text(json.dumps(good)[:-5])
    with pytest.raises(InputError, match="expected JSON, found something else"):
        kind.read(path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(PackSummary, "cutouts.npy"), (PackSummary, "index.parquet"), (SplitDescription, "objects.parquet")],
)
def test_what_describes_files_names_them(kind: type[Sidecar], name: str, tmp_path: Path) -> None:
    others = {one: digest for one, digest in EXAMPLES[kind]["sha256"].items() if one != name}
    path = put(tmp_path / "a.json", EXAMPLES[kind] | {"sha256": others})
    with pytest.raises(InputError, match=f"expected the sha256 of {re.escape(name)}, found none"):
        kind.read(path)
