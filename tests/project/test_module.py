"""The workflow in unusual places: a module of another, another working folder, a clone of a strange name."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from snakemake_call import call_snakemake

PROJECT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "workflow", "config", "envs", "src")


def copy(folder: Path) -> Path:
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "local.yaml")
    for part in PARTS:
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, folder / part, symlinks=True, ignore=ignored)
        else:
            shutil.copy(PROJECT / part, folder)
    return folder


def in_git(folder: Path) -> str:
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *arguments], check=True)
    return f'gitfile({str(folder)!r}, path="Snakefile", ref="main")'


@pytest.mark.parametrize("git", [False, True])
def test_the_workflow_as_a_module_with_a_prefix(tmp_path: Path, git: bool) -> None:
    clone = copy(tmp_path / "clone")
    snakefile = in_git(clone) if git else repr(str(clone / "Snakefile"))
    (tmp_path / "Snakefile").write_text(
        f"""
import yaml

module stronglens:
    snakefile: {snakefile}
    config: yaml.safe_load(open({str(clone / "config/config.yaml")!r}))
    prefix: "lenses"

use rule * from stronglens as lenses_*

rule mine:
    default_target: True
    input: "lenses/submission.csv"
"""
    )
    code, said = call_snakemake(tmp_path, "-n", "-p")
    assert code == 0, said
    assert "lenses_train" in said
    # Nothing of it leaves the prefix, in paths of rules and in commands.
    assert not re.search(r"""[\s=:"'](results|logs)/""", said)
    for script in set(re.findall(r"python (\S+\.py)", said)):
        assert Path(script).is_file()
        assert (Path(script).parent / "stronglens/__init__.py").is_file()


def test_another_working_folder_needs_no_config(tmp_path: Path) -> None:
    code, said = call_snakemake(tmp_path, "-s", str(PROJECT / "Snakefile"), "--directory", "work", "-n")
    assert code == 0, said
    assert "config/config.yaml, simulated data" in said or "config/local.yaml" in said


def test_a_clone_with_braces_in_its_name(tmp_path: Path) -> None:
    clone = copy(tmp_path / "it's {one} of $HOME")
    code, said = call_snakemake(clone, "-n", "-p")
    assert code == 0, said
