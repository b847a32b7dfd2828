"""The commands of a PBS server, and what their answers mean."""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from .records import find_job_id
from .request import Flavour

_UNKNOWN_JOB = 153
_FINISHED_JOB = 35
"""Exit codes of qstat: PBSE_UNKJOBID (15001) and PBSE_HISTJOBID (15139) modulo 256, on both flavours."""

_ENDED_STATES = "CF"
"""C on Torque, F on OpenPBS. E, exiting, may show an exit status too, but output is still being copied."""

_WAITING_STATES = "QHWT"

_SILENCE = re.compile(r"cannot connect|communicat|timed out|[Uu]nable to contact", flags=re.ASCII)
"""What the commands of Torque, OpenPBS and Slurm say when their server is away."""

_FULL = re.compile(
    r"would exceed .* limit|[Mm]aximum number of jobs already|exceeds the queue limit: user|"
    r"\(job submit limit|MaxSubmitJob|AssocGrpSubmitJobsLimit|QOSMaxSubmit",
    flags=re.ASCII,
)
"""What they say when a user has as many jobs as the server lets one have: there is room again later."""

_ADVICE = (
    ("unknown queue|queue is not enabled|invalid partition|no default queue", "queue"),
    ("walltime|time ?limit", "runtime, or queue for one that allows more"),
    ("account|project", "account, or pbs_extra: '-P my-project'"),
    (r"resource: mem|memory|\bmem\b", "mem_mb"),
    ("resource: n?gpus|unknown resource: gpus", "gpu, or the executor's pbs-flavour"),
    ("resource: ncpus", "set-threads"),
    ("specification error|unknown resource|illegal attribute", "pbs_node, pbs_extra, or pbs-flavour"),
    ("no nodes have the requested feature|feasible nodes", "pbs_node, set-threads, gpu or mem_mb"),
    ("resource limits", "runtime, mem_mb, set-threads or gpu, or queue for one that allows more"),
    ("held by", "nothing here: `qrls` releases a held job"),
)
"""What to change in a profile after words of the server; the first that fits."""

QSTAT_TIMEOUT_S = 30
QSUB_TIMEOUT_S = 120

_BATCH = 100
"""Jobs that one command is given."""


class ServerError(Exception):
    """A PBS command that could not be run or was refused; the message holds what it said."""


class ServerSilentError(ServerError):
    """The server did not answer; it may later."""


class ServerFullError(ServerError):
    """The server takes no more jobs of this user now; it will when some have ended."""


class Seen(Enum):
    """What a server knows about a job."""

    WAITING = auto()
    """Queued or held."""
    RUNNING = auto()
    """Running, suspended or exiting."""
    ENDED = auto()
    GONE = auto()
    """The server answers, and knows no such job."""
    SILENT = auto()
    """The server does not answer, which says nothing about the job."""

    @property
    def goes_on(self) -> bool:
        return self in (Seen.WAITING, Seen.RUNNING)


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
    stuck : str
        Why the job will not start by itself, in the server's words; empty while it may.
    message : str
        What a silent server's command said.
    """

    seen: Seen
    exit_status: int | None = None
    stuck: str = ""
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
        raise ServerError("qstat --version: no answer; set pbs-flavour in the profile") from error
    return Flavour.OPENPBS if "pbs_version" in (asked.stdout + asked.stderr).lower() else Flavour.TORQUE


def submit(arguments: Sequence[str], id_file: Path) -> str:
    """Submit a job and give its id.

    Parameters
    ----------
    arguments : sequence of str
        Of qsub, with the script.
    id_file : Path
        Where qsub itself writes the id. It does so even if this process is killed while it waits, since it
        runs in a session of its own: no job is submitted with its id unknown.

    Raises
    ------
    ServerSilentError
        The server did not answer.
    ServerFullError
        The user has as many jobs there as allowed.
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
        qsub.communicate()
        raise ServerSilentError(f"qsub: no answer within {QSUB_TIMEOUT_S} s") from error
    printed = id_file.read_text(encoding="utf-8")
    job_id = find_job_id(printed)
    # Slurm's wrapper prints some refusals where the id should be.
    if qsub.returncode != 0 or not job_id:
        answer = f"{said.strip()} {printed.strip()}".strip()
        kind = (
            ServerSilentError
            if _SILENCE.search(answer)
            else ServerFullError
            if _FULL.search(answer)
            else ServerError
        )
        raise kind(f"{answer or 'qsub said nothing'} (exit code {qsub.returncode})")
    return job_id


def advice(words: str) -> str:
    """The key of the profile to change after what the server has said; nothing if its words point to none."""
    return next((key for pattern, key in _ADVICE if re.search(pattern, words, flags=re.IGNORECASE)), "")


def ask(job_ids: Iterable[str]) -> dict[str, Answer]:
    """Ask the server about jobs, with one command where it answers for several at once."""
    asked = list(dict.fromkeys(job_ids))
    answers: dict[str, Answer] = {}
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        answers |= _ask_together(batch)
        for job_id in batch:
            # Slurm's wrapper is silent about a job it does not know, beside one that it knows.
            if job_id not in answers:
                answers |= {job_id: _ask_together([job_id])[job_id]}
    return answers


def delete(job_ids: Mapping[str, Seen] | Sequence[str], timeout_s: float = QSTAT_TIMEOUT_S) -> None:
    """Delete jobs with one command, those that wait first: else they start while others are being ended.

    That some have ended meanwhile is no error, and a silent server is not waited for.

    Parameters
    ----------
    job_ids : mapping of str to Seen, or sequence of str
        The jobs, with what is known of them if anything is.
    timeout_s : float
        How long to wait for an answer, in seconds.
    """
    seen = job_ids if isinstance(job_ids, Mapping) else {}
    ordered = sorted(job_ids, key=lambda job_id: seen.get(job_id) is not Seen.WAITING)
    for start in range(0, len(ordered), _BATCH):
        try:
            _run(["qdel", *ordered[start : start + _BATCH]], timeout_s)
        except (subprocess.TimeoutExpired, FileNotFoundError):
            return


def _ask_together(job_ids: list[str]) -> dict[str, Answer]:
    """What one question tells; jobs that the answer does not name are left out, unless there is but one."""
    answers, finished = _question(["qstat", "-f"], job_ids)
    if finished:
        history, _ = _question(["qstat", "-x", "-f"], finished)  # on Torque, -x would mean XML
        # A server that keeps no history has nothing to say about a job, and that is an answer.
        answers |= {job_id: history.get(job_id, Answer(Seen.GONE)) for job_id in finished}
    return answers


def _question(command: list[str], job_ids: list[str]) -> tuple[dict[str, Answer], list[str]]:
    """Answers by job, and those jobs that only the server's history knows."""
    try:
        asked = _run([*command, *job_ids], QSTAT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return _all_silent(job_ids, f"no answer within {QSTAT_TIMEOUT_S} s")
    except FileNotFoundError:
        return _all_silent(job_ids, "no such command here")
    blocks = re.split(r"^Job Id: ?\s*", asked.stdout, flags=re.MULTILINE)[1:]
    described = {_number(block): _read(block) for block in blocks}
    answers = {job_id: described[_number(job_id)] for job_id in job_ids if _number(job_id) in described}
    finished = []
    for job_id in job_ids:
        if job_id in answers:
            continue
        said = next((line for line in asked.stderr.splitlines() if _names(line, job_id)), "")
        alone = len(job_ids) == 1
        if "has finished" in said or (alone and asked.returncode == _FINISHED_JOB):
            finished.append(job_id)
        elif "Unknown Job" in said or "job history" in said or (alone and asked.returncode == _UNKNOWN_JOB):
            answers[job_id] = Answer(Seen.GONE)
    if "-x" in command and asked.returncode == 0:
        return answers, []
    missing = [job_id for job_id in job_ids if job_id not in answers and job_id not in finished]
    message = (asked.stderr or asked.stdout).strip()
    nobody = not answers and not finished
    if missing and (
        len(job_ids) == 1 or (nobody and asked.returncode not in (0, _UNKNOWN_JOB, _FINISHED_JOB))
    ):
        answers |= _all_silent(missing, f"exit code {asked.returncode}, {message}")[0]
    return answers, finished


def _all_silent(job_ids: list[str], why: str) -> tuple[dict[str, Answer], list[str]]:
    return dict.fromkeys(job_ids, Answer(Seen.SILENT, message=f"qstat: {why}")), []


def _read(block: str) -> Answer:
    """What the lines of `qstat -f` say about one job."""
    # Long lines go on in others that begin with a tab, as all lines of Slurm's wrapper do.
    text = re.sub(r"\n\t(?![\w.]+ = )", "", block)
    state = _field(text, "job_state")
    if not state:
        return Answer(Seen.SILENT, message=f"qstat: expected a line job_state, found {block[:200]!r}")
    if state in _ENDED_STATES:
        status = _field(text, "exit_status")
        return Answer(Seen.ENDED, exit_status=int(status) if status else None)
    if state not in _WAITING_STATES:
        return Answer(Seen.RUNNING)
    comment = _field(text, "comment")
    stuck = comment.startswith("Can Never Run") or state == "H"
    return Answer(Seen.WAITING, stuck=(comment or "it is held") if stuck else "")


def _field(text: str, name: str) -> str:
    found = re.search(rf"^\s*{name} = (.*)$", text, flags=re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else ""


def _number(job_id: str) -> str:
    """5 of 5.server: servers add their name, or leave it out."""
    return re.split(r"[.\s]", job_id, maxsplit=1)[0]


def _names(line: str, job_id: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(_number(job_id))}(?![\w\[])", line) is not None


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
