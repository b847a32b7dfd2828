"""Jobs as Snakemake hands them out, and commands of a PBS server that say what a test wants."""

import asyncio
import json
import logging
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from throttler import Throttler

from snakemake_executor_plugin_pbs import ExecutorSettings, records
from snakemake_executor_plugin_pbs.executor import Executor
from snakemake_executor_plugin_pbs.records import Record
from snakemake_executor_plugin_pbs.run import Run

RESOURCES: dict[str, Any] = {"gpu": 1, "mem_mb": 48000, "runtime": 4320, "tmpdir": "<TBD>"}
OUTPUT = "results/models/nano/seed_42/best.pt"
UNKNOWN = "echo 'qstat: Unknown Job Id 35.vm' >&2; exit 153"
RECORDED = Path(__file__).with_name("recorded")


@dataclass
class FakeJob:
    """A job with what the executor reads and writes of Snakemake's."""

    wildcards_dict: dict[str, str] = field(default_factory=lambda: {"model": "nano", "seed": "42"})
    output: list[str] = field(default_factory=lambda: [OUTPUT])
    resources: dict[str, Any] = field(default_factory=lambda: dict(RESOURCES))
    threads: int = 8
    attempt: int = 1
    restart_times: int = 2
    jobid: int = 7
    registered: list[str] = field(default_factory=list)
    rule: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="train"))

    def is_group(self) -> bool:
        return False

    def properties(self) -> str:
        return json.dumps({"rule": self.rule.name})

    def register(self, external_jobid: str) -> None:
        self.registered.append(external_jobid)


class FakeExecutor(Executor):
    """The executor without Snakemake around it: what it would report is kept, and rounds are asked for."""

    def __init__(self, jobs: list[FakeJob], **settings: Any) -> None:
        self.workflow = SimpleNamespace(
            executor_settings=ExecutorSettings(**settings),
            workdir_init=str(Path.cwd()),
            main_snakefile="Snakefile",
        )
        self.dag = SimpleNamespace(needrun_jobs=lambda: jobs)
        self.logger = logging.getLogger("pbs_jobs")
        self.jobscript = "# properties = {properties}\n{exec_job}\n"
        self.status_rate_limiter = Throttler(rate_limit=1000, period=1)
        self.active: list[Any] = []
        self.succeeded: list[FakeJob] = []
        self.failed: list[FakeJob] = []
        self.__post_init__()

    def format_job_exec(self, job: Any) -> str:
        return "echo done"

    def report_job_submission(self, job_info: Any, register_job: bool = True) -> None:
        self.active.append(job_info)
        if register_job:
            job_info.job.register(job_info.external_jobid)

    def report_job_success(self, job_info: Any) -> None:
        self.succeeded.append(job_info.job)

    def report_job_error(self, job_info: Any, msg: str | None = None, **kwargs: Any) -> None:
        self.failed.append(job_info.job)

    def shutdown(self) -> None:
        pass

    def look(self) -> None:
        """One round of looking after jobs."""

        async def go() -> list[Any]:
            return [info async for info in self.check_active_jobs(self.active)]

        self.active = asyncio.run(go())


class Commands:
    """Commands first in PATH, given as the bodies of shell scripts; what they are called with is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()

    def make(self, name: str, body: str) -> None:
        path = self.folder / name
        calls = self.folder / f"{name}.calls"
        path.write_text(f"#!/bin/sh\necho \"$@\" >> '{calls}'\n{body}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def calls(self, name: str) -> list[str]:
        path = self.folder / f"{name}.calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def answer(self, name: str, recorded: str) -> None:
        """Answer as a real server did, word for word; the name is FILE/STATE."""
        file, _, state = recorded.partition("/")
        sections = (RECORDED / f"{file}.txt").read_text(encoding="utf-8").split("== ")[1:]
        cases = ""
        for number, section in enumerate(section for section in sections if section.split("\n")[0] == state):
            _, question, code, *lines = section.rstrip("\n").split("\n")
            said = [line.removeprefix("stderr: ") for line in lines if line.startswith("stderr: ")]
            out = self.folder / f"{name}.out{number}"
            out.write_text("".join(f"{line}\n" for line in lines if not line.startswith("stderr: ")))
            err = self.folder / f"{name}.err{number}"
            err.write_text("".join(f"{line}\n" for line in said))
            options = " ".join(word for word in question.split()[2:] if word.startswith("-"))
            answer = f'cat "{out}"; cat "{err}" >&2; exit {code.split()[-1]}'
            cases += f'case "$*" in "{options} "[0-9]*) {answer};; esac\n'
        assert cases, f"no recorded answer {recorded}"
        self.make(name, cases + "exit 2")


def recorded_refusal(words: str) -> str:
    """The body of a qsub that refuses as a real server did."""
    text = (RECORDED / "qsub_refusals.txt").read_text(encoding="utf-8")
    found = re.search(rf"^(qsub: .*{re.escape(words)}.*)\nrc=(\d+)$", text, flags=re.MULTILINE)
    assert found is not None, words
    return f"cat >&2 <<'END'\n{found[1]}\nEND\nexit {found[2]}"


def submitted(run: str = "run", job_id: str = "35.vm", outputs: tuple[str, ...] = (OUTPUT,)) -> Record:
    """A job that was submitted, as the executor leaves it."""
    uid = records.new_uid()
    record = Record(uid, run, "train-nano-42", outputs, f"logs/pbs/train/train-nano-42.{uid}.log")
    records.FOLDER.mkdir(parents=True, exist_ok=True)
    record.write()
    record.files.script.touch()
    record.files.job_id.write_text(f"{job_id}\n", encoding="utf-8")
    return record


def run_of(pid: int) -> Run:
    run = Run.of(pid)
    assert run is not None
    return run


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
