"""Which code and machine a record names."""

import shutil
import subprocess
from pathlib import Path

import pytest

from stronglens.submitting.surroundings import CODE, PROJECT, code_state, machine, versions


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return make_clone(tmp_path, "first")


def make_clone(folder: Path, message: str) -> Path:
    (folder / "workflow/scripts").mkdir(parents=True)
    (folder / "Snakefile").write_text("rule all:\n")
    (folder / "workflow/scripts/step.py").write_text("pass\n")
    (folder / ".gitignore").write_text("results\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", message)
    return folder


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


@pytest.mark.parametrize(
    "name", ["workflow/scripts/step.py", 'workflow/ü "new" -> x.py', "Snakefile", ".gitignore"]
)
def test_changes_are_noted(clone: Path, name: str) -> None:
    before = code_state(clone)
    with (clone / name).open("a") as text:
        text.write("# changed\n")
    state = code_state(clone)
    assert (state["dirty"], state["changed"]) == (True, [name])
    assert state["revision"] == before["revision"]


@pytest.mark.parametrize(("text", "same"), [("# a comment\npass\n", True), ("compute()\n", False)])
def test_the_hash_of_the_code_is_of_what_steps_compute(
    clone: Path, tmp_path_factory: pytest.TempPathFactory, text: str, same: bool
) -> None:
    before = code_state(clone)["sha256"]
    other = tmp_path_factory.mktemp("copied") / "clone"
    shutil.copytree(clone, other)
    (other / "workflow/scripts/step.py").write_text(text)
    assert (code_state(other)["sha256"] == before) == same


@pytest.mark.parametrize(
    "name",
    [
        *(
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_COMMON_DIR",
            "GIT_OBJECT_DIRECTORY",
            "GIT_NAMESPACE",
        ),
        *("GIT_CEILING_DIRECTORIES", "GIT_CONFIG", "all"),
    ],
)
def test_git_s_variables_lead_to_no_other_repository(
    clone: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = code_state(clone)
    other = make_clone(tmp_path_factory.mktemp("other"), "second")
    values = {
        "GIT_DIR": f"{other}/.git",
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": f"{other}/.git/index",
        "GIT_COMMON_DIR": f"{other}/.git",
        "GIT_OBJECT_DIRECTORY": f"{other}/.git/objects",
        "GIT_NAMESPACE": "other",
        "GIT_CEILING_DIRECTORIES": str(clone),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.worktree",
        "GIT_CONFIG_VALUE_0": str(other),
    }
    chosen = values if name == "all" else {key: values[key] for key in values if key.startswith(name)}
    for key, value in chosen.items():
        monkeypatch.setenv(key, value)
    assert before["revision"] is not None
    assert code_state(clone) == before
    no_clone = tmp_path_factory.mktemp("copied")
    (no_clone / "Snakefile").write_text("")
    assert code_state(no_clone)["revision"] is None


def test_no_clone_has_no_revision(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = clone / "vendored"
    (inside / "workflow").mkdir(parents=True)
    (inside / "Snakefile").write_text("")
    state = code_state(inside)  # the revision around it says nothing of it
    assert (state["revision"], state["dirty"]) == (None, None)
    monkeypatch.setenv("PATH", "")
    state = code_state(clone)
    assert (state["revision"], state["dirty"]) == (None, None)
    assert len(state["sha256"]) == 64


def test_this_project_names_itself() -> None:
    assert (PROJECT / "Snakefile").is_file()
    assert all((PROJECT / place).exists() for place in CODE)
    assert versions().keys() >= {"python", "numpy", "torch", "timm"}
    assert machine()["n_cores"] >= 1
