"""Labelled test sets that share objects with the training data are refused before anything is trained."""

import json
from pathlib import Path

import pandas as pd
import pytest

from check_test_sets import main
from stronglens.formats.artefact import sha256_of, write_json

SPLITS = {"a": "train", "b": "val", "c": "test"}


def pack(folder: Path, rows: dict[str, tuple[str, str]]) -> Path:
    """A packed set without its pixels: object -> pixel_hash, header_id."""
    folder.mkdir()
    index = pd.DataFrame(
        [(name, f"/{folder.name}/{name}_g.fits", pixels, id_) for name, (pixels, id_) in rows.items()],
        columns=["object", "path", "pixel_hash", "header_id"],
    )
    index.to_parquet(folder / "index.parquet")
    sha256 = {"index.parquet": sha256_of(folder / "index.parquet"), "cutouts.npy": ""}
    summary = {
        "dataset": folder.name,
        "size_px": 41,
        "bands": ["g"],
        "labelled": True,
        "n_objects": len(index),
    }
    write_json(folder / "summary.json", summary | {"n_cutouts": len(index), "sha256": sha256})
    return folder


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    labelled = pack(tmp_path / "labelled", {"a": ("p1", "1"), "b": ("p2", ""), "c": ("p3", "3")})
    splits = tmp_path / "splits"
    splits.mkdir()
    pd.DataFrame(SPLITS.items(), columns=["object", "split"]).to_parquet(splits / "objects.parquet")
    made_from = {"cutouts_sha256": "", "index_sha256": sha256_of(labelled / "index.parquet")}
    sha256 = {"objects.parquet": sha256_of(splits / "objects.parquet")}
    write_json(splits / "objects.json", made_from | {"sha256": sha256})
    return [f"--labelled={labelled}", f"--splits={splits}", f"--out={tmp_path}/test_sets.json"]


@pytest.mark.parametrize(
    ("pixels", "id_", "twin"),
    [
        ("p1", "9", "/labelled/a_g.fits: it has the same pixels"),
        ("p2", "", "/labelled/b_g.fits: it has the same pixels"),
        ("p9", "1", "/labelled/a_g.fits: it has the same id"),
        ("p3", "3", None),  # held out: no network learns from it
        ("p9", "", None),  # no id is not the same id
        ("", "9", None),
    ],
)
def test_shared_objects_are_refused(
    tmp_path: Path,
    options: list[str],
    caplog: pytest.LogCaptureFixture,
    pixels: str,
    id_: str,
    twin: str | None,
) -> None:
    parts = [
        pack(tmp_path / "part_0", {"x": ("p8", "8")}),
        pack(tmp_path / "part_1", {"y": (pixels, id_)}),
    ]
    code = main([*options, *(f"--tests=mine={part}" for part in parts)])
    if twin is None:
        assert code == 0
        assert json.loads((tmp_path / "test_sets.json").read_text())["n_cutouts"] == {"mine": 2}
    else:
        assert code == 1
        assert "/part_1/y_g.fits: expected, in the labelled test set mine," in caplog.text
        assert twin in caplog.text
        assert not (tmp_path / "test_sets.json").exists()


def test_without_labelled_test_sets_nothing_is_read(tmp_path: Path) -> None:
    out = tmp_path / "test_sets.json"
    assert main(["--labelled=nowhere", "--splits=nowhere", f"--out={out}"]) == 0
    assert json.loads(out.read_text())["n_cutouts"] == {}
