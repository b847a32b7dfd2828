"""One writer for results that several hosts see.

A cluster may lose sight of a node whose processes go on, and start the same job on another. Locks of a file
do not help: many shared file systems keep them on one host, others lose them with the node. A lease is a file
that its holder renews; who finds one that is renewed no more takes it over.
"""

import json
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from stronglens.running.errors import InputError

RENEWED_S = 15
"""How often a holder renews its lease."""

STALE_S = 90
"""How long a lease is watched that is not renewed before it is taken over. Network file systems show a file's
change within a minute."""

WAIT_S = 300
"""How long to wait for a holder that renews its lease: one that was told to end saves first."""

_LOOK_S = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """Who writes the results.

    Attributes
    ----------
    host : str
        Its name.
    job : str
        The scheduler's id of the job; empty outside of a cluster.
    pid : int
        The process.
    started : str
        When the process was started, in clock ticks since the host was booted: ids are used again.
    kernel : str
        The running kernel and the namespace of process ids in it: only within these says `pid` anything.
    token : str
        Different for each lease.
    """

    host: str
    job: str
    pid: int
    started: str
    kernel: str
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def here(cls) -> Self:
        """The holder that this process would be."""
        job = next((os.environ[name] for name in ("PBS_JOBID", "SLURM_JOB_ID") if os.environ.get(name)), "")
        return cls(socket.gethostname(), job, os.getpid(), _started(os.getpid()), _kernel())

    def __str__(self) -> str:
        return f"{f'job {self.job}' if self.job else 'process'} on {self.host} (process {self.pid})"

    def is_known_dead(self) -> bool:
        """Whether it certainly ended: its process would be seen from here, and is not there."""
        return bool(self.kernel) and self.kernel == _kernel() and _started(self.pid) != self.started


@contextmanager
def lease(path: Path, wait_s: float | None = None) -> Iterator[None]:
    """Be the only one, on all hosts, that writes what a lease is for.

    If the lease is lost meanwhile, because this host stood still for so long that another took it over, the
    process ends at once and writes nothing more.

    Parameters
    ----------
    path : Path
        The lease: a file beside what is written; its folder is made if it is not there.
    wait_s : float, optional
        How long to wait for a holder that is alive, in seconds; `WAIT_S` if not given.

    Raises
    ------
    InputError
        Another holder goes on, or the file cannot be written.
    """
    me = Holder.here()
    try:
        _take(path, me, WAIT_S if wait_s is None else wait_s)
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, found: {error}") from error
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(path, me, ended), name="lease", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        ended.set()
        renewal.join()
        if _is_mine(path, me):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # where nothing was written
            path.parent.rmdir()


def _take(path: Path, me: Holder, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    seen, since = "", time.monotonic()
    while not _create(path, me):
        text = _read(path)
        if text is None:  # it has been given back just now
            continue
        holder = _parse(text)
        now = time.monotonic()
        if text != seen:
            if not seen and holder is not None and not holder.is_known_dead():
                log.warning("%s: held by %s; %s waits for its end", path, holder, me)
            seen, since = text, now
        if (holder is not None and holder.is_known_dead()) or now - since >= STALE_S:
            log.warning("%s: %s has ended without a word, %s goes on", path, holder or "a holder", me)
            _remove(path, text)
        elif now > deadline and holder is not None:
            raise InputError(
                f"{path}: expected a lease that nobody holds, found that of {holder}; {me} does nothing. "
                f"Delete one of the two; if that on {holder.host} has ended, remove the file"
            )
        else:
            time.sleep(_LOOK_S)


def _create(path: Path, me: Holder) -> bool:
    """Write the lease, unless there is one: the one step that only one of several hosts succeeds in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        stream = path.open("x", encoding="utf-8")
    except (FileExistsError, FileNotFoundError):  # or the holder before has just removed the empty folder
        return False
    try:
        with stream:
            stream.write(_text(me, 0))
    except OSError:  # a full disk: the next try would wait for a holder without a name
        path.unlink()
        raise
    return True


def _remove(path: Path, text: str) -> None:
    """Take a dead lease away; one that another has taken over meanwhile is put back."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if _read(aside) != text:
            with suppress(FileExistsError):
                path.hardlink_to(aside)
        aside.unlink()


def _renew(path: Path, me: Holder, ended: threading.Event) -> None:
    count = 0
    # Kept open: should another have taken the lease over, this writes to what was moved aside.
    with path.open("r+", encoding="utf-8") as stream:
        while not ended.wait(RENEWED_S):
            if not _is_mine(path, me):
                _end(f"{path}: {_parse(_read(path) or '') or 'another'} has taken over from {me}\n")
            count += 1
            with suppress(OSError):  # a full disk, or a file system that stammers: the next renewal may do
                stream.seek(0)
                stream.write(_text(me, count))
                stream.flush()


def _end(message: str) -> None:
    """End without saving: a state written now would be a second writer's."""
    sys.stderr.write(message)
    sys.stderr.flush()
    os._exit(1)


def _is_mine(path: Path, me: Holder) -> bool:
    """Whether the lease is still this process's; yes where that cannot be read."""
    try:
        text = _read(path)
    except OSError:
        return True
    holder = _parse(text or "")
    return text is not None and (holder is None or holder.token == me.token)


def _text(holder: Holder, count: int) -> str:
    return json.dumps(asdict(holder) | {"renewed": f"{count:09d}"}) + "\n"


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _parse(text: str) -> Holder | None:
    try:
        read = json.loads(text)
        read.pop("renewed")
        return Holder(**read)
    except (ValueError, TypeError, KeyError, AttributeError):  # half written, or another version's
        return None


def _started(pid: int) -> str:
    """When a process was started; nothing if there is none, or where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _kernel() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
