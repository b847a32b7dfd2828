"""What a job asks a PBS server for, in the words of Torque or of OpenPBS."""

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from snakemake_interface_executor_plugins.jobs import JobExecutorInterface


class RequestError(Exception):
    """A resource of a rule or a profile that cannot be asked for; the message says which and why."""


class Flavour(StrEnum):
    """The two families of PBS servers, which do not understand each other's requests.

    Slurm's wrapper commands speak Torque's language; PBS Pro is OpenPBS.
    """

    TORQUE = "torque"
    OPENPBS = "openpbs"


_NAME_LIMITS = {Flavour.TORQUE: 15, Flavour.OPENPBS: 230}
"""Characters of a job's name that the server keeps; more are an error."""

_SEEN = 10
"""Characters of a name that every form of qstat shows."""


@dataclass(frozen=True)
class JobProperties:
    """What Snakemake says about a job.

    Attributes
    ----------
    label : tuple of str
        The rule (or the group) and the values of the wildcards, such as ("train", "nano", "42").
    outputs : tuple of str
        All files that the job writes.
    threads : int
        Cores to ask for.
    resources : dict
        The rule's resources, with those of the profile.
    """

    label: tuple[str, ...]
    outputs: tuple[str, ...]
    threads: int
    resources: dict[str, Any]

    @classmethod
    def of(cls, job: JobExecutorInterface) -> Self:
        """Read what Snakemake knows."""
        label: tuple[Any, ...]
        if job.is_group():
            label = (job.groupid, str(job.jobid)[:8])  # the id tells two groups of one name apart
        else:
            label = (job.rule.name, *job.wildcards_dict.values())
        return cls(tuple(map(str, label)), all_outputs(job), int(job.threads), dict(job.resources.items()))

    @property
    def name(self) -> str:
        """The job's name in messages and in the names of files."""
        return "-".join(plain(part) for part in self.label)


def all_outputs(job: JobExecutorInterface) -> tuple[str, ...]:
    """All files that a job writes; of a group, those that only its own jobs read too."""
    jobs = job.jobs if job.is_group() else [job]
    return tuple(sorted(str(path) for one in jobs for path in one.output))


def job_name(label: tuple[str, ...], flavour: Flavour) -> str:
    """A name for the queue's listing: rule, seed, model, shortened to what the server takes.

    `qstat -u` of OpenPBS shows nine characters of a name of more than ten, so the first number, which is the
    seed, comes second and within these. Words lose letters at their ends, the longest first; numbers stay
    whole.
    """
    limit = _NAME_LIMITS[flavour]
    parts = [plain(part) for part in label]
    number = next((part for part in parts[1:] if part.isdigit()), "")
    if not number or len("-".join(parts)) <= _SEEN:
        return _shortened(parts, "-", limit)
    parts.remove(number)
    rule = _shortened(parts[0].split("_"), "_", max(1, _SEEN - 2 - len(number)))
    head = f"{rule}-{number}"
    if len(parts) == 1 or len(head) + 1 >= limit:
        return head[:limit]
    return f"{head}-{_shortened(parts[1:], '-', limit - len(head) - 1)}"


def plain(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]", "_", part)


def _shortened(parts: list[str], joint: str, limit: int) -> str:
    parts = [part for part in parts if part]
    while len(joint.join(parts)) > limit:
        longest = max(range(len(parts)), key=lambda i: 0 if parts[i].isdigit() else len(parts[i]))
        if parts[longest].isdigit() or len(parts[longest]) == 1:
            return joint.join(parts)[:limit]
        parts[longest] = parts[longest][:-1]
    return joint.join(parts)


def qsub_arguments(
    properties: JobProperties, flavour: Flavour, log: Path, shell: str = "/bin/sh"
) -> list[str]:
    """The arguments of `qsub` for a job, all but the script.

    Parameters
    ----------
    properties : JobProperties
        Understood resources: `gpu` (number), `mem_mb` (MB), `runtime` (minutes), `queue`, `account`,
        `pbs_node` (properties of the node, as the server writes them: `v100:bigmem` on Torque,
        `gpu_model=a100` on OpenPBS), `pbs_extra` (more options of qsub, quoted as for a shell). Others are
        Snakemake's business.
    flavour : Flavour
        Whose words to use.
    log : Path
        Where the server writes the job's output; relative to the folder that qsub is called in, so that no
        blank or colon of the folder's path reaches the server, which reads `host:path`.
    shell : str
        What runs the job's script; without it the user's login shell would, which may be no relative of sh.

    Raises
    ------
    RequestError
        A resource is not what it must be.
    """
    resources = properties.resources
    arguments = ["-N", job_name(properties.label, flavour), "-j", "oe", "-o", str(log)]
    arguments += ["-S", shell]
    arguments += ["-r", "n"]  # Snakemake tries again; a server that did so too would start a second one
    if queue := _word(resources, "queue"):
        arguments += ["-q", queue]
    if account := _word(resources, "account"):
        arguments += ["-A", account]
    n_gpus, mem_mb = _number(resources, "gpu"), _number(resources, "mem_mb")
    walltime = _walltime(resources)
    node = _word(resources, "pbs_node")
    if flavour is Flavour.TORQUE:
        # One -l for all: Slurm's wrapper keeps only the last.
        gpus = f":gpus={n_gpus}" if n_gpus else ""
        request = f"nodes=1:ppn={properties.threads}{gpus}" + (f":{node}" if node else "")
        request += (f",mem={mem_mb}mb" if mem_mb else "") + (f",walltime={walltime}" if walltime else "")
        arguments += ["-l", request]
    else:
        gpus = f":ngpus={n_gpus}" if n_gpus else ""
        chunk = f"select=1:ncpus={properties.threads}{gpus}" + (f":mem={mem_mb}mb" if mem_mb else "")
        arguments += ["-l", chunk + (f":{node}" if node else "")]
        if walltime:
            arguments += ["-l", f"walltime={walltime}"]
    return arguments + shlex.split(str(resources.get("pbs_extra", "")))


def _walltime(resources: dict[str, Any]) -> str:
    minutes = _number(resources, "runtime")
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00" if minutes else ""


def _number(resources: dict[str, Any], name: str) -> int:
    value = resources.get(name, 0)
    if not isinstance(value, int) or value < 0:
        raise RequestError(f"resource {name}: expected a whole number, found {value!r}")
    return value


def _word(resources: dict[str, Any], name: str) -> str:
    """A value without blanks or anything else that a shell reads: Slurm's wrapper calls one."""
    value = str(resources.get(name, ""))
    if not re.fullmatch(r"[\w.:=@+/-]*", value, flags=re.ASCII):
        raise RequestError(
            f"resource {name}: expected letters, digits and . : = @ + / - _ only, found {value!r}"
        )
    return value
