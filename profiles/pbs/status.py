#!/usr/bin/env python3
"""Say how a job is doing: prints running, success or failed; the reason goes to stderr.

Usage: status.py EXTERNAL_ID
"""

import signal
import sys
import time
from enum import StrEnum

import pbs_server
from pbs_records import ExternalId, JobFiles, write_aside
from pbs_server import Answer, Seen

GRACE_S = 20
"""How long a job may be missing before it counts as failed: its exit code may still be on its way through a
shared file system. With the pause between two rounds of questions, and 0.2 seconds a question, the loss
of one of a hundred jobs is noticed within a minute."""


class Verdict(StrEnum):
    """The words that Snakemake knows."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what Ctrl-C means is Snakemake's decision
    job = ExternalId.parse(arguments[0])
    try:
        verdict, reason = judge(job, time.time())
    except (OSError, ValueError) as error:
        # A full disk or a file system that stammers says nothing about the job, and Snakemake would end the
        # whole run for an error of this script.
        verdict, reason = Verdict.RUNNING, f"it cannot be looked at now ({error})"
    if reason:
        print(f"pbs: job {job.job_id} {verdict}: {reason}; log {job.log}", file=sys.stderr)
    print(verdict)
    return 0


def judge(job: ExternalId, now: float) -> tuple[Verdict, str]:
    """The verdict about a job, and its reason where the user should hear it.

    The exit code that the job left is asked first, then the server. No server alone will do: some do not know
    how a job ended, and some forget it soon.

    Parameters
    ----------
    job : ExternalId
        The job.
    now : float
        Seconds since the epoch.
    """
    files = JobFiles(job.uid)
    code = files.read_exit_code()
    if code is not None:
        return (Verdict.SUCCESS, "") if code == 0 else (Verdict.FAILED, f"exit code {code}{_signal(code)}")
    verdict, reason = _judge_without_code(files, pbs_server.ask(job.job_id), now)
    if verdict is not Verdict.RUNNING:
        # Its id is of no use any more: one day it may be that of another job.
        files.record.unlink(missing_ok=True)
    return verdict, reason


def _judge_without_code(files: JobFiles, answer: Answer, now: float) -> tuple[Verdict, str]:
    """The verdict by what the server says of a job that has left no exit code."""
    if answer.seen is Seen.ALIVE:
        files.doubt.unlink(missing_ok=True)
        return Verdict.RUNNING, ""
    if answer.seen is Seen.SILENT:
        # Said once: the server may be down for hours, and is asked for every job.
        first = _doubted_s(files, "silent", now) == 0
        return (
            Verdict.RUNNING,
            f"the server is silent ({answer.message}), the job may be well" if first else "",
        )
    if answer.exit_status:
        return Verdict.FAILED, f"exit status {answer.exit_status}{_signal(answer.exit_status)}"
    if _doubted_s(files, "missing", now) < GRACE_S:
        return Verdict.RUNNING, ""
    if answer.exit_status == 0:
        return Verdict.SUCCESS, ""
    return Verdict.FAILED, "it left no exit code: deleted, over its walltime or memory, or its node was lost"


def _doubted_s(files: JobFiles, doubt: str, now: float) -> float:
    """For how many seconds this has been so; starts counting if it was not so when last asked."""
    if files.doubt.exists():
        kind, _, since = files.doubt.read_text(encoding="utf-8").partition(" ")
        if kind == doubt:
            return now - float(since)
    files.doubt.parent.mkdir(parents=True, exist_ok=True)
    write_aside(files.doubt, f"{doubt} {now!r}")
    return 0.0


def _signal(code: int) -> str:
    """What a code means that a shell (128 + signal) or OpenPBS (256 + signal, or negative) gives."""
    number = code - (256 if code > 256 else 128)
    try:
        return f" ({signal.Signals(number).name}: killed by hand, or for walltime or memory)"
    except ValueError:
        return " (ended by the server: walltime, or it could not run the job)" if code < 0 else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
