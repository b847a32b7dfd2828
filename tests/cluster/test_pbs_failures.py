"""`--profile pbs` on a real scheduler: failures are found, and said."""

import re
import time
from pathlib import Path

import pytest

from slurm_cluster import SlurmCluster
from workflow_run import WorkflowRun

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def run(cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> WorkflowRun:
    """A run in which one member fails, one is deleted, one is too large, one takes too long; one is well."""
    # Those that come to grief do so in their first try only.
    once = "test -e {0} || {{ touch {0}; {1}; }}; echo well"
    commands = {
        "1": "echo well",
        "2": "exit 3",
        "3": once.format("deleted", "sleep 300"),
        "4": once.format("large", 'python3 -c "x = bytearray(3 * 10**9); import time; time.sleep(60)"'),
        "5": once.format("long", "sleep 300"),
    }
    folder = tmp_path_factory.mktemp("wrong") / "clone"
    return WorkflowRun(folder, commands, "--retries=1", profile="pbs", config={"gpu": 0, "runtime_min": 1})


def first_job(run: WorkflowRun, seed: int) -> str:
    """The id of a member's first try."""
    found = re.search(rf"external jobid '(\d+) logs/pbs/train/train-toy-{seed}\.", run.said)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def noticed_s(cluster: SlurmCluster, run: WorkflowRun) -> dict[str, float]:
    """Seconds after which a first try was said to have failed that was deleted, too large, or too long."""
    run.wait_until(lambda: run.said.count("external jobid") >= 5)
    jobs = {how: first_job(run, seed) for how, seed in (("deleted", 3), ("large", 4), ("long", 5))}
    run.wait_until((run.folder / "deleted").exists)
    cluster.delete(jobs["deleted"])
    over, noticed = {"deleted": time.monotonic()}, dict[str, float]()
    deadline = time.monotonic() + 300
    while noticed.keys() != jobs.keys():
        assert time.monotonic() < deadline, f"noticed {noticed} of {jobs}:\n{run.said}"
        going_on = cluster.jobs(run.folder)
        for how, job_id in jobs.items():
            if job_id not in going_on:
                over.setdefault(how, time.monotonic())
            if f"job {job_id} failed" in run.said:
                noticed.setdefault(how, time.monotonic())
        time.sleep(0.3)
    # A job that leaves its exit code is noticed before Slurm has put it away.
    return {how: noticed[how] - over.get(how, noticed[how]) for how in jobs}


@pytest.fixture(scope="module")
def ended(noticed_s: dict[str, float], run: WorkflowRun) -> WorkflowRun:
    run.wait(400)
    return run


def result(run: WorkflowRun, seed: int) -> Path:
    return run.folder / f"results/models/toy/seed_{seed}/best.txt"


def test_exit_code(ended: WorkflowRun) -> None:
    assert ended.process.returncode != 0


def test_the_others_go_on(ended: WorkflowRun) -> None:
    assert [seed for seed in range(1, 6) if result(ended, seed).exists()] == [1, 3, 4, 5], ended.said
    assert not (ended.folder / "submission.csv").exists()


def test_a_failure_names_member_job_and_log(ended: WorkflowRun) -> None:
    errors = re.findall(r"Error in rule train:.*?external_jobid: \d+ \S+", ended.said, flags=re.DOTALL)
    failed = [error for error in errors if "seed_2/" in error]
    assert len(failed) == 2  # the first try and the retry
    log = re.search(r"external_jobid: \d+ (logs/pbs/train/train-toy-2\.\S+\.log)", failed[0])
    assert log is not None
    assert (ended.folder / log[1]).exists()
    assert re.search(r"pbs: job \d+ failed: exit code 1; log logs/pbs/train/train-toy-2\.", ended.said)


@pytest.mark.parametrize("how", ["deleted", "large", "long"])
def test_it_is_noticed_within_a_minute(noticed_s: dict[str, float], how: str) -> None:
    assert noticed_s[how] < 60


def test_too_little_memory_is_mended_by_the_retry(ended: WorkflowRun) -> None:
    assert result(ended, 4).read_text() == "well\n"
    logs = sorted(ended.folder.glob("logs/pbs/train/train-toy-4.*.log"), key=lambda log: log.stat().st_mtime)
    assert len(logs) == 2
    assert "memory" in logs[0].read_text()


def test_an_overrun_walltime_is_noticed_and_tried_again(ended: WorkflowRun) -> None:
    assert result(ended, 5).read_text() == "well\n"
    logs = [log.read_text() for log in ended.folder.glob("logs/pbs/train/train-toy-5.*.log")]
    assert sum("TIME LIMIT" in log for log in logs) == 1
