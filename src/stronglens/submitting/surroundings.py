"""What a step runs in: code, libraries, machine. Read while it runs, so that none of it reruns a step."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stronglens.running.fingerprint import code_sha256

PACKAGES = (
    *("astropy", "numpy", "pandas", "pyarrow", "pydantic", "scikit-learn", "scipy", "snakemake", "timm"),
    *("torch", "torchvision"),
)
"""Packages whose versions are recorded: those that probabilities and files come from."""

PROJECT = Path(__file__).resolve().parents[3]
CODE = ("Snakefile", "rules", "workflow", "src")
SCRIPTS = "workflow/scripts"
_MOST_NAMED = 20


def versions() -> dict[str, str]:
    """The version of Python and of each of `PACKAGES`."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def machine() -> dict[str, Any]:
    """Name, system and processor of this machine, and how many cores it has."""
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "n_cores": os.cpu_count(),
    }


def code_state(project: Path = PROJECT) -> dict[str, Any]:
    """Which code this is.

    Parameters
    ----------
    project : Path
        Folder of the Snakefile.

    Returns
    -------
    dict
        sha256, of the fingerprint of all steps (rules do not count: what they pass on is recorded); revision,
        of git, and dirty, whether the work tree differs from it: both None, unknown, where the project is no
        clone or git is not there; changed, the first files that differ. Files that git does not know count
        where code lies, and nowhere else.
        Variables of git in the environment (GIT_DIR and others) change nothing of this.
    """
    state: dict[str, Any] = {
        "sha256": code_sha256(*sorted((project / SCRIPTS).glob("*.py"))),
        "revision": None,
        "dirty": None,
        "changed": [],
    }
    top = _git(project, "rev-parse", "--show-toplevel")
    if top is None or Path(top.strip()).resolve() != project.resolve():
        return state
    revision = _git(project, "rev-parse", "HEAD")
    # Each entry ends in NUL, whatever is in its name; without renames it is one name.
    status = "status", "--porcelain", "--no-renames", "-z"
    known = _git(project, *status, "--untracked-files=no")
    # Results may be a million files: git looks for new ones where code lies alone.
    code = _git(project, *status, "--untracked-files=all", "--", *CODE)
    if revision is None or known is None or code is None:
        return state
    changed = {entry[3:] for entry in (known + code).split("\0") if entry}
    return state | {
        "revision": revision.strip(),
        "dirty": bool(changed),
        "changed": sorted(changed)[:_MOST_NAMED],
    }


def _git(project: Path, *arguments: str) -> str | None:
    """What git says of the repository in this very folder; None if it fails or is not there."""
    # A hook, or a user, may have set any of git's variables, which point to another repository, work tree,
    # index or configuration. Nor is a repository around the project the one that the code comes from.
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own = {
        "GIT_CEILING_DIRECTORIES": str(project.resolve().parent),
        "GIT_OPTIONAL_LOCKS": "0",  # jobs run side by side: only look
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(project.resolve()), *arguments],
            capture_output=True,
            check=True,
            timeout=60,
            env=surroundings | own,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
