"""`--profile slurm` on a real Slurm that has no accounting database."""

import re
from pathlib import Path

import pytest

from slurm_cluster import SEEDS, SlurmCluster
from workflow_run import WorkflowRun

pytestmark = pytest.mark.cluster

OFTEN = "--slurm-init-seconds-before-status-checks=3"


@pytest.fixture(scope="module")
def run(cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> WorkflowRun:
    """A run from a host of one core. One member fails; in their first try one is cancelled, one is too large,
    and one takes too long.
    """
    folder = tmp_path_factory.mktemp("slurm") / "it's a clone"
    once = "test -e {0} || {{ touch {0}; {1}; }}; echo well"
    commands = {
        "1": "echo $CUDA_VISIBLE_DEVICES; sleep 5",
        "2": "exit 3",
        "3": once.format("cancelled", "sleep 300"),
        "4": once.format("large", 'python3 -c "x = bytearray(3 * 10**9); import time; time.sleep(60)"'),
        "5": once.format("long", "sleep 300"),
    }
    return WorkflowRun(folder, commands, OFTEN, "--retries=1", profile="slurm", one_core=True)


def job_of(cluster: SlurmCluster, run: WorkflowRun, seed: int) -> str:
    (job_id,) = (
        job_id for job_id in cluster.jobs(run.folder, "RUNNING") if f"toy_{seed}" in cluster.describe(job_id)
    )
    return job_id


@pytest.fixture(scope="module")
def described(cluster: SlurmCluster, run: WorkflowRun) -> str:
    """What Slurm knows about the job that is then cancelled."""
    run.wait_until((run.folder / "cancelled").exists)
    job_id = job_of(cluster, run, 3)
    description = cluster.describe(job_id)
    cluster.delete(job_id)
    return description


@pytest.fixture(scope="module")
def ended(cluster: SlurmCluster, described: str, run: WorkflowRun) -> WorkflowRun:
    run.wait_until((run.folder / "long").exists)
    cluster.end_walltime(job_of(cluster, run, 5))
    run.wait(400)
    return run


def test_resources_reach_the_job(described: str) -> None:
    for part in ("CPUs/Task=8", "mem=1000M", "TimeLimit=00:10:00", "gpu:1"):
        assert part in described


def test_the_others_go_on(ended: WorkflowRun) -> None:
    assert ended.process.returncode != 0
    models = ended.folder / "results/models/toy"
    assert (models / "seed_1/best.txt").read_text() in ("0\n", "1\n")
    assert not (models / "seed_2/best.txt").exists()
    for seed in (3, 4, 5):
        assert (models / f"seed_{seed}/best.txt").read_text() == "well\n", ended.said


def test_why_slurm_ended_a_job_is_said(ended: WorkflowRun) -> None:
    states = re.findall(r"SLURM-job '\d+' failed, SLURM status is: '(\w+)'", ended.said)
    assert sorted(states) == ["CANCELLED", "FAILED", "FAILED", "FAILED", "TIMEOUT"]
    (log,) = ended.folder.glob(".snakemake/slurm_logs/rule_train/toy_4/*.log")  # kept of what failed
    assert "exceeded memory limit" in log.read_text()


def test_a_failure_names_member_job_and_log(ended: WorkflowRun) -> None:
    errors = re.findall(r"Error in rule train:.*?external_jobid: \d+", ended.said, flags=re.DOTALL)
    failed = [error for error in errors if "seed_2/" in error]
    assert len(failed) == 2  # the first try and the retry
    assert re.search(r"slurm_logs/rule_train/toy_2/\d+\.log", failed[0])


def test_ctrl_c_leaves_no_job(cluster: SlurmCluster, tmp_path: Path) -> None:
    run = WorkflowRun(tmp_path / "clone", dict.fromkeys(SEEDS, "sleep 300"), OFTEN, profile="slurm")
    cluster.wait_for(run.folder, 2, "RUNNING")
    cluster.wait_for(run.folder, 3, "PENDING")
    run.press_ctrl_c()
    assert run.wait() != 0
    cluster.wait_for(run.folder, 0, timeout_s=120)
