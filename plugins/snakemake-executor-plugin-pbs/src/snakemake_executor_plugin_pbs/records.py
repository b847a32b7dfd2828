"""What is known about submitted jobs, in files that the submitting host and the nodes share.

A job is known by a unique id made when it is submitted. The ids of a PBS server will not do: they start anew
when a server is set up again.
"""

import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(".snakemake/pbs")
"""Relative to the folder that Snakemake works in."""

_JOB_ID = re.compile(r"\d[\w.\[\]-]*", flags=re.ASCII)
"""5 from Slurm's wrapper, 5.server from Torque, 35.vm from OpenPBS."""

KEPT_S = 7 * 24 * 3600
"""For how long the files of a job are kept after its end."""

LOST_S = 60 * 24 * 3600
"""After how long a job is given up whose end nobody has seen. None waits and runs for longer."""


@dataclass(frozen=True)
class JobFiles:
    """The files of one job, and what they say.

    Attributes
    ----------
    uid : str
        The unique id.
    """

    uid: str

    @property
    def record(self) -> Path:
        """The `Record`. The job's script ends at once where it is gone: the job is not wanted."""
        return FOLDER / f"{self.uid}.json"

    @property
    def script(self) -> Path:
        """What the server runs."""
        return FOLDER / f"{self.uid}.sh"

    @property
    def job_id(self) -> Path:
        """The server's id: empty while qsub runs, absent before."""
        return FOLDER / f"{self.uid}.id"

    @property
    def exit_code(self) -> Path:
        """The job's exit code, written by the job as its last deed."""
        return FOLDER / f"{self.uid}.exit"

    def read_job_id(self) -> str:
        """The server's id, or nothing if there is none yet."""
        try:
            return find_job_id(self.job_id.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ""

    def read_exit_code(self) -> int | None:
        """The code that the job left; None if it left none."""
        # Listing the folder makes a network file system look again, instead of repeating what it last knew.
        if not FOLDER.is_dir() or self.exit_code.name not in os.listdir(FOLDER):  # noqa: PTH208
            return None
        return int(self.exit_code.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Record:
    """A job that was submitted and is wanted.

    Attributes
    ----------
    uid : str
        The unique id.
    run : str
        The name of the run of Snakemake that wants it; empty if that is not known.
    name : str
        Rule and wildcards, for messages.
    outputs : tuple of str
        All files that the job writes. Two jobs that share one must never run at once.
    log : str
        The job's log, relative to the working folder.
    """

    uid: str
    run: str
    name: str
    outputs: tuple[str, ...]
    log: str

    @property
    def files(self) -> JobFiles:
        return JobFiles(self.uid)

    def write(self) -> None:
        write_aside(self.files.record, json.dumps(asdict(self), indent=1))

    def forget(self) -> None:
        """Say that the job is not wanted: should it still start, it ends at once."""
        self.files.record.unlink(missing_ok=True)


def write_aside(path: Path, text: str) -> None:
    """Write a file that is never seen half written, whatever happens meanwhile."""
    aside = path.with_name(f"{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def find_job_id(said: str) -> str:
    """The id in what qsub printed, below a site's greetings; nothing if there is none."""
    lines = said.split("\n")
    return next((line.strip() for line in reversed(lines) if _JOB_ID.fullmatch(line.strip())), "")


def new_uid() -> str:
    """An id that no other job has."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}_{secrets.token_hex(4)}"


def read_records() -> list[Record]:
    """All records of this working folder, of all its runs; one that cannot be read is named and left out."""
    records = []
    for path in FOLDER.glob("*.json"):
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            records.append(Record(**fields | {"outputs": tuple(fields["outputs"])}))
        except FileNotFoundError:  # forgotten by another process just now
            continue
        # Another version's, or a file system that stammers.
        except (OSError, ValueError, TypeError, KeyError) as error:
            print(f"pbs: {path}: expected the record of a job, found {error}; passed over", file=sys.stderr)
    return records


def unfinished(records: Iterable[Record]) -> list[Record]:
    """Those jobs that have left no exit code."""
    return [record for record in records if record.files.read_exit_code() is None]


def prune(now: float) -> None:
    """Remove the files of jobs that ended long ago, and of those that were lost."""
    for script in FOLDER.glob("*.sh"):
        files = JobFiles(script.stem)
        ended = files.exit_code.exists()
        age_s = now - (files.exit_code if ended else script).stat().st_mtime
        if age_s > (LOST_S if files.record.exists() and not ended else KEPT_S):
            for old in FOLDER.glob(f"{files.uid}.*"):
                old.unlink(missing_ok=True)
