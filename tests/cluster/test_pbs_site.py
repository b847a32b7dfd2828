"""`--profile pbs` on a real scheduler: what a site sets reaches the jobs."""

import os
import signal
import time
from pathlib import Path

import pytest

from slurm_cluster import SEEDS, SlurmCluster
from workflow_run import WorkflowRun, site_profile

pytestmark = pytest.mark.cluster


def test_resources_of_a_site_reach_the_job(cluster: SlurmCluster, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    site_profile(
        folder,
        "site",
        {
            "default-resources": {"account": "lenses-2026", "pbs_extra": "-p -5"},
            "set-resources": {"train": {"queue": "gpu", "runtime": 7, "mem_mb": 1234}},
        },
    )
    run = WorkflowRun(folder, {"1": "sleep 300"}, profile="site")
    (job_id,) = cluster.wait_for(folder, 1)
    described = cluster.describe(job_id)
    run.press_ctrl_c()
    run.wait()
    for part in ("Partition=gpu", "Account=lenses-2026", "TimeLimit=00:07:00", "mem=1234M"):
        assert part in described


def test_a_cap_on_gpu_jobs(cluster: SlurmCluster, tmp_path: Path) -> None:
    run = WorkflowRun(
        tmp_path / "clone", dict.fromkeys(SEEDS, "sleep 300"), "--resources=gpu=1", profile="pbs"
    )
    cluster.wait_for(run.folder, 1)
    time.sleep(5)
    assert len(cluster.jobs(run.folder)) == 1
    run.press_ctrl_c()
    run.wait()


def test_another_working_folder(cluster: SlurmCluster, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    arguments = (f"--directory={folder}", "--seconds-between-status-checks=1")
    run = WorkflowRun(tmp_path / "clone", {"1": "pwd"}, *arguments, profile="pbs")
    assert run.wait() == 0, run.said
    assert (folder / "submission.csv").read_text() == f"{folder}\n"


def test_a_silent_server_is_not_a_failed_job(cluster: SlurmCluster, tmp_path: Path) -> None:
    run = WorkflowRun(
        tmp_path / "clone",
        {"1": "sleep 20; echo well"},
        *("--seconds-between-status-checks=1", "--retries=0"),
        profile="pbs",
    )
    cluster.wait_for(run.folder, 1, "RUNNING")
    server = int(Path(os.environ["CLUSTER_DIR"], "run", "slurmctld.pid").read_text())
    os.kill(server, signal.SIGSTOP)
    try:
        time.sleep(35)
    finally:
        os.kill(server, signal.SIGCONT)
    assert run.wait() == 0, run.said
