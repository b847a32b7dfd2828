"""Run beside Snakemake; when Snakemake ends, however it ends, delete those jobs of its that go on.

Snakemake cancels jobs itself, but forgets those whose status it is just asking for, and cancels none when it
is killed.

Usage: python -m snakemake_executor_plugin_pbs PID STARTED
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import records, server
from .records import Record
from .run import Run

LOOK_S = 0.5
"""How often to look whether Snakemake is there."""

SUBMISSION_S = 30
"""How long to wait for submissions that are on their way when Snakemake ends."""


def main(arguments: list[str]) -> int:
    pid, started = arguments
    run = Run(int(pid), started)  # as its executor saw it: it may have ended while this process started
    while run.is_alive():
        time.sleep(LOOK_S)
    cancelled = cancel_run(run.name)
    _started_file(run).unlink(missing_ok=True)
    if cancelled:
        names = ", ".join(f"{record.name} ({record.files.read_job_id()})" for record in cancelled)
        print(f"pbs: deleted {len(cancelled)} jobs: {names}", file=sys.stderr)
    records.prune(time.time())  # last, for whatever goes wrong here
    return 0


def start(run: Run) -> subprocess.Popen[bytes] | None:
    """Start the sidecar of a run and give its process, unless it was started before.

    It gets a session of its own: neither Ctrl-C nor the end of the terminal reaches it.
    """
    try:
        _started_file(run).touch(exist_ok=False)
    except FileExistsError:
        return None
    # The package may be used from a clone without being installed.
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", str(__package__), str(run.pid), run.started],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def cancel_run(run: str) -> Sequence[Record]:
    """Delete the jobs of a run that have left no exit code, and give them.

    None of them will do anything, even where the server does not hear: without its record a job that starts
    later ends at once.
    """
    left = records.unfinished(record for record in records.read_records() if record.run == run)
    deadline = time.monotonic() + SUBMISSION_S
    while any(_on_its_way(record) for record in left) and time.monotonic() < deadline:
        time.sleep(0.2)
    for record in left:
        record.forget()
    job_ids = [job_id for record in left if (job_id := record.files.read_job_id())]
    server.delete({job_id: answer.seen for job_id, answer in server.ask(job_ids).items()})
    return left


def _started_file(run: Run) -> Path:
    return records.FOLDER / f"{run.name}.sidecar"


def _on_its_way(record: Record) -> bool:
    """Whether qsub runs and has not given an id yet."""
    return record.files.record.exists() and record.files.job_id.exists() and not record.files.read_job_id()
