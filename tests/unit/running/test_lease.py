"""One writer for a folder: leases, and who waits for whom."""

import errno
import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stronglens.running import lease as module
from stronglens.running.errors import InputError
from stronglens.running.lease import Holder, lease

HERE = Path(module.__file__).parents[2]
NAME = "lease.json"

HOLD = """\
import sys, time
from pathlib import Path
from stronglens.running import lease as module
module.RENEWED_S = 0.1
with module.lease(Path(sys.argv[1]) / "lease.json"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
print("given back", flush=True)
"""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """All times are short, and this is no job."""
    for name, seconds in (("RENEWED_S", 0.05), ("STALE_S", 0.6), ("_LOOK_S", 0.02)):
        monkeypatch.setattr(module, name, seconds)
    for name in ("PBS_JOBID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def start(folder: Path, seconds: float, **environment: str) -> subprocess.Popen[str]:
    """Another process, which holds the lease for a while."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(seconds)],
        env=os.environ | {"PYTHONPATH": str(HERE)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def elsewhere(folder: Path, **changes: Any) -> None:
    """Make a lease one of another host: its process is not to be seen from here."""
    path = folder / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"kernel": "another", **changes}))


def test_is_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with lease(tmp_path / "new" / NAME):
            assert json.loads((tmp_path / "new" / NAME).read_text())["pid"] == os.getpid()
        assert not (tmp_path / "new").exists()  # nothing was written


def test_is_given_back_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "result").touch()
    with pytest.raises(RuntimeError), lease(tmp_path / NAME):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [tmp_path / "result"]


def test_is_renewed(tmp_path: Path) -> None:
    with lease(tmp_path / NAME):
        before = (tmp_path / NAME).read_text()
        deadline = time.monotonic() + 60
        while (tmp_path / NAME).read_text() == before:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("variable", ["PBS_JOBID", "SLURM_JOB_ID"])
def test_a_second_job_is_refused_with_both_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with start(tmp_path, 60, **{variable: "35.vm"}) as holder:
        monkeypatch.setenv(variable, "36.vm")
        with pytest.raises(InputError) as refused, lease(tmp_path / NAME, wait_s=2 * module.STALE_S):
            pass
        holder.kill()
    host = Holder.here().host
    for part in (f"that of job 35.vm on {host}", f"job 36.vm on {host}", str(tmp_path / NAME)):
        assert part in str(refused.value)


def test_a_second_job_waits_for_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with start(tmp_path, 1) as holder:
        with lease(tmp_path / NAME):
            assert holder.wait(timeout=60) == 0
        assert holder.stdout is not None
        assert holder.stdout.read() == "given back\n"
        assert holder.stderr is not None
        assert holder.stderr.read() == ""
    assert caplog.text.count("waits for its end") == 1


def test_a_holder_on_this_host_that_was_killed_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALE_S", 1000)
    with start(tmp_path, 60) as holder:
        holder.kill()
    with lease(tmp_path / NAME, wait_s=0):
        pass


@pytest.mark.parametrize("text", [None, "", '{"host": "half a li'])
def test_a_lease_of_another_host_is_taken_over_when_it_is_renewed_no_more(
    tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with start(tmp_path, 60, PBS_JOBID="35.vm") as holder:
        holder.kill()
    elsewhere(tmp_path, host="node7")
    if text is not None:
        (tmp_path / NAME).write_text(text)
    before = time.monotonic()
    with lease(tmp_path / NAME):
        assert time.monotonic() - before >= module.STALE_S
        assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert ("job 35.vm on node7" in caplog.text) == (text is None)


def test_one_of_a_reused_process_id_is_dead() -> None:
    me = Holder.here()
    assert not me.is_known_dead()
    assert Holder(me.host, "", me.pid, "another start", me.kernel).is_known_dead()
    assert not Holder(me.host, "", me.pid, "another start", "another kernel").is_known_dead()


def test_who_has_lost_it_ends_and_leaves_the_others(tmp_path: Path) -> None:
    with start(tmp_path, 60) as first:
        first.send_signal(signal.SIGSTOP)  # a node that stands still
        elsewhere(tmp_path)
        with lease(tmp_path / NAME):
            first.send_signal(signal.SIGCONT)
            assert first.wait(timeout=60) == 1
            assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()
        assert first.stderr is not None
        assert "has taken over from" in first.stderr.read()


def _hold(folder: Path, log: Path) -> None:
    module.STALE_S, module._LOOK_S, module.RENEWED_S = 0.6, 0.01, 0.05
    with lease(folder / NAME, wait_s=60):
        with log.open("a") as stream:
            stream.write(f"in {os.getpid()}\n")
        time.sleep(0.1)
        with log.open("a") as stream:
            stream.write(f"out {os.getpid()}\n")


def test_never_two_at_once(tmp_path: Path) -> None:
    """Of many that find a dead lease, one after another."""
    folder = tmp_path / "member"
    with start(folder, 60) as holder:
        holder.kill()
    elsewhere(folder)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_hold, args=(folder, tmp_path / "log")) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert len(lines) == 12
    for (entered, one), (left, other) in zip(lines[::2], lines[1::2], strict=True):
        assert (entered, left, one) == ("in", "out", other)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="expected a file that can be written"),
        lease(tmp_path / "file" / "x"),
    ):
        pass


@pytest.mark.parametrize("step", ["train", "run_trial"])
def test_a_training_beside_another_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0)
    held = tmp_path / "member" / NAME if step == "train" else tmp_path / "0.lease"
    out = [f"--out-dir={held.parent}"] if step == "train" else [f"--out={tmp_path}/0.json", "--trial=0"]
    main = importlib.import_module(step).main
    with lease(held):
        before = sorted(tmp_path.rglob("*"))
        assert main([f"--packed={tmp_path}/no", f"--splits={tmp_path}/no", *out]) == 1
        assert sorted(tmp_path.rglob("*")) == before
    assert "expected a lease that nobody holds, found that of process on" in caplog.text


def test_a_lease_that_cannot_be_written_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_text", no_space)
    path = tmp_path / "lease.json"
    with (
        pytest.raises(
            InputError, match=r"lease\.json: expected a file that can be written, found: .*No space"
        ),
        lease(path),
    ):
        pass
    assert not path.exists()
