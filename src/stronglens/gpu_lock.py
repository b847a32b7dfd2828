"""A GPU for each job of a workstation: taken by a lock that the kernel frees, however the job ends."""

import csv
import fcntl
import itertools
import logging
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stronglens.errors import InputError

_LOCKS = Path("/tmp")  # noqa: S108 - TMPDIR differs from job to job; whose folder it is, is checked
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_JOB_IDS = {
    "PBS_JOBID": "PBS_JOBID",
    "SLURM_JOB_ID": "SLURM_JOB_ID",
    "LSB_JOBID": "LSB_JOBID",
    "JOB_ID": "SGE_TASK_ID",
}
"""Variables of jobs of PBS and Torque, Slurm, LSF, Grid Engine: the number, and what nobody else sets."""

_JOBS_PER_GPU = "STRONGLENS_JOBS_PER_GPU"
"""How many jobs of this user may share a GPU, one if not set: small networks leave most of it idle."""

_SMI_TIMEOUT_S = 30


@dataclass(frozen=True)
class _Gpu:
    """A device: what CUDA_VISIBLE_DEVICES calls it, and what all processes of the node call it."""

    name: str
    uuid: str


@contextmanager
def claim_gpu(
    device: str = "auto", candidates: Sequence[str] | None = None, wait_s: float = 5.0
) -> Iterator[str | None]:
    """Keep one GPU (or one of the places on it, see Notes) for the block, and let CUDA see that one only.

    To be entered before CUDA is initialised, which reads CUDA_VISIBLE_DEVICES once. Waits while all GPUs are
    taken by other jobs of this user. GPUs that other users compute on are passed over.

    Parameters
    ----------
    device : str
        As a step is given it. Only "auto" and "cuda" leave a choice; with any other nothing is claimed.
    candidates : sequence of str, optional
        Devices to choose from, as CUDA_VISIBLE_DEVICES names them; those of CUDA_VISIBLE_DEVICES if not
        given, or else all of this node. Numbers are those that nvidia-smi shows.
    wait_s : float
        Seconds between two looks while all are taken.

    Yields
    ------
    str or None
        The claimed device as it was named; None if there was nothing to claim: no GPU, no
        choice, or the one that a scheduler has assigned.

    Raises
    ------
    InputError
        The folder of the locks belongs to somebody else, or STRONGLENS_JOBS_PER_GPU is no positive number.

    Notes
    -----
    Where STRONGLENS_JOBS_PER_GPU is set, so many jobs share a GPU, each with a lock of its own; a GPU with
    fewer jobs is taken first.

    The locks are those of one user on one node; jobs on other nodes or of other users are a scheduler's
    business, or are seen by what they compute. Several devices that a scheduler assigned to one job are
    shared out within that job.
    """
    visible = os.environ.get(_VISIBLE)
    job_ids = (os.environ[name] for name, sign in _JOB_IDS.items() if {name, sign} <= os.environ.keys())
    job_id = next(job_ids, "")
    assigned = candidates is None and visible is not None and job_id != ""
    gpus = _choices(candidates, visible) if device in ("auto", "cuda") else []
    if not gpus or (assigned and len(gpus) == 1):
        yield None
        return
    # Within an assignment devices may be counted from 0 in every job: one job's locks are not another's.
    folder = _lock_folder(f"-{job_id}" if assigned else "")
    gpu, lock = _wait_for_gpu(gpus, folder, wait_s, jobs_per_gpu(), look_for_others=not assigned)
    # Not by number: CUDA counts the fastest first, nvidia-smi, which was asked about it, by place.
    os.environ[_VISIBLE] = gpu.uuid
    try:
        yield gpu.name
    finally:
        os.environ.pop(_VISIBLE, None)
        if visible is not None:
            os.environ[_VISIBLE] = visible
        os.close(lock)


def _choices(candidates: Sequence[str] | None, visible: str | None) -> list[_Gpu]:
    known = _known_gpus()
    if candidates is None and visible is None:
        return [_Gpu(uuid, uuid) for uuid in known.values()] or [
            _Gpu(path.name[6:], path.name[6:]) for path in sorted(Path("/dev").glob("nvidia[0-9]*"))
        ]
    names = [name.strip() for name in (visible or "").split(",")] if candidates is None else candidates
    if "-1" in names:
        names = names[: names.index("-1")]  # as CUDA reads it
    return [_Gpu(name, _uuid(name, known)) for name in names if name]


def _uuid(name: str, known: dict[str, str]) -> str:
    """The whole UUID of a GPU that is named by its number or the beginning of its UUID; else the name."""
    found = [uuid for number, uuid in known.items() if name == number or uuid.startswith(name)]
    return found[0] if len(found) == 1 else name


def jobs_per_gpu() -> int:
    """How many jobs may share a GPU: STRONGLENS_JOBS_PER_GPU, or 1.

    Raises
    ------
    InputError
        It is no positive number.
    """
    told = os.environ.get(_JOBS_PER_GPU, "1")
    if not told.isascii() or not told.isdigit() or int(told) < 1:
        raise InputError(f"{_JOBS_PER_GPU}: expected a positive number, for example 2, found {told!r}")
    return int(told)


def _wait_for_gpu(
    gpus: Sequence[_Gpu], folder: Path, wait_s: float, n_places: int, *, look_for_others: bool
) -> tuple[_Gpu, int]:
    """The first GPU that has a place, and the open file that keeps it; second places once all are in use."""
    log = logging.getLogger("stronglens")
    said: set[str] = set()
    while True:
        others = _used_by_others() if look_for_others else set()
        for place, gpu in itertools.product(range(n_places), gpus):
            file = gpu.uuid.replace("/", "_") + (f".{place}" if place else "")
            if gpu.uuid in others:
                _say_once(log, f"GPU {gpu.name} is passed over: another user computes on it", said)
            elif (lock := _try_lock(folder / file)) is not None:
                shared = f", one of {n_places} that may share it" if n_places > 1 else ""
                log.info("GPU %s is kept for this job%s", gpu.name, shared)
                return gpu, lock
        names = ", ".join(gpu.name for gpu in gpus)
        _say_once(log, f"no GPU is free of {names}: waiting", said)
        time.sleep(wait_s)


def _say_once(log: logging.Logger, message: str, said: set[str]) -> None:
    if message not in said:
        log.info(message)
        said.add(message)


def _lock_folder(suffix: str) -> Path:
    folder = _LOCKS / f"stronglens-gpu-{os.getuid()}{suffix}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InputError(f"{folder}: expected a folder of this user for the locks of GPUs, found another's")
    return folder


def _try_lock(path: Path) -> int | None:
    """The open file that holds the lock, or None if another process holds it.

    The file stays for ever: a lock on a file that was removed meanwhile would keep nobody out.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _known_gpus() -> dict[str, str]:
    """UUIDs by index of this node's GPUs; empty where there is no nvidia-smi."""
    return {row[0]: row[1] for row in _ask_smi("--query-gpu=index,uuid") if len(row) == 2}


def _used_by_others() -> set[str]:
    """UUIDs of GPUs on which processes of other users compute, as far as nvidia-smi tells."""
    return {
        row[0]
        for row in _ask_smi("--query-compute-apps=gpu_uuid,pid")
        if len(row) == 2 and row[1].isdigit() and not _is_mine(row[1])
    }


def _is_mine(pid: str) -> bool:
    try:
        return Path("/proc", pid).stat().st_uid == os.getuid()
    except FileNotFoundError:  # of another user, where those are hidden; or just ended
        return False


def _ask_smi(query: str) -> list[list[str]]:
    try:
        answer = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_SMI_TIMEOUT_S,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    if answer.returncode != 0:
        return []
    return list(csv.reader(answer.stdout.splitlines(), skipinitialspace=True))
