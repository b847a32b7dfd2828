import os
import subprocess
from collections.abc import Iterator

import pytest

from slurm_cluster import SlurmCluster
from workflow_run import end_runs


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    """A scheduler, if one is up; what a failed test leaves on it is removed."""
    if "CLUSTER_DIR" not in os.environ:
        pytest.skip("no scheduler: tests/cluster/up.sh starts one")
    yield SlurmCluster()
    end_runs()
    subprocess.run(["scancel", "--me"], timeout=20, check=False)
