"""`--profile pbs` on a real scheduler: the literal command, five seeds, two GPUs."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from slurm_cluster import SEEDS, SlurmCluster
from workflow_run import WorkflowRun

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Member:
    """What a member's job wrote: when it ran, on which device, with how many cores."""

    started: float
    device: str
    n_cores: str
    ended: float


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose name needs quotes."""
    return tmp_path_factory.mktemp("five") / "a {clone} of $HOME"


@pytest.fixture(scope="module")
def described(cluster: SlurmCluster, folder: Path, run: WorkflowRun) -> str:
    """What Slurm knows about one of the jobs of train."""
    return cluster.describe(cluster.wait_for(folder, 5)[0])


@pytest.fixture(scope="module")
def run(folder: Path, cluster: SlurmCluster) -> WorkflowRun:
    command = "date +%s.%N; echo $CUDA_VISIBLE_DEVICES $SLURM_NTASKS; sleep 3; date +%s.%N"
    return WorkflowRun(folder, dict.fromkeys(SEEDS, command), "submission.csv", profile="pbs", one_core=True)


@pytest.fixture(scope="module")
def members(described: str, run: WorkflowRun) -> list[Member]:
    """All members, after the run."""
    assert run.wait() == 0, run.said
    assert (run.folder / "submission.csv").exists()
    texts = [path.read_text().split() for path in run.folder.glob("results/models/toy/*/best.txt")]
    return [Member(float(started), device, n, float(ended)) for started, device, n, ended in texts]


def test_never_more_than_two_at_once_each_on_its_device(members: list[Member]) -> None:
    assert len(members) == 5
    for member in members:
        together = [other for other in members if other.started <= member.started < other.ended]
        assert len(together) <= 2
        assert len({other.device for other in together}) == len(together)
        assert member.device in ("0", "1")


def test_asks_for_eight_cores_from_a_host_with_one(members: list[Member]) -> None:
    assert {member.n_cores for member in members} == {"8"}


def test_asks_for_memory_and_time(described: str) -> None:
    assert "mem=1000M" in described
    assert "TimeLimit=00:10:00" in described


def test_jobs_are_named(described: str) -> None:
    assert re.search(r"JobName=train-(42|101|202|303|404)-toy\b", described)


def test_one_log_a_job_named_in_the_output(run: WorkflowRun, members: list[Member]) -> None:
    logs = re.findall(r"external jobid '\d+ (logs/pbs/\S+\.log)'", run.said)
    assert all("Finished" in (run.folder / log).read_text() for log in logs)
    assert len(list(run.folder.glob("logs/pbs/*/*"))) == len(logs)


def test_short_rules_wait_in_the_queue_once(run: WorkflowRun, members: list[Member]) -> None:
    assert len(re.findall(r"external jobid '\d+ logs/pbs/train/", run.said)) == 5
    assert len(re.findall(r"external jobid '\d+ logs/pbs/scores/", run.said)) == 1
    assert run.said.count("external jobid") == 6
