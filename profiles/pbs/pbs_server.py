"""The commands of a PBS server, and what their answers mean."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from pbs_records import find_job_id
from pbs_request import Flavour

_UNKNOWN_JOB = 153
_FINISHED_JOB = 35
"""Exit codes of qstat: PBSE_UNKJOBID (15001) and PBSE_HISTJOBID (15139) modulo 256, on both flavours."""

_ENDED_STATES = "CF"
"""C on Torque, F on OpenPBS. E, exiting, may show an exit status too, but output is still being copied."""

_SILENCE = re.compile(r"cannot connect|communicat|timed out|[Uu]nable to contact", flags=re.ASCII)
"""What the commands of Torque, OpenPBS and Slurm say when their server is away."""

QSTAT_TIMEOUT_S = 30
QSUB_TIMEOUT_S = 120


class ServerError(Exception):
    """A PBS command that could not be run or was refused; the message holds what it said."""


class ServerSilentError(ServerError):
    """The server did not answer; it may later."""


class Seen(Enum):
    """What a server knows about a job."""

    ALIVE = auto()
    """Waiting, running, held or exiting."""
    ENDED = auto()
    GONE = auto()
    """The server answers, and knows no such job."""
    SILENT = auto()
    """The server does not answer, which says nothing about the job."""


@dataclass(frozen=True)
class Answer:
    """The answer about one job.

    Attributes
    ----------
    seen : Seen
        What the server knows.
    exit_status : int or None
        Of an ended job; None where the server has none: from Slurm's wrapper, and for a job that was
        deleted before it started.
    message : str
        What a silent server's command said.
    """

    seen: Seen
    exit_status: int | None = None
    message: str = ""


def detect_flavour() -> Flavour:
    """Ask which PBS this is. Slurm's wrapper does not know the question and speaks Torque's language.

    Raises
    ------
    ServerError
        There is no qstat here.
    """
    try:
        asked = _run(["qstat", "--version"], QSTAT_TIMEOUT_S)
    except FileNotFoundError as error:
        raise ServerError("qstat: no such command here; is this a submit host of a PBS cluster?") from error
    except subprocess.TimeoutExpired as error:
        raise ServerError("qstat --version: no answer; set pbs_flavour in the profile") from error
    return Flavour.OPENPBS if "pbs_version" in (asked.stdout + asked.stderr).lower() else Flavour.TORQUE


def submit(arguments: Sequence[str], id_file: Path) -> str:
    """Submit a job and give its id.

    Parameters
    ----------
    arguments : sequence of str
        Of qsub, with the script.
    id_file : Path
        Where qsub itself writes the id. It does so even if this process is killed while it waits (Snakemake
        does that on Ctrl-C), since it runs in a session of its own: no job is submitted with its id unknown.

    Raises
    ------
    ServerSilentError
        The server did not answer.
    ServerError
        The job was refused.
    """
    with id_file.open("w", encoding="utf-8") as stdout:
        try:
            qsub = subprocess.Popen(
                ["qsub", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise ServerError(
                "qsub: no such command here; is this a submit host of a PBS cluster?"
            ) from error
    try:
        _, said = qsub.communicate(timeout=QSUB_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        qsub.kill()
        raise ServerSilentError(f"qsub: no answer within {QSUB_TIMEOUT_S} s") from error
    printed = id_file.read_text(encoding="utf-8")
    job_id = find_job_id(printed)
    # Slurm's wrapper prints some refusals where the id should be.
    if qsub.returncode != 0 or not job_id:
        answer = f"{said.strip()} {printed.strip()}"
        message = f"qsub {' '.join(arguments)}: exit code {qsub.returncode}, {answer}"
        raise (ServerSilentError if _SILENCE.search(answer) else ServerError)(message)
    return job_id


def ask(job_id: str) -> Answer:
    """Ask the server about one job; given several ids at once, OpenPBS may print only the first."""
    try:
        asked = _run(["qstat", "-f", job_id], QSTAT_TIMEOUT_S)
        history = asked.returncode == _FINISHED_JOB
        if history:
            asked = _run(["qstat", "-x", "-f", job_id], QSTAT_TIMEOUT_S)  # on Torque, -x would mean XML
    except subprocess.TimeoutExpired:
        return Answer(Seen.SILENT, message=f"qstat: no answer within {QSTAT_TIMEOUT_S} s")
    except FileNotFoundError:
        return Answer(Seen.SILENT, message="qstat: no such command here")
    state = re.search(r"^\s*job_state = (\w)", asked.stdout, flags=re.MULTILINE)
    if asked.returncode in (_UNKNOWN_JOB, _FINISHED_JOB) or (history and asked.returncode == 0 and not state):
        return Answer(Seen.GONE)
    if asked.returncode != 0 or state is None:
        said = (asked.stderr or asked.stdout).strip()
        return Answer(Seen.SILENT, message=f"qstat: exit code {asked.returncode}, {said}")
    if state[1] not in _ENDED_STATES:
        return Answer(Seen.ALIVE)
    status = re.search(r"^\s*exit_status = (-?\d+)", asked.stdout, flags=re.MULTILINE | re.IGNORECASE)
    return Answer(Seen.ENDED, exit_status=int(status[1]) if status else None)


def delete(job_ids: Sequence[str], timeout_s: float = QSTAT_TIMEOUT_S) -> None:
    """Delete jobs. That some have ended meanwhile is no error, and a silent server is not waited for."""
    if job_ids:
        try:
            _run(["qdel", *job_ids], timeout_s)
        except (subprocess.TimeoutExpired, FileNotFoundError):
            return


def _run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    # A session of its own: Ctrl-C in the terminal must not cut an answer short.
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        start_new_session=True,
    )
