#!/usr/bin/env python3
"""Run beside Snakemake; when Snakemake ends, however it ends, delete those jobs of this run that go on.

Snakemake cancels jobs itself, but forgets those whose status it is just asking for, and cancels none when it
is killed. Prints the run's id, which Snakemake hands to the other scripts.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

import pbs_records
import pbs_server
from pbs_records import Record

SUBMISSION_S = 30
"""How long to wait for submissions that are on their way when Snakemake ends."""

_BATCH = 50
"""Jobs that one qdel is given."""


def main() -> int:
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    # Ctrl-C reaches this process too; Snakemake then sends SIGTERM, once it submits no more.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end)
    parent = os.getppid()
    run = pbs_records.new_uid()
    print(run, flush=True)
    pbs_records.prune(time.time())
    while not ended.wait(1) and os.getppid() == parent:
        pass
    cancelled = cancel_run(run)
    if cancelled:
        names = ", ".join(f"{record.name} ({record.files.read_job_id()})" for record in cancelled)
        print(f"pbs: deleted {len(cancelled)} jobs: {names}", file=sys.stderr)
    return 0


def cancel_run(run: str) -> Sequence[Record]:
    """Delete the jobs of a run that have left no exit code, and give them.

    None of them will do anything, even where the server does not hear: without its record a job that starts
    later ends at once.
    """
    mine = [record for record in pbs_records.read_records() if record.run == run]
    left = pbs_records.unfinished(mine)
    deadline = time.monotonic() + SUBMISSION_S
    while any(_on_its_way(record) for record in left) and time.monotonic() < deadline:
        time.sleep(0.2)
    for record in left:
        record.forget()
    job_ids = [job_id for record in left if (job_id := record.files.read_job_id())]
    for start in range(0, len(job_ids), _BATCH):
        pbs_server.delete(job_ids[start : start + _BATCH])
    return left


def _on_its_way(record: Record) -> bool:
    """Whether qsub runs and has not given an id yet."""
    return record.files.record.exists() and record.files.job_id.exists() and not record.files.read_job_id()


if __name__ == "__main__":
    sys.exit(main())
