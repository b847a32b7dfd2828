"""Running Snakemake as a user does, on a small workflow whose members are shell commands."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, NoReturn

import yaml

REPOSITORY = Path(__file__).parents[2]
TOY = REPOSITORY / "tests" / "cluster" / "toy" / "Snakefile"

LONG_S = 300
"""For how many seconds an end is waited for that need not come soon: longer than the executor waits for a
qsub that hangs (120), and then for its next try (30)."""


class WorkflowRun:
    """One run of Snakemake, in a folder that looks like a clone.

    Parameters
    ----------
    folder : Path
        Working folder; gets the Snakefile and the links to the profiles if it has none yet.
    commands : mapping of str to str
        The shell command of each seed.
    arguments : sequence of str
        More arguments of snakemake.
    config : mapping, optional
        More of the toy's config.
    profile : str
        What follows --profile.
    environment : mapping, optional
        Variables to set.
    one_core : bool
        Whether Snakemake finds itself on a host of one core.
    """

    started: ClassVar[list["WorkflowRun"]] = []

    def __init__(
        self,
        folder: Path,
        commands: Mapping[str, str],
        *arguments: str,
        profile: str,
        config: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        one_core: bool = False,
    ) -> None:
        self.folder = folder
        self.output = folder.parent / f"{folder.name}.out"
        clone(folder)
        (folder / "config.json").write_text(json.dumps({"commands": commands, **(config or {})}))
        command = [sys.executable, "-m", "snakemake", "--configfile", "config.json", "--profile", profile]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                # Where it hangs, SIGABRT shows the stacks of its threads.
                env=os.environ | {"PYTHONFAULTHANDLER": "1"} | (environment or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        if one_core:
            os.sched_setaffinity(self.process.pid, {min(os.sched_getaffinity(0))})
        self.started.append(self)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait(self, timeout_s: float = LONG_S) -> int:
        """The exit code, once Snakemake has ended; it and its scripts are killed if that takes too long."""
        try:
            return self.process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._fail(f"it did not end within {timeout_s} s")

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = LONG_S) -> None:
        """Wait for something to happen while Snakemake runs."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, self.said
            if time.monotonic() > deadline:
                self._fail(f"it did not happen within {timeout_s} s")
            time.sleep(0.1)

    def press_ctrl_c(self) -> None:
        """What a terminal does: every process of the foreground group gets SIGINT."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to Snakemake and what it has started in its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _fail(self, message: str) -> NoReturn:
        """Kill it all, and fail with what the scheduler and Snakemake say, and where Snakemake was."""
        queue = subprocess.run(
            ["sh", "-c", "squeue --long"], capture_output=True, text=True, timeout=120, check=False
        )  # a shell, for there may be no such command
        self.process.send_signal(signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        self.kill()
        raise AssertionError(f"{message}\n{queue.stdout}{queue.stderr}\n{self.said}")

    def host_goes_down(self) -> None:
        """SIGKILL to the sidecar too."""
        sidecars = [pid for pid, command in _commands() if self._is_sidecar(command)]
        assert len(sidecars) == 1, f"expected one sidecar of process {self.process.pid}, found {sidecars}"
        os.kill(sidecars[0], signal.SIGKILL)
        self.kill()

    def _is_sidecar(self, command: Sequence[str]) -> bool:
        """Whether a command is the sidecar of this run: python -m PACKAGE PID STARTED."""
        package, pid, *_ = [*command[-3:-1], "", ""]
        return package == "snakemake_executor_plugin_pbs" and pid == str(self.process.pid)


def _commands() -> Iterator[tuple[int, list[str]]]:
    """The process ids and commands of all that runs; ps would cut them to COLUMNS characters."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                yield int(folder.name), (folder / "cmdline").read_text().rstrip("\0").split("\0")


def end_runs() -> None:
    """End what failed tests have left running."""
    while WorkflowRun.started:
        run = WorkflowRun.started.pop()
        if run.process.poll() is None:
            run.kill()


def site_profile(folder: Path, name: str, settings: Mapping[str, object]) -> None:
    """A copy of profiles/pbs with settings of its own, as a site would make it, in a clone."""
    clone(folder)
    shutil.copytree(REPOSITORY / "profiles" / "pbs", folder / name)
    path = folder / name / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | settings, sort_keys=False))


def clone(folder: Path, profiles: Sequence[str] = ("pbs", "slurm", "local")) -> None:
    """Make a folder look like a clone with the toy workflow."""
    folder.mkdir(exist_ok=True)
    if not (folder / "Snakefile").exists():
        (folder / "Snakefile").symlink_to(TOY)
    if not (folder / "plugins").exists():
        (folder / "plugins").symlink_to(REPOSITORY / "plugins")
    for profile in profiles:
        if not (folder / profile).exists():
            (folder / profile).symlink_to(REPOSITORY / "profiles" / profile)
