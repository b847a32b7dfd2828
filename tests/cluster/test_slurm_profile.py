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
    """A run from a host of one core, in which one member fails, and one is cancelled in its first try."""
    folder = tmp_path_factory.mktemp("slurm") / "it's a clone"
    commands = {
        "1": "echo $CUDA_VISIBLE_DEVICES; sleep 5",
        "2": "exit 3",
        "3": "test -e tried || { touch tried; sleep 300; }; echo well",
    }
    return WorkflowRun(folder, commands, OFTEN, "--retries=1", profile="slurm", one_core=True)


@pytest.fixture(scope="module")
def described(cluster: SlurmCluster, run: WorkflowRun) -> str:
    """What Slurm knows about the job that is then cancelled."""
    run.wait_until((run.folder / "tried").exists)
    for job_id in cluster.jobs(run.folder, "RUNNING"):
        description = cluster.describe(job_id)
        if "toy_3" in description:
            cluster.delete(job_id)
            return description
    raise AssertionError(run.said)


@pytest.fixture(scope="module")
def ended(described: str, run: WorkflowRun) -> WorkflowRun:
    run.wait(240)
    return run


def test_resources_reach_the_job(described: str) -> None:
    for part in ("CPUs/Task=8", "mem=1000M", "TimeLimit=00:10:00", "gpu:1"):
        assert part in described


def test_the_others_go_on(ended: WorkflowRun) -> None:
    assert ended.process.returncode != 0
    models = ended.folder / "results/models/toy"
    assert (models / "seed_1/best.txt").read_text() in ("0\n", "1\n")
    assert not (models / "seed_2/best.txt").exists()
    assert (models / "seed_3/best.txt").read_text() == "well\n", ended.said


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
    assert run.wait(90) != 0
    cluster.wait_for(run.folder, 0, timeout_s=30)
