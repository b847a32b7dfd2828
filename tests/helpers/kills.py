"""Killing the workflow at moments of its life, as an operating system, a scheduler or a user does."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

Victim = Literal["step", "everything"]

TARGETS = {
    "simulate": "results/simulated/simulated.json",
    "build_buckets": "results/buckets/labelled/summary.json",
    "build_test_buckets": "results/buckets/challenge/part_0/summary.json",
    "split_objects": "results/splits/objects.json",
    "check_test_sets": "results/splits/test_sets.json",
    "inspect_data": "results/inspection/labelled/summary.json",
    "plot_data": "results/inspection/labelled/cutouts.png",
    "train": "results/models/new/seed_1/best.json",
    "import_member": "results/models/old/seed_2/best.json",
    "predict_val": "results/predictions/new/seed_1/val/pred_val.json",
    "predict_heldout": "results/predictions/new/seed_1/heldout/part_0/pred_test.json",
    "predict_test": "results/predictions/new/seed_1/challenge/part_0/pred_test.json",
    "ensemble_val": "results/ensemble/both/val/val_ens.json",
    "threshold": "results/ensemble/both/val/threshold.txt",
    "ensemble_test": "results/ensemble/both/challenge/test_ens.json",
    "ensemble_test_labelled": "results/ensemble/both/heldout/test_ens.json",
    "evaluate_val": "results/evaluation/both/val/metrics.json",
    "evaluate_test": "results/ensemble/both/heldout/metrics_test_ens.json",
    "evaluate_lens": "results/evaluation/both/val/lens_parameters.json",
    "plot_evaluation": "results/evaluation/both/val/completeness.png",
    "plot_lens": "results/evaluation/both/val/lens_parameters.png",
    "compare_data": "results/drift/both/challenge/drift.json",
    "plot_drift": "results/drift/both/challenge/drift.png",
    "submission": "submission.csv",
    "submission_of_ensemble": "results/submissions/both.csv",
    "candidates": "results/candidates/index.html",
    "describe_data": "results/report/data.html",
    "plot_training": "results/report/both/training.png",
    "plot_run_times": "results/report/run_times.csv",
    "write_overview": "results/report/both/overview.html",
    "write_index": "results/report/index.html",
}
"""A file of each rule, in the order in which one needs another's."""


class Attack(NamedTuple):
    """A kill -9.

    Attributes
    ----------
    rule : str
        The rule whose step runs at that moment.
    target : str
        A file that this step makes.
    moment : float
        Seconds since the step began.
    victim : str
        The process of the step alone, or all processes, Snakemake's too.
    """

    rule: str
    target: str
    moment: float
    victim: Victim


class Run:
    """Snakemake in a process group of its own; what it says goes into a file.

    Parameters
    ----------
    folder : Path
        Where it runs, with `config.yaml`.
    arguments : str
        Targets and options.
    said : str
        Name of the file.
    """

    def __init__(self, folder: Path, *arguments: str, said: str = "said.txt") -> None:
        self._said = folder / said
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "config.yaml"]
        with self._said.open("w") as output:
            self.process = subprocess.Popen(
                [*command, "--cores", "1"],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def wait(self, timeout_s: float = 600) -> int:
        """The exit code; all processes are killed if it takes too long."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL to Snakemake and all that it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def now(self) -> tuple[str, psutil.Process] | None:
        """The rule whose step runs now, and the process that the shell has started for it."""
        try:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                if "--log" in child.cmdline():
                    begun = re.findall(r"^(?:local)?rule (\w+):$", self.said, re.MULTILINE)
                    if begun and child.is_running():
                        return begun[-1], child
        except psutil.NoSuchProcess:
            pass
        return None

    def step(self, rule: str) -> psutil.Process | None:
        """The process of a rule's step, if it runs now."""
        now = self.now()
        return now[1] if now is not None and now[0] == rule else None


def run(folder: Path, *arguments: str) -> str:
    """Run Snakemake to a good end; gives what it said."""
    one = Run(folder, *arguments)
    assert one.wait() == 0, one.said
    return one.said


def run_timed(folder: Path, *arguments: str) -> dict[str, float]:
    """Run Snakemake to a good end; gives how long the longest step of each rule took, in seconds."""
    one = Run(folder, *arguments)
    durations: dict[str, float] = {}
    begun: dict[int, float] = {}
    while one.process.poll() is None:
        now = one.now()
        if now is not None:
            rule, process = now
            lasted = time.monotonic() - begun.setdefault(process.pid, time.monotonic())
            durations[rule] = max(lasted, durations.get(rule, 0))
        time.sleep(0.05)
    assert one.wait() == 0, one.said
    return durations


def carry_out(folder: Path, attack: Attack) -> bool:
    """Start what makes a file, kill it, and unlock the folder where that is needed.

    Returns
    -------
    bool
        Whether the step was killed; false if it was done before.
    """
    # What an earlier kill has left undone is done on the way; the step itself runs, done or not.
    one = Run(folder, attack.target, "--rerun-incomplete", "--forcerun", attack.target)
    deadline = time.monotonic() + 600
    while (step := one.step(attack.rule)) is None:
        if one.process.poll() is not None:
            assert one.process.returncode == 0, one.said
            return False
        assert time.monotonic() < deadline, one.said
        time.sleep(0.01)
    time.sleep(attack.moment)
    if not step.is_running() or one.process.poll() is not None:
        assert one.wait() == 0, one.said
        return False
    if attack.victim == "everything":
        one.kill()
        run(folder, "--unlock")
        return True
    try:
        step.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        assert one.wait() == 0, one.said
        return False
    code = one.wait()
    if code:
        assert f"Error in rule {attack.rule}" in one.said, one.said
    return code != 0


def carry_out_all(folder: Path, attacks: Sequence[Attack]) -> int:
    """Do attacks one after the other, each that came too late again, earlier; gives the number of kills."""
    n_kills = 0
    for attack in attacks:
        earlier = attack
        for _ in range(5):
            if carry_out(folder, earlier):
                n_kills += 1
                break
            earlier = earlier._replace(moment=earlier.moment / 2)
    return n_kills


def carry_out_at_once(folder: Path, attacks: Sequence[Attack]) -> int:
    """Kill steps that need none of each other's files, in one run; gives the number of kills."""
    targets = [attack.target for attack in attacks]
    waiting = {attack.rule: attack for attack in attacks}
    one = Run(folder, *targets, "--keep-going", "--forcerun", *targets)
    while one.process.poll() is None:
        now = one.now()
        if now is not None and now[0] in waiting:
            attack = waiting.pop(now[0])
            time.sleep(attack.moment)
            now[1].send_signal(signal.SIGKILL)
        time.sleep(0.01)
    assert one.wait() == 1, one.said
    return sum(f"Error in rule {attack.rule}" in one.said for attack in attacks)
