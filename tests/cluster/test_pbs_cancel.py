"""`--profile pbs` on a real scheduler: however Snakemake ends, no job is left."""

import os
import signal
import time
from pathlib import Path

import pytest

from slurm_cluster import SEEDS, SlurmCluster
from workflow_run import WorkflowRun, site_profile

pytestmark = pytest.mark.cluster


@pytest.fixture
def run(cluster: SlurmCluster, tmp_path: Path) -> WorkflowRun:
    """Two jobs that run and three that wait; in a round of status questions that takes five seconds."""
    run = WorkflowRun(
        tmp_path / "clone",
        dict.fromkeys(SEEDS, "sleep 300"),
        *("--max-status-checks-per-second=1", "--seconds-between-status-checks=1"),
        profile="pbs",
    )
    cluster.wait_for(run.folder, 2, "RUNNING")
    cluster.wait_for(run.folder, 3, "PENDING")
    return run


@pytest.mark.parametrize("delay_s", [0, 2.5])
def test_after_ctrl_c(cluster: SlurmCluster, run: WorkflowRun, delay_s: float) -> None:
    time.sleep(delay_s)
    run.press_ctrl_c()
    assert run.wait(150) != 0
    cluster.wait_for(run.folder, 0, timeout_s=120)


def test_after_ctrl_c_while_jobs_are_submitted(cluster: SlurmCluster, tmp_path: Path) -> None:
    run = WorkflowRun(tmp_path / "clone", dict.fromkeys(SEEDS, "sleep 300"), profile="pbs")
    run.wait_until(lambda: len(cluster.jobs(run.folder)) > 0)
    run.press_ctrl_c()
    run.wait(150)
    cluster.wait_for(run.folder, 0, timeout_s=120)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGHUP], ids=["kill -9", "terminal closes"])
def test_after_snakemake_was_ended(cluster: SlurmCluster, run: WorkflowRun, end: signal.Signals) -> None:
    os.killpg(run.process.pid, end)
    cluster.wait_for(run.folder, 0, timeout_s=120)


def test_by_the_next_run_after_the_host_went_down(cluster: SlurmCluster, run: WorkflowRun) -> None:
    before = cluster.jobs(run.folder)
    run.host_goes_down()
    time.sleep(3)
    assert sorted(cluster.jobs(run.folder)) == sorted(before)
    WorkflowRun(run.folder, dict.fromkeys(SEEDS, "sleep 300"), "--unlock", profile="pbs").wait()
    again = WorkflowRun(run.folder, dict.fromkeys(SEEDS, "sleep 300"), profile="pbs")
    again.wait_until(lambda: again.said.count("Submitted job") == 5)
    now = cluster.jobs(run.folder, "PENDING", "RUNNING")
    assert len(now) == 5
    assert not set(now) & set(before)
    again.press_ctrl_c()
    again.wait(150)
    cluster.wait_for(run.folder, 0, timeout_s=120)


def test_where_a_sibling_fails_and_nothing_new_is_to_start(cluster: SlurmCluster, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    site_profile(folder, "site", {"keep-going": False})
    commands = {"1": "exit 1", "2": "sleep 15", "3": "sleep 15", "4": "sleep 15"}
    run = WorkflowRun(folder, commands, "--retries=0", "--seconds-between-status-checks=1", profile="site")
    assert run.wait() != 0
    cluster.wait_for(folder, 0, timeout_s=120)
