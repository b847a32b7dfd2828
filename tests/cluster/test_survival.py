"""What is normal on a cluster, with both profiles: a job loses its node or is preempted; it is done again."""

import time
from pathlib import Path

import pytest

from slurm_cluster import SlurmCluster
from workflow_run import WorkflowRun

pytestmark = pytest.mark.cluster

OFTEN = {"pbs": "--seconds-between-status-checks=1", "slurm": "--slurm-init-seconds-before-status-checks=3"}
MEMBER = Path("results/models/toy/seed_1/best.txt")

# In its first try it waits, and says whether it was asked to end.
COMMAND = "test -e tried || { touch tried; trap 'touch asked; exit 143' TERM; sleep 300 & wait; }; echo well"


@pytest.fixture(params=OFTEN)
def run(request: pytest.FixtureRequest, cluster: SlurmCluster, tmp_path: Path) -> WorkflowRun:
    """A run whose job is in its first try."""
    profile = request.param
    arguments = (str(MEMBER), OFTEN[profile])
    run = WorkflowRun(tmp_path / "clone", {"1": COMMAND}, *arguments, profile=profile, config={"gpu": 0})
    run.wait_until((run.folder / "tried").exists)
    return run


def test_a_lost_node(cluster: SlurmCluster, run: WorkflowRun) -> None:
    cluster.lose_node()
    assert run.wait() == 0, run.said
    assert (run.folder / MEMBER).read_text() == "well\n"


def test_preemption(cluster: SlurmCluster, run: WorkflowRun) -> None:
    with cluster.urgent_job():
        run.wait_until((run.folder / "asked").exists)
        time.sleep(15)  # whoever comes again now has to wait
        assert not (run.folder / MEMBER).exists()
    assert run.wait() == 0, run.said
    assert (run.folder / MEMBER).read_text() == "well\n"
