"""A GPU for each job of a workstation: taken by a lock that the kernel frees, however the job ends."""

import fcntl
import itertools
import logging
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stronglens.running.errors import InputError

log = logging.getLogger(__name__)

_LOCKS = Path("/tmp")  # noqa: S108 - TMPDIR differs from job to job; whose folder it is, is checked
_DEVICE_FILES = Path("/dev")
_DRIVER = Path("/proc/driver/nvidia")
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
_REMIND_S = 600
_MPS_SERVER = "nvidia-cuda-mps-server"
"""Computes for its clients, and is there without any: one that root started is nobody's job."""


@dataclass(frozen=True)
class _Gpu:
    """A device: how it was named, what all processes of the node call it, what CUDA calls it if not that."""

    name: str
    uuid: str
    number: str | None = None


@contextmanager
def claim_gpu(
    device: str = "auto", candidates: Sequence[str] | None = None, wait_s: float = 5.0
) -> Iterator[str | None]:
    """Keep one GPU (or one of the slots on it, see Notes) for the block, and let CUDA see that one only.

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
    business, or are seen by what they compute, where there is an nvidia-smi. Several devices that a scheduler
    assigned to one job are shared out within that job. Of a GPU that is cut into slices (MIG), each slice is
    a device.
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
    # Not by number: CUDA counts the fastest first, nvidia-smi, which was asked about it, by index.
    os.environ[_VISIBLE] = gpu.number or gpu.uuid
    try:
        yield gpu.name
    finally:
        os.environ.pop(_VISIBLE, None)
        if visible is not None:
            os.environ[_VISIBLE] = visible
        os.close(lock)


def _choices(candidates: Sequence[str] | None, visible: str | None) -> list[_Gpu]:
    if candidates is None and visible is None:
        # CUDA counts those that it can open: of /dev/nvidia3 alone, it is number 0.
        return [_Gpu(uuid, uuid) for uuid in _devices()] or [
            _Gpu(path.name, path.name, str(number)) for number, path in enumerate(own_device_files())
        ]
    known = _known_gpus()
    names = [name.strip() for name in (visible or "").split(",")] if candidates is None else candidates
    if "-1" in names:
        names = names[: names.index("-1")]  # as CUDA reads it
    return [_Gpu(name, _uuid(name, known)) for name in names if name]


def own_device_files(folder: Path | None = None) -> list[Path]:
    """Device files of GPUs that this process may open, in the order of their numbers.

    Others are there too where a scheduler keeps its jobs off them by control groups.
    """
    files = [path for path in (folder or _DEVICE_FILES).glob("nvidia*") if path.name[6:].isdigit()]
    return sorted(filter(_may_open, files), key=lambda path: int(path.name[6:]))


def _may_open(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError:
        return False
    except OSError:  # a broken GPU is this job's all the same
        return True
    return True


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
    gpus: Sequence[_Gpu], folder: Path, wait_s: float, n_slots: int, *, look_for_others: bool
) -> tuple[_Gpu, int]:
    """The first GPU with a free slot, and the open file that keeps it; second slots once all are in use."""
    said: dict[str, float] = {}
    while True:
        others = _used_by_others() if look_for_others else {}
        for slot, gpu in itertools.product(range(n_slots), gpus):
            file = gpu.uuid.replace("/", "_") + (f".{slot}" if slot else "")
            if gpu.uuid in others:
                reason = f"another user computes on it ({others[gpu.uuid]})"
                _say(f"GPU {gpu.name} is passed over: {reason}", said)
            elif (lock := _try_lock(folder / file)) is not None:
                shared = f", one of {n_slots} that may share it" if n_slots > 1 else ""
                log.info("GPU %s is kept for this job%s", gpu.name, shared)
                return gpu, lock
        names = ", ".join(gpu.name for gpu in gpus)
        _say(f"no GPU is free of {names}: waiting; --device cuda:0 takes the first all the same", said)
        time.sleep(wait_s)


def _say(message: str, said: dict[str, float]) -> None:
    """Log a message, and again if it still holds much later."""
    if time.monotonic() - said.get(message, -_REMIND_S) >= _REMIND_S:
        log.info(message)
        said[message] = time.monotonic()


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
    """UUIDs of the GPUs of this node, or of this container, by the number that nvidia-smi gives them."""
    listed = re.findall(r"^GPU (\d+): .*\(UUID: (\S+)\)", _ask_smi("-L"), re.MULTILINE)
    return dict(listed) or {str(number): uuid for number, uuid in enumerate(_uuids_of_driver())}


def _devices() -> list[str]:
    """UUIDs of GPUs, and of the slices (MIG) of those that are cut; in order."""
    found: list[list[str]] = []
    for line in _ask_smi("-L").splitlines():
        if uuid := re.search(r"\(UUID: (\S+)\)", line):
            if line.startswith("GPU "):
                found.append([uuid.group(1)])
            elif found:
                found[-1].append(uuid.group(1))
    return [uuid for gpu, *slices in found for uuid in slices or [gpu]] or _uuids_of_driver()


def _uuids_of_driver() -> list[str]:
    """UUIDs of the GPUs that this process may open, by index, as the driver's files have them.

    Empty where one is unknown: the driver writes question marks until it has been in use.
    """
    own = {path.name for path in own_device_files()}
    uuids = []
    for path in sorted(_DRIVER.glob("gpus/*/information")):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            return []
        fields = {
            key.strip(): value.strip() for key, _, value in (x.partition(":") for x in text.splitlines())
        }
        if f"nvidia{fields.get('Device Minor')}" in own:
            uuids.append(fields.get("GPU UUID", "?"))
    return [] if any("?" in uuid for uuid in uuids) else uuids


def _used_by_others() -> dict[str, str]:
    """UUIDs of GPUs on which processes of other users compute, and one of these; as nvidia-smi knows them."""
    answer = _ask_smi("--query-compute-apps=gpu_uuid,pid,process_name", "--format=csv,noheader")
    found = {}
    for line in answer.splitlines():
        uuid, pid, path = (*line.split(", ", 2), "", "")[:3]
        program = path.rpartition("/")[2]
        idle_server = program == _MPS_SERVER and _owner(pid) == 0
        if pid.isdigit() and not idle_server and not _is_mine(pid):
            found[uuid] = f"process {pid} {program}".rstrip()
    return found


def _is_mine(pid: str) -> bool:
    return _owner(pid) == os.getuid()


def _owner(pid: str) -> int | None:
    """Whose a process is; None if it just ended, or is of another user where those are hidden."""
    try:
        return Path("/proc", pid).stat().st_uid
    except OSError:
        return None


def _ask_smi(*question: str) -> str:
    """What nvidia-smi answers; nothing where there is none or it fails."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", *question],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SMI_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""
