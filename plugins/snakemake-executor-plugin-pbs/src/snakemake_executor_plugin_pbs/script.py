"""The script that a PBS server runs for a job of Snakemake, and the shell that runs it on Torque."""

import os
import re
import shlex
import sys
from pathlib import Path

from .records import FOLDER, Record, write_aside

_SCRIPT = """\
#!/bin/sh
# {name}
umask {umask}
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
# Snakemake in a job runs what it is told, and no profile.
unset SNAKEMAKE_PROFILE
# Servers signal every process of a job. Its shells outlive the others, to say how they ended.
cut=
trap 'cut=1' HUP INT TERM USR1 USR2 XCPU
(
trap : HUP INT TERM USR1 USR2 XCPU
{command}
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

_SHELL = """\
#!/bin/sh
# The shell of jobs on Torque, which kills all of a job 80 ms after its top process has died of SIGTERM. The
# shell that it starts by itself dies at once; this one lives until the job's script has ended.
trap : HUP INT TERM USR1 USR2 XCPU
if [ $# -gt 0 ]; then script=$1; else IFS= read -r script; fi
/bin/sh "$script" < /dev/null
exit $?
"""

_SHELL_NAME = "job_shell"


def job_script(record: Record, command: str, workdir: Path) -> str:
    """The script that the server runs: Snakemake's own, and around it what leaves the exit code behind."""
    return _SCRIPT.format(
        name=record.name,
        umask=f"{_umask():04o}",
        workdir=shlex.quote(str(workdir)),
        wanted=record.files.record,
        marker=record.files.exit_code,
        path=shlex.quote(f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
        command=command.rstrip(),
    )


def write_job_shell() -> str | None:
    """Write Torque's shell where nodes see it, and give its absolute path.

    It is in the working folder, or in the user's home if the path of that holds what `qsub -S` would take
    apart. None if that of the home does too.
    """
    for folder in (FOLDER.absolute(), Path.home() / FOLDER):
        path = folder / _SHELL_NAME
        if re.fullmatch(r"[\w./+-]+", str(path), flags=re.ASCII):
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text(encoding="utf-8") != _SHELL:
                write_aside(path, _SHELL)
            path.chmod(0o755)
            return str(path)
    return None


def _umask() -> int:
    """The umask of this process. Servers run jobs with 077, whatever the user's is."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"^Umask:\s*([0-7]+)$", status, flags=re.MULTILINE)
    return int(found[1], 8) if found else 0o022
