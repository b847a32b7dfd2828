"""The executor: what Snakemake calls."""

import asyncio
import os
import re
import shlex
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import replace
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from . import records, server, sidecar
from .judging import Cause, Judgement, Tracked, Verdict, judge
from .records import Record
from .request import Flavour, JobProperties, RequestError, all_outputs, plain, qsub_arguments
from .run import Run
from .script import job_script, write_job_shell
from .server import Answer, Seen, ServerError, ServerFullError, ServerSilentError

RETRY_S = 30
"""How long to wait before the server is asked again to take a job that it did not take."""

MADE_S = 0.05
"""How often the thread that looks after jobs sees whether the executor has been made."""

END_TIMEOUT_S = 60
"""How long to wait, before anything is submitted, for the deleted jobs of a dead run to end."""

CANCEL_TIMEOUT_S = 10
"""How long to wait for qdel on Ctrl-C; the sidecar tries again."""


class LeftoverError(ServerError):
    """The same job goes on elsewhere; it may end."""


class Executor(RemoteExecutor):
    """Submits jobs with qsub, looks at them with qstat, deletes them with qdel."""

    _made = False
    """Whether all is there: the base class starts the thread that looks after jobs before it makes the rest.
    On a slow host it was first, ended for want of an attribute, and the run waited for ever."""

    def __post_init__(self) -> None:
        run = Run.of(os.getpid())
        if run is None:
            raise WorkflowError(
                "pbs: expected Linux on the submission host, found no /proc with its processes"
            )
        self._run = run
        self._begun = self._cancelled = False
        self._flavour = Flavour.TORQUE
        self._shell = "/bin/sh"
        self._waiting: list[SubmittedJobInfo] = []
        self._next_try = 0.0
        self._said: set[str] = set()
        # What the last try of a job asked for, and why it failed.
        self._tries: dict[tuple[str, ...], tuple[JobProperties, Cause]] = {}
        # Beside Snakemake's list, which is empty while it asks for states; Ctrl-C may come then.
        self._tracked: dict[str, Tracked] = {}
        for path in (Path.cwd(), Path(self.workflow.workdir_init), Path(self.workflow.main_snakefile)):
            _refuse_unquotable(str(path))
        logdir = self.workflow.executor_settings.logdir
        if not re.fullmatch(r"[\w./+-]+", logdir, flags=re.ASCII):  # qsub takes others apart
            raise WorkflowError(f"pbs-logdir: expected letters, digits and . / + - _ only, found {logdir!r}")
        self._made = True

    # Submission

    def run_job(self, job: JobExecutorInterface) -> None:
        """Submit a job; where the server does not take it now, it is submitted later, with the next look."""
        self._begin()
        info = SubmittedJobInfo(job)
        if self._waiting or not self._try(info, self.report_job_submission):
            self._waiting.append(info)
            self.report_job_submission(info, register_job=False)

    def _begin(self) -> None:
        """What comes before the first submission: which server it is, the sidecar, the jobs of a dead run."""
        if self._begun:
            return
        setting = self.workflow.executor_settings.flavour
        try:
            self._flavour = server.detect_flavour() if setting == "auto" else Flavour(setting)
        except ServerError as error:
            raise WorkflowError(f"pbs: {error}") from error
        records.FOLDER.mkdir(parents=True, exist_ok=True)
        if self._flavour is Flavour.TORQUE:
            shell = write_job_shell()
            if shell is None:
                self.logger.warning(
                    "pbs: expected a path of ASCII letters, digits and . / + - _ to this folder or to your "
                    "home, found none; on Torque, jobs that are deleted are killed before they have saved"
                )
            self._shell = shell or self._shell
        self._sidecar = sidecar.start(self._run)
        wanted = {path for job in self.dag.needrun_jobs() for path in all_outputs(job)}
        try:
            self._end_leftovers(wanted, END_TIMEOUT_S)
        except ServerError as error:
            self.logger.warning(f"pbs: {error}")  # said again at each job that it concerns
        self._begun = True

    def _try(self, info: SubmittedJobInfo, report: Callable[[SubmittedJobInfo], None]) -> bool:
        """Submit and report a job, or fail it for good; False if it is to be tried again later."""
        properties = self._properties(info.job)
        try:
            tracked = self._submit(info.job, properties)
        except (ServerSilentError, ServerFullError, LeftoverError, OSError) as error:  # or a full disk
            self._next_try = time.monotonic() + RETRY_S
            hint = (
                "; jobs: N in the profile keeps below a limit" if isinstance(error, ServerFullError) else ""
            )
            self._say_once(
                str(error),
                f"pbs: {properties.name} waits to be submitted, tried again every {RETRY_S} s: {error}{hint}",
            )
            return False
        except (ServerError, RequestError) as error:
            self._refuse(info, f"pbs: {properties.name} was not submitted, and is not tried again: {error}")
            return True
        self._said.clear()
        job_id, log = tracked.job_id, tracked.record.log
        info.external_jobid = f"{job_id} {log}"
        info.aux = {"tracked": tracked, "properties": properties}
        kind = "group job" if info.job.is_group() else "job"
        self.logger.info(f"Submitted {kind} {info.job.jobid} with external jobid '{info.external_jobid}'.")
        report(info)
        return True

    def _properties(self, job: JobExecutorInterface) -> JobProperties:
        """What to ask for: more memory or walltime than before only if there may have been too little."""
        properties = JobProperties.of(job)
        if properties.outputs not in self._tries:
            return properties
        last, cause = self._tries[properties.outputs]
        resources = dict(properties.resources)
        for name, may_lack in (("mem_mb", cause.may_be_memory), ("runtime", cause.may_be_walltime)):
            if not may_lack and name in last.resources:
                resources[name] = last.resources[name]
        return replace(properties, resources=resources)

    def _submit(self, job: JobExecutorInterface, properties: JobProperties) -> Tracked:
        """Submit a job.

        Raises
        ------
        RequestError
            Its resources cannot be asked for.
        ServerSilentError, ServerFullError, LeftoverError
            It may be submitted later.
        ServerError
            The server refuses it, or another run waits for it.
        """
        self._end_leftovers(properties.outputs, timeout_s=0)
        uid = records.new_uid()
        logs = Path(self.workflow.executor_settings.logdir, plain(properties.label[0]))
        record = Record(
            uid=uid,
            run=self._run.name,
            name=properties.name,
            outputs=properties.outputs,
            log=str(logs / f"{properties.name}.{uid}.log"),
        )
        request = qsub_arguments(properties, self._flavour, Path(record.log), self._shell)
        # OpenPBS lets a job hang whose log has no folder.
        Path(record.log).parent.mkdir(parents=True, exist_ok=True)
        command = self.jobscript.format(properties=job.properties(), exec_job=self.format_job_exec(job))
        record.files.script.write_text(job_script(record, command, Path.cwd()), encoding="utf-8")
        record.write()
        try:
            job_id = server.submit([*request, str(record.files.script)], record.files.job_id)
        except ServerError as error:
            # A silent server may have taken the job all the same; without its record it does nothing.
            record.forget()
            if type(error) is not ServerError:
                raise
            key = server.advice(str(error))
            change = f"; change {key} in the profile" if key else ""
            raise ServerError(f"{error}{change}; asked for: qsub {shlex.join(request)}") from error
        tracked = Tracked(record, job_id)
        self._tracked[uid] = tracked
        return tracked

    def _end_leftovers(self, outputs: Iterable[str], timeout_s: float) -> None:
        """Delete jobs of earlier tries and of dead runs that write the same files, and wait for their end.

        Raises
        ------
        LeftoverError
            One goes on all the same, or the server does not say.
        ServerError
            One belongs to another run that is alive.
        """
        outputs = set(outputs)
        left = records.unfinished(
            record for record in records.read_records() if not outputs.isdisjoint(record.outputs)
        )
        for record in left:
            owner = Run.named(record.run)
            if owner is not None and owner != self._run and owner.is_alive():
                raise ServerError(
                    f"{record.name}: another run, process {owner.pid}, waits for the same job "
                    f"({record.files.read_job_id()})"
                )
        by_id = {job_id: record for record in left if (job_id := record.files.read_job_id())}
        deadline = None
        while going := {
            job_id: answer for job_id, answer in server.ask(by_id).items() if not _is_over(answer)
        }:
            names = ", ".join(f"{by_id[job_id].name} ({job_id})" for job_id in going)
            silent = next((answer.message for answer in going.values() if answer.seen is Seen.SILENT), None)
            if silent is not None:
                raise LeftoverError(
                    f"of an earlier try: {names}: nobody says whether it is over ({silent}); if it is, "
                    f"remove {', '.join(str(by_id[job_id].files.record) for job_id in going)}"
                )
            if deadline is None:
                self._say_once(names, f"pbs: deleting jobs of an earlier try: {names}")
                server.delete({job_id: answer.seen for job_id, answer in going.items()})
                deadline = time.monotonic() + timeout_s
            elif time.monotonic() > deadline:
                raise LeftoverError(f"of an earlier try: {names}: it goes on after it was deleted")
            else:
                time.sleep(min(2, timeout_s))
        for record in left:
            record.forget()

    def _refuse(self, info: SubmittedJobInfo, message: str) -> None:
        """Fail a job for good: its next try would be refused as this one was."""
        self.logger.error(message)
        info.job.attempt = max(info.job.attempt, info.job.restart_times + 1)
        self.report_job_error(info)

    def _say_once(self, key: str, message: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self.logger.warning(message)

    # Looking after jobs

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Look at all jobs at once, submit what waits for that, and give back those that go on."""
        while not self._made:
            await asyncio.sleep(MADE_S)
        async with self.status_rate_limiter:
            judgements = await asyncio.to_thread(self._look, [info for info in active_jobs if info.aux])
            await asyncio.to_thread(self._submit_waiting)
        for info in active_jobs:
            if not info.aux:  # it is not submitted yet, or was refused
                if any(waiting is info for waiting in self._waiting):
                    yield info
                continue
            # There is none of what has been submitted just now.
            judgement = judgements.get(info.aux["tracked"].record.uid, Judgement(Verdict.RUNNING))
            if judgement.reason:
                self._report(info, judgement)
            if judgement.verdict is Verdict.RUNNING:
                yield info
                continue
            self._tracked.pop(info.aux["tracked"].record.uid, None)
            if judgement.verdict is Verdict.SUCCESS:
                self.report_job_success(info)
            else:
                self._fail(info, judgement)

    def _look(self, infos: list[SubmittedJobInfo]) -> dict[str, Judgement]:
        """Judge jobs, by unique id; one that cannot be looked at now goes on."""
        jobs: list[Tracked] = [info.aux["tracked"] for info in infos if info.aux]
        now = time.time()
        judgements: dict[str, Judgement] = {}
        codes: dict[str, int | None] = {}
        for job in jobs:
            try:
                codes[job.record.uid] = job.record.files.read_exit_code()
            except (OSError, ValueError) as error:
                # A full disk or a file system that stammers says nothing about the job.
                reason = (
                    f"it cannot be looked at now ({error})" if job.doubted_s("unreadable", now) == 0 else ""
                )
                judgements[job.record.uid] = Judgement(Verdict.RUNNING, reason)
        answers = server.ask(job.job_id for job in jobs if codes.get(job.record.uid, 0) != 0)
        stuck_s = 60 * self.workflow.executor_settings.stuck_minutes
        for job in jobs:
            if job.record.uid in codes:
                code, answer = codes[job.record.uid], answers.get(job.job_id)
                judgements[job.record.uid] = judge(job, code, answer, self._flavour, now, stuck_s)
            if judgements[job.record.uid].verdict is not Verdict.RUNNING and codes[job.record.uid] is None:
                # Its id is of no use any more: one day it may be that of another job.
                job.record.forget()
                if judgements[job.record.uid].cause is Cause.HOPELESS:
                    server.delete([job.job_id])
        return judgements

    def _submit_waiting(self) -> None:
        """Submit what the server did not take before, in order, until it does not take one."""
        while self._waiting and not self._cancelled and time.monotonic() >= self._next_try:
            if not self._try(self._waiting[0], _register):
                return
            del self._waiting[:1]

    def _fail(self, info: SubmittedJobInfo, judgement: Judgement) -> None:
        properties: JobProperties = info.aux["properties"]
        self._tries[properties.outputs] = properties, judgement.cause
        if judgement.cause is Cause.HOPELESS:
            self._refuse(info, f"pbs: {properties.name} is not tried again")
        else:
            self.report_job_error(info)

    def _report(self, info: SubmittedJobInfo, judgement: Judgement) -> None:
        job_id, _, log = str(info.external_jobid).partition(" ")
        failed = judgement.verdict is Verdict.FAILED
        say = self.logger.error if failed else self.logger.warning
        what = "failed" if failed else "is waited for"
        say(f"pbs: job {job_id} {what}: {judgement.reason}; log {log}")

    # The end

    def cancel(self) -> None:
        """Delete all jobs, also those whose state is being asked for just now."""
        self._cancelled = True
        self.cancel_jobs([])
        self.shutdown()

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Delete all jobs that go on, with one command; the sidecar tries again what was not heard."""
        del active_jobs
        tracked = {job.job_id: job.seen for job in list(self._tracked.values())}
        server.delete(tracked, CANCEL_TIMEOUT_S)

    # What is run on the node

    def get_job_exec_prefix(self, job: JobExecutorInterface) -> str:
        """Where Snakemake starts in a job."""
        del job
        if self.workflow.storage_settings.assume_common_workdir:
            return f"cd {shlex.quote(self.workflow.workdir_init)}"
        return ""

    def get_python_executable(self) -> str:
        """The Python of a job, as a shell reads it: a clone may carry its environment, under any name."""
        return shlex.quote(str(super().get_python_executable()))


def _register(info: SubmittedJobInfo) -> None:
    info.job.register(external_jobid=info.external_jobid)


def _is_over(answer: Answer) -> bool:
    return answer.seen in (Seen.ENDED, Seen.GONE)


def _refuse_unquotable(path: str) -> None:
    """Snakemake quotes what it writes into a job's command as Python does, which a shell reads differently.

    Raises
    ------
    WorkflowError
        The path holds what a job's shell would replace.
    """
    odd = sorted({*path} & {*'$`\\"\n'}) if "'" in path or "\\" in path or "\n" in path else []
    if odd:
        raise WorkflowError(
            f"pbs: {path}: expected a path without {' '.join(map(repr, odd))} beside ', found one that the "
            "shell of a job would read differently; move or rename the folder"
        )
