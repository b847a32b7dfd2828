import os
import signal
from collections.abc import Iterator

import pytest

from slurm_cluster import SlurmCluster
from workflow_run import end_runs


@pytest.fixture(scope="session", autouse=True)
def as_in_a_terminal() -> None:
    """Ctrl-C and a terminal that closes end what the tests start, also where nohup or & had them ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A scheduler, if one is up; what a failed test leaves on it is removed, and nobody else's jobs."""
    if "CLUSTER_DIR" not in os.environ:
        pytest.skip("no scheduler: tests/cluster/up.sh starts one")
    cluster = SlurmCluster()
    yield cluster
    end_runs()
    cluster.cancel_below(tmp_path_factory.getbasetemp())
