"""The file of a capsule: the same bytes again, and refused where a byte was changed."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from stronglens.formats.capsule import CARD, MANIFEST, Manifest, read_capsule, write_capsule
from stronglens.running.errors import InputError

WEIGHTS = "weights/nano_42.safetensors"
FILES = {WEIGHTS: b"weights" * 50, CARD: "# Modèle".encode()}
MANIFEST_OF: dict[str, Any] = {
    "name": "nano",
    "bands": ["g", "r"],
    "size_px": 41,
    "non_finite": "reject",
    "simulated": False,
    "members": [
        {"model": "nano", "seed": 42, "settings": {}, "weights": WEIGHTS, "weights_sha256": "0" * 64}
    ],
    "combination": {},
    "threshold": 0.5,
    "threshold_interval": None,
    "scores": {},
    "data": {},
    "code": {},
    "versions": {},
    "licence": "MIT",
    "citation": "",
}


def write(path: Path, **changed: Any) -> Manifest:
    return write_capsule(path, MANIFEST_OF | changed, FILES)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path / "a.capsule")
    capsule = read_capsule(tmp_path / "a.capsule")
    assert capsule.manifest == written
    assert {name: capsule.read(name) for name in FILES} == FILES
    assert str(capsule.manifest.members[0]) == "nano seed 42"
    assert capsule.manifest.members[0].estimated == ()
    with pytest.raises(InputError, match=r"a\.capsule: expected a file x in the capsule, found none"):
        capsule.read("x")


def test_equal_content_gives_equal_bytes_that_any_program_lists(tmp_path: Path) -> None:
    write(tmp_path / "a.capsule")
    write_capsule(tmp_path / "b.capsule", dict(reversed(MANIFEST_OF.items())), dict(reversed(FILES.items())))
    assert (tmp_path / "a.capsule").read_bytes() == (tmp_path / "b.capsule").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.capsule") as archive:
        assert archive.namelist() == [MANIFEST, CARD, WEIGHTS]
        assert archive.testzip() is None
        assert archive.read(WEIGHTS) == FILES[WEIGHTS]


def test_every_changed_byte_is_seen(tmp_path: Path) -> None:
    write(tmp_path / "a.capsule")
    content = (tmp_path / "a.capsule").read_bytes()
    for at in range(0, len(content), 31):
        changed = bytearray(content)
        changed[at] ^= 1
        (tmp_path / "b.capsule").write_bytes(changed)
        with pytest.raises(InputError, match=r"b\.capsule: "):
            read_capsule(tmp_path / "b.capsule")


def test_the_file_that_was_changed_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.capsule")
    content = (tmp_path / "a.capsule").read_bytes().replace(b"weightsweights", b"weightsWeights", 1)
    (tmp_path / "a.capsule").write_bytes(content)
    with pytest.raises(InputError, match=rf"{WEIGHTS}: .*the capsule was changed since it was made"):
        read_capsule(tmp_path / "a.capsule")


def test_a_file_is_checked_again_when_it_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.capsule")
    capsule = read_capsule(tmp_path / "a.capsule")
    write_capsule(tmp_path / "a.capsule", MANIFEST_OF, FILES | {WEIGHTS: b"others"})
    with pytest.raises(InputError, match=rf"{WEIGHTS}: expected sha256"):
        capsule.read(WEIGHTS)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"bands": []}, "bands"),
        ({"name": "a b"}, "name"),
        ({"members": []}, "members"),
        ({"other": 1}, "other"),
        (
            {"members": [MANIFEST_OF["members"][0] | {"weights": "weights/x.safetensors"}]},
            r"expected every file of weights among files, found no weights/x\.safetensors",
        ),
        ({"members": [MANIFEST_OF["members"][0] | {"weights": "../x.safetensors"}]}, "weights"),
    ],
)
def test_a_wrong_manifest_is_not_written(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        write(tmp_path / "a.capsule", **changed)
    assert not list(tmp_path.iterdir())


def zip_of(files: dict[str, bytes], comment: bytes = b"") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, one in files.items():
            archive.writestr(name, one)
        archive.comment = comment
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text", "expected a capsule, found no ZIP archive"),
        (b"", "expected a capsule, found no ZIP archive"),
        (zip_of({"a": b"b"}), "expected a capsule, found another ZIP archive"),
        (zip_of({"a": b"b"}, b"stronglens capsule sha256:" + b"0" * 64), f"found no {MANIFEST}"),
        (
            zip_of({MANIFEST: json.dumps({"format": 1}).encode()}, b"stronglens capsule sha256:" + b"0" * 64),
            f"{MANIFEST}: name: Field required",
        ),
    ],
)
def test_what_is_no_capsule_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match=f"x: {said}"):
        read_capsule(tmp_path / "x")
    with pytest.raises(InputError, match=r"none: expected a capsule, found none \(No such file"):
        read_capsule(tmp_path / "none")
