"""Run beside Snakemake; when Snakemake ends, however it ends, delete those jobs of its that go on.

Snakemake cancels jobs itself, but forgets those whose status it is just asking for, and cancels none when it
is killed. Started by submit.py: a sidecar that Snakemake itself starts keeps it from ending when there is
nothing to be done (cluster-generic 1.0.9).

Usage: sidecar.py PID STARTED
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pbs_records
import pbs_server
from pbs_records import Record
from pbs_run import Run

LOOK_S = 0.5
"""How often to look whether Snakemake is there."""

SUBMISSION_S = 30
"""How long to wait for submissions that are on their way when Snakemake ends."""

_BATCH = 50
"""Jobs that one qdel is given."""


def main(arguments: list[str]) -> int:
    pid, started = arguments
    run = Run(int(pid), started)  # as submit.py saw it: it may have ended while this process started
    while run.is_alive():
        time.sleep(LOOK_S)
    cancelled = cancel_run(run.name)
    _started_file(run).unlink(missing_ok=True)
    if cancelled:
        names = ", ".join(f"{record.name} ({record.files.read_job_id()})" for record in cancelled)
        print(f"pbs: deleted {len(cancelled)} jobs: {names}", file=sys.stderr)
    pbs_records.prune(time.time())  # last, for whatever goes wrong here
    return 0


def start(run: Run) -> None:
    """Start the sidecar of a run, unless it was started before.

    It gets a session of its own: neither Ctrl-C nor the end of the terminal reaches it.
    """
    try:
        _started_file(run).touch(exist_ok=False)
    except FileExistsError:
        return
    subprocess.Popen(
        [sys.executable, Path(__file__).resolve(), str(run.pid), run.started],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # Snakemake reads the job's id from submit.py until nobody can write there
        start_new_session=True,
    )


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


def _started_file(run: Run) -> Path:
    return pbs_records.FOLDER / f"{run.name}.sidecar"


def _on_its_way(record: Record) -> bool:
    """Whether qsub runs and has not given an id yet."""
    return record.files.record.exists() and record.files.job_id.exists() and not record.files.read_job_id()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
