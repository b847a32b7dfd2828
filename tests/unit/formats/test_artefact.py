"""Files of a step: complete or absent, whatever happens, and known by their content."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stronglens.formats import artefact
from stronglens.formats.artefact import (
    check_sha256,
    read_json,
    sha256_of,
    write_aside,
    write_json,
    write_text,
)
from stronglens.running.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "table.csv"
    with write_aside(path) as aside:
        assert aside.parent == path.parent
        aside.write_text("one\n")
        assert not path.exists()
    assert path.read_text() == "one\n"
    assert names(path.parent) == ["table.csv"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_fault_leaves_the_file_as_it_was(tmp_path: Path, fault: type[BaseException]) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before\n")
    with pytest.raises(fault), write_aside(path) as aside:
        aside.write_text("half")
        raise fault
    assert path.read_text() == "before\n"
    assert names(tmp_path) == ["table.csv"]


def test_a_block_that_writes_nothing_is_a_fault(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="expected a file that can be written"),
        write_aside(tmp_path / "table.csv"),
    ):
        pass
    assert names(tmp_path) == []


def test_writers_that_look_at_the_ending_write_the_right_file(tmp_path: Path) -> None:
    # np.save adds .npy to a name without it: the content would take a name that nobody renames.
    with write_aside(tmp_path / "array.npy") as aside:
        np.save(aside, np.arange(3))
    assert names(tmp_path) == ["array.npy"]


def test_what_a_killed_process_leaves_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from stronglens.formats.artefact import write_aside\n"
        "with write_aside(Path(sys.argv[1])) as aside:\n"
        "    aside.write_text('a text that is longer than the next'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env=os.environ | {"PYTHONPATH": str(root / "workflow" / "scripts")},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not path.exists()
    assert len(names(tmp_path)) == 1
    write_text(path, "next\n")
    assert path.read_text() == "next\n"
    assert names(tmp_path) == ["table.csv"]


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 0.1, None], "a": {"d": "Δ", "c": True}})
    write_json(tmp_path / "b.json", {"a": {"c": True, "d": "Δ"}, "b": [1, 0.1, None]})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": {"c": True, "d": "Δ"}, "b": [1, 0.1, None]}


def test_numbers_that_json_lacks_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"auc": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"auc": float("nan")})
    assert read_json(tmp_path / "a.json") == {"auc": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON, found something else"),
        (b'{"a": 1', "expected JSON, found something else"),
        (b'{"a": "\xff"}', "expected JSON, found something else"),
        (b"[1, 2]", "expected a JSON object, found list"),
    ],
)
def test_what_is_no_json_object_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: expected a JSON file, found none"):
        read_json(tmp_path / "none.json")
    with pytest.raises(InputError, match="expected JSON, found something else"):
        read_json(tmp_path)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    large, description = tmp_path / "large.npy", tmp_path / "summary.json"
    large.write_bytes(b"abc" * 1_000_000)
    stated = hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    assert sha256_of(large) == stated
    check_sha256(large, stated, description)
    large.write_bytes(b"abc" * 999_999)
    with pytest.raises(InputError) as caught:
        check_sha256(large, stated, description)
    for word in (str(large), str(description), stated[:12], sha256_of(large)[:12]):
        assert word in str(caught.value)
    large.unlink()
    with pytest.raises(InputError, match=r"large\.npy: expected the file that .* describes, found none"):
        check_sha256(large, stated, description)


def test_a_large_file_is_hashed_once_and_again_where_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cutouts.npy"
    path.write_bytes(b"a" * 100)
    hashed: list[Path] = []
    whole = artefact.sha256_of
    monkeypatch.setattr(artefact, "sha256_of", lambda path: hashed.append(path) or whole(path))
    artefact.known_sha256(path)
    assert len(list(tmp_path.iterdir())) == 1  # a small file leaves nothing beside it
    monkeypatch.setattr(artefact, "LARGE_BYTES", 100)
    artefact.known_sha256(path)
    assert len(list(tmp_path.iterdir())) == 1  # nor does one that was changed just now
    monkeypatch.setattr(artefact, "_SETTLED_NS", 0)
    first = [artefact.known_sha256(path) for _ in range(3)]
    assert len(hashed) == 3
    assert set(first) == {whole(path)}
    times = path.stat()
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its other time cannot be put back
    assert artefact.known_sha256(path) == whole(path) != first[0]
    (tmp_path / ".cutouts.npy.sha256.json").write_text("{")
    assert artefact.known_sha256(path) == whole(path)
    assert len(hashed) == 5
    monkeypatch.setenv(artefact.VERIFY, "1")
    artefact.known_sha256(path)
    assert len(hashed) == 6
