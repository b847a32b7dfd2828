"""Processes that share the work of a step."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stronglens.running import worker_processes as module
from stronglens.running.errors import InputError
from stronglens.running.worker_processes import worker_processes


def touch(folder: Path) -> None:
    (folder / str(os.getpid())).touch()


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_work_is_done_elsewhere_after_each_has_prepared(tmp_path: Path) -> None:
    with worker_processes(2, tmp_path, partial(touch, tmp_path)) as pool:
        pids = list(pool.map(_pid_of, range(4)))
    assert os.getpid() not in pids
    assert {str(pid) for pid in pids} <= {path.name for path in tmp_path.iterdir()}


def _pid_of(_: int) -> int:
    return os.getpid()


def test_one_that_is_killed_ends_the_step_with_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="out: one of 2 processes was killed, perhaps for want of memory"),
        worker_processes(2, tmp_path / "out") as pool,
    ):
        list(pool.map(die, range(3)))


def test_what_the_work_raises_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal"), worker_processes(1, tmp_path) as pool:
        list(pool.map(int, ["3", "x"]))


@pytest.mark.parametrize(("code", "raised"), [(11, InputError), (24, InputError), (28, OSError)])
def test_only_want_of_processes_is_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, raised: type[Exception]
) -> None:
    """EAGAIN and EMFILE; a full disk is another's fault."""

    @contextmanager
    def refused(*_: Any) -> Iterator[None]:
        raise OSError(code, os.strerror(code))
        yield

    monkeypatch.setattr(module, "ProcessPoolExecutor", refused)
    with pytest.raises(raised, match=os.strerror(code)) as caught, worker_processes(3, tmp_path):
        pass
    assert ("expected to start 3 processes" in str(caught.value)) == (raised is InputError)
