"""The literal command on a real scheduler: `snakemake submission.csv --profile pbs`, from FITS files on."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fits_files import write_labelled, write_test_set
from slurm_cluster import SEEDS, SlurmCluster
from workflow_run import REPOSITORY

pytestmark = pytest.mark.cluster

NETWORK = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}
N_EPOCHS = 12
N_OBJECTS = 10
COMMAND = [sys.executable, "-m", "snakemake", "submission.csv", "--profile", "pbs"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with data and `config/local.yaml`."""
    folder = tmp_path_factory.mktemp("whole") / "a clone"
    for part in ("envs", "profiles", "rules", "workflow"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "Snakefile", folder)
    (folder / "pbs").symlink_to("profiles/pbs")
    labelled = write_labelled(folder / "data" / "labelled", 12)
    write_test_set(folder / "data" / "blind", N_OBJECTS)
    config = {
        "data": {"labelled": {name: str(Path(path)) for name, path in labelled.items()}},
        "testsets": {"challenge": {"path": "data/blind"}},
        "models": {
            "nano": {
                "network": NETWORK,
                "seeds": [int(seed) for seed in SEEDS],
                "train": {"epochs": N_EPOCHS, "batch_size": 16},
            }
        },
        "ensembles": {"nano": {"models": ["nano"]}},
        "submission": {"ensemble": "nano"},
    }
    (folder / "config").mkdir()
    (folder / "config" / "local.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def most_at_once(cluster: SlurmCluster, clone: Path) -> int:
    """How many GPU jobs ran at once at most, in a run in which one training job is deleted half way."""
    output = clone / "output"
    most, deleted = 0, ""
    with output.open("w") as stream:
        run = subprocess.Popen(COMMAND, cwd=clone, stdout=stream, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 900
    while run.poll() is None:
        if time.monotonic() > deadline:
            run.kill()
        running = [cluster.describe(job_id) for job_id in cluster.jobs(clone, "RUNNING")]
        most = max(most, sum("gpu:1" in job for job in running))
        half_way = [path.parent.name for path in clone.glob("results/models/nano/seed_*/resume")]
        for job in running:
            found = re.search(r"JobId=(\d+) JobName=train-nano-(\d+)", job)
            if found and not deleted and f"seed_{found[2]}" in half_way:
                cluster.delete(found[1])
                deleted = found[2]
        time.sleep(0.3)
    assert run.returncode == 0, output.read_text()
    (clone / "deleted").write_text(deleted)
    return most


def test_every_object_has_its_row(clone: Path, most_at_once: int) -> None:
    table = pd.read_csv(clone / "submission.csv")
    assert list(table["id"]) == [f"object_{number:05d}" for number in range(N_OBJECTS)]


def test_never_more_gpu_jobs_than_gpus(most_at_once: int) -> None:
    assert most_at_once == 2


def test_a_deleted_training_went_on_from_its_last_epoch(clone: Path, most_at_once: int) -> None:
    seed = (clone / "deleted").read_text()
    log = (clone / f"results/models/nano/seed_{seed}/train.log").read_text()
    assert "going on after epoch" in log
    rows = (clone / f"results/models/nano/seed_{seed}/training_log.csv").read_text().splitlines()
    assert len(rows) == 1 + N_EPOCHS
    assert not (clone / f"results/models/nano/seed_{seed}/resume").exists()


def test_short_rules_waited_once(clone: Path, most_at_once: int) -> None:
    said = (clone / "output").read_text()
    assert len(re.findall(r"external jobid '\d+ logs/pbs/scores/", said)) == 1
    assert len(re.findall(r"external jobid '\d+ logs/pbs/train/", said)) == len(SEEDS) + 1  # one again


def test_then_there_is_nothing_to_do(clone: Path, most_at_once: int) -> None:
    again = subprocess.run(COMMAND, cwd=clone, capture_output=True, text=True, check=True, timeout=120)
    assert "Nothing to be done" in again.stdout + again.stderr
