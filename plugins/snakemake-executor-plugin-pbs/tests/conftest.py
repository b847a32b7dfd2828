import os
from pathlib import Path

import pytest
from pbs_jobs import UNKNOWN, Commands


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose name no shell leaves alone."""
    folder = tmp_path / "a {clone} of $HOME; (mine)"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """A Torque server that takes jobs, knows none, and deletes any."""
    commands = Commands(tmp_path)
    monkeypatch.setenv("PATH", f"{commands.folder}:{os.environ['PATH']}")
    commands.make("qsub", "echo 35.vm")
    commands.make("qstat", UNKNOWN)
    commands.make("qdel", "exit 0")
    return commands
