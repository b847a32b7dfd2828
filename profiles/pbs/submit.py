#!/usr/bin/env python3
"""Submit a job script of Snakemake to PBS and print how Snakemake is to call the job.

Usage: submit.py JOBSCRIPT
"""

import os
import shlex
import signal
import sys
import time
from pathlib import Path

import pbs_records
import pbs_request
import pbs_server
import sidecar
from pbs_records import ExternalId, Record
from pbs_request import Flavour, JobProperties, RequestError
from pbs_run import Run
from pbs_server import Seen, ServerError, ServerSilentError

LOGS = Path("logs/pbs")

SILENT_TRIES = 10
SILENT_WAIT_S = 30
"""How often, and after how long, to try again while the server does not answer."""

END_TIMEOUT_S = 60
"""How long to wait for a deleted leftover to end."""

_SCRIPT = """\
#!/bin/sh
# {name}
cd {workdir} || exit 1
if [ ! -e {wanted} ] || [ -e {marker} ]; then
    echo "{name}: not wanted any more, or over already"
    exit 75
fi
echo "{name}: job ${{PBS_JOBID:-}} on $(hostname), $(date)"
# Programs that only the submitting host's PATH knows, such as conda, come after those of the node.
export PATH="$PATH":{path}
# Torque names the devices in a file, node-gpuN on each line; nothing is changed where they are set already.
if [ -z "${{CUDA_VISIBLE_DEVICES+set}}" ] && [ -s "${{PBS_GPUFILE:-}}" ]; then
    gpus=$(sed -n 's/.*-gpu\\([0-9][0-9]*\\)$/\\1/p' "$PBS_GPUFILE" | sort -n | paste -s -d , -)
    export CUDA_VISIBLE_DEVICES="$gpus"
fi
# Servers signal every process of a job. Its shells outlive the others, to say how they ended.
cut=
trap 'cut=1' HUP INT TERM USR1 USR2 XCPU
(
trap : HUP INT TERM USR1 USR2 XCPU
{jobscript}
)
code=$?
# A training that is cut short saves what it has; the job is not over, and not tried again, before that.
while [ -n "$cut" ] && pgrep -s 0 python > /dev/null 2>&1; do
    sleep 0.2
done
if [ -n "$cut" ] && [ "$code" -ne 0 ]; then
    code=143
fi
echo "$code" > {marker}.part && mv {marker}.part {marker}
exit "$code"
"""


def main(arguments: list[str]) -> int:
    for hush in (signal.SIGINT, signal.SIGHUP):
        signal.signal(hush, signal.SIG_IGN)  # a job half submitted is one that nobody cancels
    (jobscript,) = arguments
    try:
        print(submit(_read(Path(jobscript))))
    except (RequestError, ServerError) as error:
        print(f"pbs: {error}", file=sys.stderr)
        return 1
    return 0


def _read(jobscript: Path) -> str:
    # Snakemake gives the path in double quotes, in which a shell expands what looks like a variable.
    if not jobscript.exists():
        jobscript = Path(".snakemake", *jobscript.parts[-2:])
    return jobscript.read_text(encoding="utf-8")


def submit(jobscript: str) -> str:
    """Submit a job and give what Snakemake is to call it.

    Raises
    ------
    RequestError
        Its resources cannot be asked for.
    ServerError
        The server refuses it, or stays silent; or the same job goes on elsewhere.
    """
    properties = pbs_request.read_properties(jobscript)
    flavour = _flavour(properties)
    run = Run.current()
    pbs_records.FOLDER.mkdir(parents=True, exist_ok=True)
    if run is not None:
        sidecar.start(run)
    for _ in range(SILENT_TRIES - 1):
        try:
            return _submit_once(properties, flavour, jobscript, run)
        except ServerSilentError as error:
            print(f"pbs: {error}; trying again in {SILENT_WAIT_S} s", file=sys.stderr)
            time.sleep(SILENT_WAIT_S)
    return _submit_once(properties, flavour, jobscript, run)


def _submit_once(properties: JobProperties, flavour: Flavour, jobscript: str, run: Run | None) -> str:
    if _has_ended(run):
        raise ServerError("Snakemake has ended meanwhile; nothing was submitted")
    _end_leftovers(properties.identity, run)
    uid = pbs_records.new_uid()
    name = pbs_request.job_name(properties.label, Flavour.OPENPBS)
    record = Record(
        uid=uid,
        run=run.name if run is not None else "",
        name=name,
        identity=properties.identity,
        log=str(LOGS / properties.label[0] / f"{name}.{uid}.log"),
    )
    request = pbs_request.qsub_arguments(properties, flavour, Path(record.log))
    files = record.files
    # OpenPBS lets a job hang whose log has no folder.
    Path(record.log).parent.mkdir(parents=True, exist_ok=True)
    files.script.write_text(job_script(record, jobscript, Path.cwd()), encoding="utf-8")
    record.write()
    try:
        job_id = pbs_server.submit([*request, str(files.script)], files.job_id)
    except ServerError:
        # A silent server may have taken the job all the same; without its record it does nothing.
        record.forget()
        raise
    if _has_ended(run):  # its sidecar may have ended too, and nobody would look after the job
        record.forget()
        pbs_server.delete([job_id])
        raise ServerError(f"Snakemake has ended meanwhile; job {job_id} was deleted")
    return str(ExternalId(job_id, record.log))


def _has_ended(run: Run | None) -> bool:
    return run is not None and not run.is_alive()


def job_script(record: Record, jobscript: str, workdir: Path) -> str:
    """The script that the server runs: Snakemake's own, and around it what leaves the exit code behind."""
    return _SCRIPT.format(
        name=record.name,
        workdir=shlex.quote(str(workdir)),
        wanted=record.files.record,
        marker=record.files.exit_code,
        path=shlex.quote(os.environ["PATH"]),
        jobscript=jobscript.rstrip(),
    )


def _flavour(properties: JobProperties) -> Flavour:
    setting = str(properties.resources.get("pbs_flavour", "auto"))
    if setting == "auto":
        return pbs_server.detect_flavour()
    try:
        return Flavour(setting)
    except ValueError as error:
        raise RequestError(
            f"resource pbs_flavour: expected auto, torque or openpbs, found {setting!r}"
        ) from error


def _end_leftovers(identity: str, run: Run | None) -> None:
    """Delete the same job of an earlier try, or of a run that died without a word, and wait until it is over.

    Two of them would write the same files.

    Raises
    ------
    ServerError
        It goes on all the same, or belongs to another run that is alive.
    """
    same = (record for record in pbs_records.read_records() if record.identity == identity)
    for record in pbs_records.unfinished(same):
        owner = Run.named(record.run)
        job_id = record.files.read_job_id()
        if owner is not None and owner != run and owner.is_alive():
            raise ServerError(
                f"{record.name}: another run, process {owner.pid}, waits for the same job ({job_id}); "
                "nothing was submitted"
            )
        if job_id:
            _end(job_id, record)
        record.forget()


def _end(job_id: str, record: Record) -> None:
    deadline = None
    while (answer := pbs_server.ask(job_id)).seen in (Seen.ALIVE, Seen.SILENT):
        if answer.seen is Seen.SILENT:
            raise ServerSilentError(
                f"job {job_id}, {record.name}, of an earlier try: nobody says whether it is over "
                f"({answer.message}); if you know that it is, remove {record.files.record}"
            )
        if deadline is None:
            print(f"pbs: deleting job {job_id}, {record.name}, of an earlier try", file=sys.stderr)
            pbs_server.delete([job_id])
            deadline = time.monotonic() + END_TIMEOUT_S
        elif time.monotonic() > deadline:
            raise ServerError(
                f"job {job_id}, {record.name}, of an earlier try: it goes on {END_TIMEOUT_S} s after it was "
                "deleted; nothing was submitted"
            )
        else:
            time.sleep(2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
