"""`--profile slurm` on a Slurm that keeps accounts in a database: a second one, of the tests' own."""

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow_run import WorkflowRun, end_runs

pytestmark = pytest.mark.cluster

HERE = Path(__file__).parent
PORT = 16830


@pytest.fixture(scope="module")
def accounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Slurm with slurmdbd and MariaDB, beside the one that the other tests use."""
    if "CLUSTER_DIR" not in os.environ:
        pytest.skip("no scheduler: tests/cluster/up.sh starts one")
    if not shutil.which("slurmdbd") or not shutil.which("mariadbd"):
        pytest.skip("no accounting: apt-get install --no-install-recommends slurmdbd mariadb-server")
    folder = tmp_path_factory.mktemp("accounted")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("DIR", str(folder)), ("PORT", str(PORT)), ("ACCOUNTING", "1")):
            patch.setenv(f"CLUSTER_{name}", value)
        try:
            subprocess.run([HERE / "up.sh"], check=True, timeout=180)
            patch.setenv("SLURM_CONF", str(folder / "etc" / "slurm.conf"))
            patch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
            yield
        finally:
            end_runs()
            subprocess.run([HERE / "down.sh"], check=False, timeout=180)


@pytest.fixture(scope="module")
def run(accounted: None, tmp_path_factory: pytest.TempPathFactory) -> WorkflowRun:
    """A run that asks the accounts for states; one member fails in its first try."""
    run = WorkflowRun(
        tmp_path_factory.mktemp("run") / "it's a clone",
        {"1": "echo well", "2": "test -e tried || { touch tried; exit 3; }; echo well"},
        "--slurm-status-command=sacct",
        "--slurm-efficiency-report",
        "--slurm-init-seconds-before-status-checks=3",
        profile="slurm",
    )
    assert run.wait(400) == 0, run.said
    return run


def test_states_come_from_the_accounts(run: WorkflowRun) -> None:
    failed = re.findall(r"SLURM-job '(\d+)' failed, SLURM status is: 'FAILED'", run.said)
    assert len(failed) == 1
    told = subprocess.run(
        ["sacct", "-X", "-n", "-P", "-o", "JobID,State,ExitCode", "-j", failed[0]],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert told.stdout == f"{failed[0]}|FAILED|1:0\n"


def test_what_jobs_used_is_reported(run: WorkflowRun) -> None:
    (report,) = run.folder.glob("efficiency_report_*.csv")
    with report.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) >= 3  # two members and the scores; of the try that failed there may be no step
    assert all(float(row["MaxRSS_MB"]) < float(row["RequestedMem_MB"]) for row in rows)
