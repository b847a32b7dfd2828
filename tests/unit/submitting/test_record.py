"""What a submission was made from: all of it, and nothing that does not belong to it."""

from pathlib import Path
from typing import Any

import pytest

from made_predictions import cutouts_of, write_packed_tables
from sidecar_examples import EXAMPLES
from stronglens.formats.artefact import read_json, sha256_of, write_json
from stronglens.formats.ensemble_table import open_ensemble
from stronglens.formats.member_files import MemberDescription
from stronglens.formats.threshold_file import write_threshold
from stronglens.running.errors import InputError
from stronglens.submitting.record import Origins, describe_origins

MEMBER = {"model": "nano", "seed": 42, "weights_sha256": "a" * 64}


def write_ensemble(folder: Path, which: str, **stated: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    csv = folder / f"{which}_ens.csv"
    csv.write_text("object,prob\n")
    described = {"format": 1, "members": [MEMBER], "level": "object", "sha256": {csv.name: sha256_of(csv)}}
    write_json(folder / f"{which}_ens.json", described | stated)
    return csv


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, Origins]:
    """The ensemble's table, and what it came from."""
    write_packed_tables(tmp_path / "packed", cutouts_of(["a"]), labelled=False)
    csv = write_ensemble(tmp_path / "test", "test", threshold=0.25)
    write_ensemble(tmp_path / "val", "val")
    write_threshold(tmp_path / "val/threshold.txt", 0.25)
    (tmp_path / "member").mkdir()
    described = EXAMPLES[MemberDescription] | MEMBER | {"format": 1, "objects_sha256": None}
    write_json(tmp_path / "member/best.json", described)
    return csv, Origins(members=[tmp_path / "member"], validation=tmp_path / "val")


def describe(run: tuple[Path, Origins]) -> dict[str, Any]:
    csv, origins = run
    return describe_origins(open_ensemble(csv), [csv.parents[1] / "packed"], origins)


def change(path: Path, **stated: Any) -> None:
    write_json(path, read_json(path) | stated)


def test_files_are_listed_with_their_hashes_and_those_beside_them(run: tuple[Path, Origins]) -> None:
    root = run[0].parents[1]
    found = describe(run)
    files = {str(Path(path).relative_to(root)): digest for path, digest in found["files"].items()}
    for name in ("test/test_ens.csv", "test/test_ens.json", "packed/index.parquet", "val/threshold.txt"):
        assert files[name] == sha256_of(root / name), name
    assert files["member/best.json"] == sha256_of(root / "member/best.json")
    assert files["member/best.pt"] == "a" * 64  # as best.json states it: it is not read again
    assert found["folders"]["members"] == [str(root / "member")]
    assert found["folders"]["labelled"] is None
    (member,) = found["members"]
    assert MEMBER.items() <= member.items()
    assert member["settings"] == {"bands": "each"}


def test_what_is_not_given_is_left_out(run: tuple[Path, Origins]) -> None:
    found = describe((run[0], Origins()))
    assert found["members"] == [MEMBER]
    assert not any("member" in path or "val" in path for path in found["files"])


@pytest.mark.parametrize(
    ("file", "stated", "said"),
    [
        ("member/best.json", {"weights_sha256": "b" * 64}, "expected the weights of nano seed 42 .* others"),
        ("member/best.json", {"seed": 43}, "expected the weights of nano seed 42 .* found none"),
        ("val/val_ens.json", {"members": []}, "found others: t. was chosen for another ensemble"),
        ("val/val_ens.json", {"combination": {"a": 1}}, "found another way: t. was chosen for other prob"),
        (
            "val/val_ens.json",
            {"sha256": {}},
            r"val_ens\.json: expected the sha256 of val_ens\.csv, found none",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(
    run: tuple[Path, Origins], file: str, stated: dict[str, Any], said: str
) -> None:
    change(run[0].parents[1] / file, **stated)
    with pytest.raises(InputError, match=said):
        describe(run)


def test_another_threshold_is_refused(run: tuple[Path, Origins]) -> None:
    write_threshold(run[0].parents[1] / "val/threshold.txt", 0.5)
    with pytest.raises(InputError, match=r"threshold\.txt: expected t\* = 0\.25 as in .*, found 0\.5"):
        describe(run)
    (run[0].parents[1] / "val/threshold.txt").unlink()
    with pytest.raises(
        InputError, match=r"threshold\.txt: expected a file that the submission was made from"
    ):
        describe(run)
