"""The literal command on a real scheduler: `snakemake submission.csv --profile pbs`, from FITS files on.

In short under `--profile slurm` too.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fits_files import write_labelled, write_test_set
from slurm_cluster import SEEDS, SlurmCluster
from stronglens.formats.train_progress import read_progress
from workflow_run import REPOSITORY

pytestmark = pytest.mark.cluster

NETWORK = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}
N_EPOCHS = 60  # half a minute
N_OBJECTS = 10
# The GPUs are pretended, and a job that has one does not take the CPU unless it is told to.
ON_CPU = [f"{rule}:device=cpu" for rule in ("train", "predict_val", "predict_heldout", "predict_test")]
COMMAND = [
    *(sys.executable, "-m", "snakemake", "submission.csv", "--set-resources", *ON_CPU),
    *("--profile", "pbs"),
]


def make_clone(folder: Path, profile: str, seeds: Sequence[str], n_epochs: int) -> Path:
    """Make a clone with data and `config/local.yaml`."""
    for part in ("envs", "plugins", "profiles", "rules", "workflow"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "Snakefile", folder)
    (folder / profile).symlink_to(f"profiles/{profile}")
    labelled = write_labelled(folder / "data" / "labelled", 12)
    write_test_set(folder / "data" / "blind", N_OBJECTS)
    config = {
        "data": {"labelled": {name: str(Path(path)) for name, path in labelled.items()}},
        "testsets": {"challenge": {"path": "data/blind"}},
        "models": {
            "nano": {
                "network": NETWORK,
                "seeds": [int(seed) for seed in seeds],
                "train": {"epochs": n_epochs, "batch_size": 16, "patience": n_epochs},
            }
        },
        "ensembles": {"nano": {"models": ["nano"]}},
        "submission": {"ensemble": "nano"},
    }
    (folder / "config").mkdir()
    (folder / "config" / "local.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("whole") / "a clone", "pbs", SEEDS, N_EPOCHS)


@dataclass(frozen=True)
class Run:
    """What was seen of the run, in which two trainings were cut.

    Attributes
    ----------
    most_at_once : int
        GPU jobs that ran at once at most.
    cut : dict of str to str
        The seed that was deleted, and the one whose walltime was over.
    """

    most_at_once: int
    cut: dict[str, str]


@pytest.fixture(scope="module")
def run(cluster: SlurmCluster, clone: Path) -> Run:
    output = clone / "output"
    most, cut = 0, dict[str, str]()
    with output.open("w") as stream:
        process = subprocess.Popen(COMMAND, cwd=clone, stdout=stream, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 1200
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
        running = {job_id: cluster.describe(job_id) for job_id in cluster.jobs(clone, "RUNNING")}
        most = max(most, sum("gpu:1" in job for job in running.values()))
        # Its state is saved once a minute and when it is told to end, not before.
        begun = {
            path.parent.name
            for path in clone.glob("results/models/nano/seed_*/progress.json")
            if 2 <= len(read_progress(path.parent)[0].epochs) < N_EPOCHS // 2
        }
        for job_id, job in running.items():
            found = re.search(r"JobName=train-(\d+)-nano", job)
            if found is None or f"seed_{found[1]}" not in begun or found[1] in cut.values():
                continue
            if "deleted" not in cut:
                cluster.delete(job_id)
                cut["deleted"] = found[1]
            elif "too long" not in cut:
                stand_still(cluster.pids(job_id))
                cluster.end_walltime(job_id)
                cut["too long"] = found[1]
        time.sleep(0.3)
    assert process.returncode == 0, output.read_text()
    return Run(most, cut)


def stand_still(pids: list[int]) -> None:
    """Stop a training until Slurm wakes it to tell it to end: it must not be done by then."""
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"train.py" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0", 2)[1]:
                os.kill(pid, signal.SIGSTOP)


def test_every_object_has_its_row(clone: Path, run: Run) -> None:
    table = pd.read_csv(clone / "submission.csv")
    assert list(table["id"]) == [f"object_{number:05d}" for number in range(N_OBJECTS)]


def test_never_more_gpu_jobs_than_gpus(run: Run) -> None:
    assert run.most_at_once == 2


@pytest.mark.parametrize("how", ["deleted", "too long"])
def test_a_training_that_was_cut_went_on_within_its_epoch(clone: Path, run: Run, how: str) -> None:
    folder = clone / f"results/models/nano/seed_{run.cut[how]}"
    log = (folder / "train.log").read_text()
    stopped = re.search(r"stopped by SIGTERM after (?:(?:\d+ of \d+|all) steps of )?epoch (\d+)", log)
    assert stopped is not None, log
    assert re.search(r"going on after epoch \d+", log[stopped.end() :]), log
    epochs = [line.split(",")[0] for line in (folder / "training_log.csv").read_text().splitlines()[1:]]
    assert epochs == [str(epoch + 1) for epoch in range(N_EPOCHS)]
    assert not (folder / "resume").exists()


def test_the_walltime_is_named(clone: Path, run: Run) -> None:
    logs = [path.read_text() for path in clone.glob(f"logs/pbs/train/train-nano-{run.cut['too long']}.*.log")]
    assert len(logs) == 2
    assert sum("TIME LIMIT" in log for log in logs) == 1


def test_the_gpu_that_the_scheduler_assigned_is_taken(clone: Path, run: Run) -> None:
    logs = [*clone.glob("results/models/nano/*/train.log"), *clone.glob("logs/predict_*/**/*.log")]
    assert len(logs) == 3 * len(SEEDS)
    assert not any("is kept for this job" in log.read_text() for log in logs)


def test_short_rules_waited_once(clone: Path, run: Run) -> None:
    said = (clone / "output").read_text()
    assert len(re.findall(r"external jobid '\d+ logs/pbs/scores/", said)) == 1
    assert len(re.findall(r"external jobid '\d+ logs/pbs/train/", said)) == len(SEEDS) + 2  # two again


def test_then_there_is_nothing_to_do(clone: Path, run: Run) -> None:
    again = subprocess.run(COMMAND, cwd=clone, capture_output=True, text=True, check=True, timeout=120)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_under_the_slurm_profile(cluster: SlurmCluster, tmp_path: Path) -> None:
    clone = make_clone(tmp_path / "a clone", "slurm", SEEDS[:2], 1)
    command = [*COMMAND[:-1], "slurm", "--slurm-init-seconds-before-status-checks=3"]
    run = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    table = pd.read_csv(clone / "submission.csv")
    assert list(table["id"]) == [f"object_{number:05d}" for number in range(N_OBJECTS)]
    assert not cluster.jobs(clone)
