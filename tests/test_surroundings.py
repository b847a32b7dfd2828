"""Which code and machine a record names."""

import subprocess
from pathlib import Path

import pytest

from stronglens.submitting.surroundings import PROJECT, code_state, machine, versions


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "workflow").mkdir()
    (tmp_path / "Snakefile").write_text("rule all:\n")
    (tmp_path / "workflow/step.py").write_text("pass\n")
    (tmp_path / ".gitignore").write_text("results\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", "first")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_clean_clone_is_its_revision(clone: Path) -> None:
    state = code_state(clone)
    assert state["revision"] == git(clone, "rev-parse", "HEAD").strip()
    assert (state["dirty"], state["changed"]) == (False, [])
    (clone / "results").mkdir()
    (clone / "results/new.py").write_text("")
    (clone / "my notes").write_text("a file of the user's is no code")
    assert code_state(clone) == state


@pytest.mark.parametrize("name", ["workflow/step.py", 'workflow/ü "new" -> x.py', "Snakefile", ".gitignore"])
def test_changes_are_noted(clone: Path, name: str) -> None:
    before = code_state(clone)
    with (clone / name).open("a") as text:
        text.write("# changed\n")
    state = code_state(clone)
    assert (state["dirty"], state["changed"]) == (True, [name])
    assert state["revision"] == before["revision"]
    assert (state["sha256"] != before["sha256"]) == (name != ".gitignore")


def test_no_clone_has_no_revision(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = clone / "vendored"
    (inside / "workflow").mkdir(parents=True)
    (inside / "Snakefile").write_text("")
    for state in (code_state(inside),):  # the revision around it says nothing of it
        assert (state["revision"], state["dirty"]) == (None, None)
    monkeypatch.setenv("PATH", "")
    state = code_state(clone)
    assert (state["revision"], state["dirty"]) == (None, None)
    assert len(state["sha256"]) == 64


def test_this_project_names_itself() -> None:
    assert (PROJECT / "Snakefile").is_file()
    assert versions().keys() >= {"python", "numpy", "torch", "timm"}
    assert machine()["n_cores"] >= 1
