"""How a job is doing, by the exit code that it left, its log, and what the server says."""

import re
import signal
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from .records import Record
from .request import Flavour
from .server import Answer, Seen, advice

GRACE_S = 20
"""How long a job may be missing before it counts as failed: its exit code may still be on its way through a
shared file system. So long, too, the server is waited for to say why a job failed."""

_LOG_TAIL = 20_000
"""Bytes at the end of a job's log that are searched for a reason."""


class Verdict(Enum):
    """What becomes of a job."""

    RUNNING = auto()
    SUCCESS = auto()
    FAILED = auto()


class Cause(Enum):
    """Why a job failed, as far as it decides about the next try."""

    STEP = auto()
    """The step itself failed, or the job was deleted: what it asked for was not the reason."""
    MEMORY = auto()
    WALLTIME = auto()
    """Over its walltime, or asked to end as if it were: deleted, preempted."""
    UNKNOWN = auto()
    """It was killed, and nobody says why."""
    HOPELESS = auto()
    """The same request can only come to the same end."""

    @property
    def may_be_memory(self) -> bool:
        return self in (Cause.MEMORY, Cause.UNKNOWN)

    @property
    def may_be_walltime(self) -> bool:
        return self in (Cause.WALLTIME, Cause.UNKNOWN)


_SERVER_CODES = {
    Flavour.OPENPBS: {
        -20: (Cause.STEP, "its node was lost"),
        -26: (Cause.MEMORY, "over its virtual memory"),
        -27: (Cause.MEMORY, "over its memory"),
        -28: (Cause.WALLTIME, "over its CPU time"),
        -29: (Cause.WALLTIME, "over its walltime"),
    },
    Flavour.TORQUE: {
        -10: (Cause.MEMORY, "over its memory"),
        -11: (Cause.WALLTIME, "over its walltime"),
        -12: (Cause.WALLTIME, "over its CPU time"),
    },
}
"""Exit statuses that the server makes up, for jobs that it ended itself."""

_LOGGED = (
    (r"=>> PBS: job killed: (.*)", Cause.UNKNOWN),
    (r"(DUE TO TIME LIMIT)", Cause.WALLTIME),
    (r"([Ee]xceeded (?:job |step )?memory limit|oom[-_]kill|Out Of Memory)", Cause.MEMORY),
    (r"(NODE FAILURE|DUE TO PREEMPTION)", Cause.STEP),
    # A training that the kernel killed: only its parent, Snakemake in the job, has seen how it ended.
    (r"(MemoryError|died with <Signals.SIGKILL: 9>|exit status 137)", Cause.MEMORY),
)
"""What servers write into the log of a job that they end, and what lack of memory leaves there."""


@dataclass
class Tracked:
    """A job that is looked after, and what has been seen of it so far.

    Attributes
    ----------
    record : Record
        What is known about it.
    job_id : str
        The server's id.
    seen : Seen
        What the server last said.
    doubts : dict
        Since when something is so that is waited for, in seconds since the epoch.
    """

    record: Record
    job_id: str
    seen: Seen = Seen.WAITING
    doubts: dict[str, float] = field(default_factory=dict)

    def doubted_s(self, doubt: str, now: float) -> float:
        """For how many seconds this has been so; starts counting if it was not so when last asked."""
        self.doubts = {doubt: self.doubts.get(doubt, now)}
        return now - self.doubts[doubt]


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the reason where the user should hear it."""

    verdict: Verdict
    reason: str = ""
    cause: Cause = Cause.UNKNOWN


def judge(
    job: Tracked, code: int | None, answer: Answer | None, flavour: Flavour, now: float, stuck_s: float
) -> Judgement:
    """Judge a job.

    The exit code that the job left is believed first, then the server. No server alone will do: some do not
    know how a job ended, and some forget it soon.

    Parameters
    ----------
    job : Tracked
        The job; it remembers what is waited for.
    code : int or None
        The exit code that the job left, if it left one.
    answer : Answer or None
        What the server says; None if it was not asked.
    flavour : Flavour
        Whose exit statuses the server uses.
    now : float
        Seconds since the epoch.
    stuck_s : float
        How long a job that cannot start is waited for, in seconds.
    """
    if code == 0:
        return Judgement(Verdict.SUCCESS)
    answer = answer or Answer(Seen.SILENT)
    job.seen = answer.seen
    over = answer.seen in (Seen.ENDED, Seen.GONE)
    if code is None and not over:
        return _judge_going_on(job, answer, now, stuck_s)
    # A job's exit code comes late through a shared file system, and the server tells late why it failed.
    told = over if code is not None else bool(answer.exit_status)
    if not told and job.doubted_s("over", now) < GRACE_S:
        return Judgement(Verdict.RUNNING)
    if code is None and answer.exit_status == 0:
        return Judgement(Verdict.SUCCESS)
    cause, reason = explain(code, answer.exit_status, read_tail(Path(job.record.log)), flavour)
    return Judgement(Verdict.FAILED, reason, cause)


def _judge_going_on(job: Tracked, answer: Answer, now: float, stuck_s: float) -> Judgement:
    if answer.seen is Seen.SILENT:
        # Said once: the server may be down for hours, and is asked for every job.
        first = job.doubted_s("silent", now) == 0
        said = f"the server is silent ({answer.message}), the job may be well" if first else ""
        return Judgement(Verdict.RUNNING, said)
    if not answer.stuck:
        job.doubts = {}
        return Judgement(Verdict.RUNNING)
    waited_s = job.doubted_s("stuck", now)
    key = advice(answer.stuck)
    change = f"; change {key}" if key else ""
    if waited_s >= stuck_s:
        return Judgement(
            Verdict.FAILED,
            f"it cannot start: {answer.stuck}{change}; given up after {waited_s / 60:.0f} min",
            Cause.HOPELESS,
        )
    if waited_s == 0:
        return Judgement(
            Verdict.RUNNING, f"it cannot start: {answer.stuck}{change}; given up in {stuck_s / 60:.0f} min"
        )
    return Judgement(Verdict.RUNNING)


def explain(code: int | None, status: int | None, log: str, flavour: Flavour) -> tuple[Cause, str]:
    """Why a job failed: by the server's exit status, else by the end of its log, else by its own exit code.

    Parameters
    ----------
    code : int or None
        The exit code that the job left.
    status : int or None
        The exit status that the server gives.
    log : str
        The end of the job's log.
    flavour : Flavour
        Whose exit statuses they are.
    """
    logged = next(
        ((found[1].strip(), cause) for pattern, cause in _LOGGED if (found := re.search(pattern, log))), None
    )
    left = f"exit code {code}" if code is not None else "it left no exit code"
    if status is not None and status in _SERVER_CODES[flavour]:
        cause, why = _SERVER_CODES[flavour][status]
        return cause, f"{why} ({_said(left, status, logged)})"
    if logged is not None:
        why, cause = logged
        if cause is Cause.UNKNOWN:
            cause = _cause_of(why)
        return cause, f"{left}, and its log says: {why}"
    killed = signal_of(status) or signal_of(code)
    cause, why = Cause.STEP, ""
    if killed is signal.SIGKILL:
        cause, why = Cause.UNKNOWN, ": killed (SIGKILL), by qdel -W force, on its node, or for memory"
    elif killed is not None:
        cause, why = Cause.WALLTIME, f": {killed.name}, deleted, preempted, or over its walltime"
    elif code is None and status is None:
        cause, why = Cause.UNKNOWN, ": deleted, over its walltime or memory, or its node was lost"
    elif status is not None and status < 0:
        cause, why = Cause.UNKNOWN, ": ended by the server"
    return cause, f"{_said(left, status, None)}{why}"


def _said(left: str, status: int | None, logged: tuple[str, Cause] | None) -> str:
    parts = [left] if status is None or "no exit code" not in left else []
    parts += [] if status is None else [f"exit status {status}"]
    return ", ".join([*parts, *([] if logged is None else [f"log: {logged[0]}"])])


def _cause_of(words: str) -> Cause:
    if "walltime" in words or "cput" in words:
        return Cause.WALLTIME
    return Cause.MEMORY if "mem" in words else Cause.STEP


def signal_of(code: int | None) -> signal.Signals | None:
    """The signal that a code means which a shell (128 + signal) or a server (256 + signal) gives."""
    if code is None or code <= 128:
        return None
    try:
        return signal.Signals(code - (256 if code > 256 else 128))
    except ValueError:
        return None


def read_tail(log: Path) -> str:
    """The end of a job's log; nothing if there is none yet."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _LOG_TAIL))
            return stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
