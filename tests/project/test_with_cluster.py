"""tests/cluster/with_cluster.sh stops the scheduler that it has started, and no other."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "cluster" / "with_cluster.sh"


@pytest.mark.parametrize("pid", [None, "999999999", str(os.getpid())], ids=["none", "dead", "up"])
@pytest.mark.parametrize("code", [0, 3])
def test_stops_only_what_it_has_started(tmp_path: Path, pid: str | None, code: int) -> None:
    shutil.copy(SCRIPT, tmp_path)
    for name, body in (("up.sh", "touch $CLUSTER_DIR/env.sh"), ("down.sh", "touch $CLUSTER_DIR/down")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    if pid is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "slurmctld.pid").write_text(pid)
    command = [tmp_path / "with_cluster.sh", "sh", "-c", f"exit {code}"]
    environment = os.environ | {"CLUSTER_DIR": str(tmp_path)}
    assert subprocess.run(command, env=environment, check=False).returncode == code
    assert (tmp_path / "down").exists() == (pid != str(os.getpid()))
