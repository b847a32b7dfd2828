"""The executor, on commands that answer as a test wants."""

import logging
import os
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pbs_jobs import (
    OUTPUT,
    RESOURCES,
    UNKNOWN,
    Commands,
    FakeExecutor,
    FakeJob,
    recorded_refusal,
    run_of,
    submitted,
)
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors import remote
from snakemake_interface_executor_plugins.settings import SharedFSUsage
from throttler import Throttler

from snakemake_executor_plugin_pbs import Executor, ExecutorSettings, common_settings, records, sidecar
from snakemake_executor_plugin_pbs import executor as executor_module
from snakemake_executor_plugin_pbs.judging import GRACE_S

RUNNING = "printf 'Job Id: 35.vm\\n    job_state = R\\n'"
FULL = "would exceed queue generic's per-user limit"


@pytest.fixture(autouse=True)
def surroundings(
    workdir: Path,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No sidecar, a home beside the clone, no waiting between two tries."""
    monkeypatch.setattr(sidecar, "start", lambda run: None)
    monkeypatch.setattr(Path, "home", lambda: workdir.parent)
    monkeypatch.setattr(executor_module, "RETRY_S", 0)
    caplog.set_level(logging.INFO)


def seeds(*numbers: str) -> list[FakeJob]:
    return [FakeJob({"model": "nano", "seed": number}, [f"{number}.pt"]) for number in numbers]


def start(*jobs: FakeJob, **settings: Any) -> FakeExecutor:
    executor = FakeExecutor(list(jobs), **{"flavour": "torque", **settings})
    for job in jobs:
        executor.run_job(job)
    return executor


def try_again(executor: FakeExecutor, job: FakeJob) -> None:
    """What Snakemake does with a job that has failed and may be tried again."""
    assert job.restart_times > job.attempt - 1
    job.attempt += 1
    job.resources["mem_mb"] = RESOURCES["mem_mb"] * min(job.attempt, 2)
    executor.run_job(job)


def test_the_thread_that_looks_waits_for_the_executor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Snakemake starts the thread first; on a slow host it is there long before the rest."""

    def made_slowly(**limits: int) -> Throttler:
        time.sleep(0.5)
        return Throttler(**limits)

    monkeypatch.setattr(remote, "Throttler", made_slowly)
    looked = threading.Event()
    monkeypatch.setattr(Executor, "_look", lambda self, infos: looked.set() or {})
    workflow = SimpleNamespace(
        dag=None,
        executor_settings=ExecutorSettings(),
        executor_plugin=SimpleNamespace(common_settings=common_settings),
        main_snakefile="Snakefile",
        remote_execution_settings=SimpleNamespace(
            immediate_submit=False,
            jobname="{jobid}",
            jobscript=None,
            max_status_checks_per_second=10,
            seconds_between_status_checks=0,
        ),
        scheduler=None,  # as at that time
        storage_settings=SimpleNamespace(shared_fs_usage=SharedFSUsage.all()),
        workdir_init=str(Path.cwd()),
    )
    Path(".snakemake").mkdir()
    executor = Executor(workflow, logging.getLogger("pbs_jobs"))
    try:
        assert looked.wait(20)
        assert executor.wait_thread.is_alive()
    finally:
        executor.shutdown()
    assert capsys.readouterr().out == ""


class TestSubmission:
    def test_says_id_and_log(self, workdir: Path, caplog: pytest.LogCaptureFixture) -> None:
        job = FakeJob()
        start(job)
        (name,) = job.registered
        assert name.startswith("35.vm logs/pbs/train/train-nano-42.")
        assert f"Submitted job 7 with external jobid '{name}'" in caplog.text
        assert (workdir / name.split()[1]).parent.is_dir()
        (record,) = records.read_records()
        assert record.files.read_job_id() == "35.vm"
        assert "echo done" in record.files.script.read_text()

    def test_the_id_stands_below_a_greeting(self, commands: Commands) -> None:
        commands.make("qsub", "echo 'Welcome to the cluster, project 7'; echo; echo 35.vm")
        job = FakeJob()
        start(job)
        assert job.registered[0].startswith("35.vm ")

    def test_nothing_that_reaches_a_shell_has_a_blank(self, workdir: Path, commands: Commands) -> None:
        asked = workdir.parent / "asked"
        commands.make("qsub", f"for i; do echo \"$i\"; done > '{asked}'; echo 5")
        start(FakeJob({"model": "my model; x", "seed": "42"}))
        assert not any(set(argument) & set(" ;'$") for argument in asked.read_text().splitlines())

    @pytest.mark.parametrize(
        ("version", "setting", "asked"),
        [("pbs_version = 23.06.06", "auto", "select=1"), ("pbs_version = 23", "torque", "nodes=1")],
    )
    def test_the_flavour_is_asked_for_or_set(
        self, commands: Commands, version: str, setting: str, asked: str
    ) -> None:
        commands.make("qstat", f"echo '{version}'")
        start(FakeJob(), flavour=setting)
        assert asked in commands.calls("qsub")[0]

    def test_torque_gets_a_shell_that_outlives_a_signal(self, workdir: Path, commands: Commands) -> None:
        start(FakeJob())
        assert f"-S {workdir.parent}/.snakemake/pbs/job_shell " in commands.calls("qsub")[0]

    def test_openpbs_needs_none(self, commands: Commands) -> None:
        start(FakeJob(), flavour="openpbs")
        assert "-S /bin/sh " in commands.calls("qsub")[0]

    def test_no_qstat_ends_the_run(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(WorkflowError, match="submit host"):
            start(FakeJob(), flavour="auto")


class TestRefusal:
    def test_is_shown_with_the_request_and_the_key_and_not_tried_again(
        self, commands: Commands, caplog: pytest.LogCaptureFixture
    ) -> None:
        commands.make("qsub", recorded_refusal("Unknown queue"))
        job = FakeJob(resources=RESOURCES | {"queue": "lang"})
        executor = start(job)
        assert executor.failed == [job]
        assert not job.restart_times > job.attempt - 1  # Snakemake tries it again where this is so
        for part in ("train-nano-42", "qsub: Unknown queue", "change queue in the profile", "-q lang"):
            assert part in caplog.text
        assert records.read_records() == []
        assert len(commands.calls("qsub")) == 1

    def test_of_slurms_wrapper_stands_where_the_id_should_be(self, commands: Commands) -> None:
        commands.make("qsub", "echo 'There was an error'")
        job = FakeJob()
        assert start(job).failed == [job]

    def test_a_resource_that_cannot_be_asked_for(self, caplog: pytest.LogCaptureFixture) -> None:
        job = FakeJob(resources=RESOURCES | {"queue": "a b"})
        assert start(job).failed == [job]
        assert "resource queue: expected letters" in caplog.text


class TestFullQueue:
    @pytest.mark.parametrize("words", [FULL, "Maximum number of jobs already in queue for user"])
    def test_is_waited_for_and_said_once(
        self, commands: Commands, caplog: pytest.LogCaptureFixture, words: str
    ) -> None:
        room = commands.folder / "room"
        commands.make("qsub", f"[ -e '{room}' ] && echo 35.vm && exit 0; {recorded_refusal(words)}")
        jobs = seeds("1", "2", "3")
        executor = start(*jobs)
        for _ in range(3):
            executor.look()
        assert executor.failed == []
        assert len(executor.active) == 3
        assert caplog.text.count(words) == 1
        assert "jobs: N in the profile" in caplog.text
        assert not any(job.registered for job in jobs)
        commands.make("qstat", RUNNING)
        room.touch()
        executor.look()
        assert [len(job.registered) for job in jobs] == [1, 1, 1]
        assert len(executor.active) == 3
        assert len(records.read_records()) == 3

    def test_others_are_not_asked_for_while_one_waits(self, commands: Commands) -> None:
        commands.make("qsub", recorded_refusal(FULL))
        executor = start(*seeds("1", "2", "3"))
        assert len(commands.calls("qsub")) == 1
        executor.look()
        assert len(commands.calls("qsub")) == 2

    def test_one_that_is_refused_when_there_is_room_has_failed(self, commands: Commands) -> None:
        commands.make("qsub", recorded_refusal(FULL))
        (job,) = jobs = seeds("1")
        executor = start(*jobs)
        commands.make("qsub", recorded_refusal("Unknown queue"))
        executor.look()
        assert (executor.failed, executor.active) == ([job], [])


class TestSilentServer:
    def test_is_waited_for(self, commands: Commands, caplog: pytest.LogCaptureFixture) -> None:
        commands.make("qsub", recorded_refusal("cannot connect to server pbshost (errno=15010)"))
        executor = start(FakeJob())
        executor.look()
        assert caplog.text.count("cannot connect") == 1
        commands.make("qsub", "echo 35.vm")
        commands.make("qstat", RUNNING)
        executor.look()
        # Of what the server may have taken and not confirmed, nothing is wanted.
        assert len(records.read_records()) == 1
        assert len(executor.active) == 1


class TestNextTry:
    """More memory is asked for only where there was too little."""

    @pytest.mark.parametrize(
        ("log", "code", "mem_mb"),
        [
            ("", 1, 48000),
            ("=>> PBS: job killed: walltime 98 exceeded limit 60", 143, 48000),
            ("=>> PBS: job killed: mem 2023748kb exceeded limit 1024000kb", 143, 96000),
            ("died with <Signals.SIGKILL: 9>.", 1, 96000),
            ("", 137, 96000),  # killed, and nobody says why
            ("", 143, 48000),
        ],
    )
    def test_memory(self, commands: Commands, log: str, code: int, mem_mb: int) -> None:
        job = FakeJob()
        executor = start(job)
        (record,) = records.read_records()
        Path(record.log).write_text(log)
        record.files.exit_code.write_text(f"{code}\n")
        executor.look()
        assert executor.failed == [job]
        try_again(executor, job)
        assert f"mem={mem_mb}mb" in commands.calls("qsub")[-1]

    def test_a_job_that_can_never_run_is_deleted_and_not_tried_again(
        self, commands: Commands, caplog: pytest.LogCaptureFixture
    ) -> None:
        commands.make("qsub", "echo 131.pbshost")
        job = FakeJob()
        executor = start(job, flavour="openpbs", stuck_minutes=0)
        commands.answer("qstat", "openpbs/can_never_run")
        executor.look()
        assert executor.failed == [job]
        assert not job.restart_times > job.attempt - 1
        assert commands.calls("qdel") == ["131.pbshost"]
        assert (
            "Can Never Run: Insufficient amount of resource: mem (R: 500gb A: 400gb T: 400gb)" in caplog.text
        )
        assert "change mem_mb" in caplog.text


class TestFullDisk:
    def test_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        records.FOLDER.mkdir(parents=True)
        Path("logs").touch()  # no folder can be made
        executor = start(FakeJob())
        assert len(executor.active) == 1
        assert "waits to be submitted" in caplog.text
        Path("logs").unlink()
        executor.look()
        assert len(records.read_records()) == 1


class TestLook:
    def test_all_jobs_with_one_question(self, commands: Commands) -> None:
        commands.make("qsub", 'echo "$(grep -c . "$0.calls").vm"')
        executor = start(*seeds(*map(str, range(20))))
        commands.make("qstat", 'shift; for id; do printf "Job Id: %s\\n    job_state = R\\n\\n" "$id"; done')
        before = len(commands.calls("qstat"))
        executor.look()
        assert len(executor.active) == 20
        assert len(commands.calls("qstat")) == before + 1

    def test_success_is_seen_without_the_server(self, commands: Commands) -> None:
        job = FakeJob()
        executor = start(job)
        (record,) = records.read_records()
        record.files.exit_code.write_text("0\n")
        before = len(commands.calls("qstat"))
        executor.look()
        assert (executor.succeeded, executor.active) == ([job], [])
        assert len(commands.calls("qstat")) == before

    def test_a_failure_names_job_reason_and_log(self, caplog: pytest.LogCaptureFixture) -> None:
        executor = start(FakeJob())
        (record,) = records.read_records()
        record.files.exit_code.write_text("1\n")
        executor.look()
        assert f"pbs: job 35.vm failed: exit code 1; log {record.log}" in caplog.text

    @pytest.mark.parametrize("trouble", ["unreadable", "half written"])
    def test_what_cannot_be_read_is_no_end_of_the_run(
        self, commands: Commands, caplog: pytest.LogCaptureFixture, trouble: str
    ) -> None:
        executor = start(FakeJob())
        commands.make("qstat", RUNNING)
        (record,) = records.read_records()
        if trouble == "unreadable":
            record.files.exit_code.mkdir()
        else:
            record.files.exit_code.write_text("")
        executor.look()
        executor.look()
        assert len(executor.active) == 1
        assert caplog.text.count("cannot be looked at now") == 1

    def test_what_was_judged_without_a_code_is_not_deleted_later(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Its id may be that of another job when the run ends, and nothing was deleted that had ended.
        executor = start(FakeJob())
        executor.look()
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + GRACE_S + 1)
        executor.look()
        assert len(executor.failed) == 1
        executor.cancel()
        assert sidecar.cancel_run(run_of(os.getpid()).name) == []
        assert commands.calls("qdel") == []


class TestLeftovers:
    @pytest.fixture
    def ended_by_qdel(self, commands: Commands) -> None:
        """Jobs run until they are deleted."""
        deleted = commands.folder / "qdel.calls"
        commands.make(
            "qstat",
            f"[ -e '{deleted}' ] && {{ {UNKNOWN}; }}\n"
            'shift; for id; do printf "Job Id: %s\\n    job_state = R\\n" "$id"; done',
        )

    def test_all_of_a_dead_run_go_with_one_command_those_that_wait_first(self, commands: Commands) -> None:
        for number in range(8):
            submitted(run="dead", job_id=f"{number}.vm")
        commands.make(
            "qstat",
            f"[ -e '{commands.folder}/qdel.calls' ] && exit 153\n"
            'shift; for id; do s=R; case "$id" in [4-7].*) s=Q;; esac; '
            'printf "Job Id: %s\\n    job_state = %s\\n" "$id" "$s"; done',
        )
        start(FakeJob())
        (deleted,) = (call.split() for call in commands.calls("qdel"))
        assert set(deleted[:4]) == {"4.vm", "5.vm", "6.vm", "7.vm"}
        assert set(deleted[4:]) == {"0.vm", "1.vm", "2.vm", "3.vm"}
        assert len(records.read_records()) == 1

    @pytest.mark.usefixtures("ended_by_qdel")
    def test_a_dead_runs_job_that_this_run_does_not_want_is_left_alone(self, commands: Commands) -> None:
        other = submitted(run="dead", outputs=("43.pt",))
        start(FakeJob())
        assert commands.calls("qdel") == []
        assert other in records.read_records()

    @pytest.mark.parametrize("mine", [True, False])
    @pytest.mark.usefixtures("ended_by_qdel")
    def test_the_job_of_another_run_that_is_alive_is_left_alone(
        self, commands: Commands, caplog: pytest.LogCaptureFixture, mine: bool
    ) -> None:
        other = run_of(os.getppid())
        record = submitted(run=(run_of(os.getpid()) if mine else other).name)
        job = FakeJob()
        executor = start(job)
        assert (executor.failed == [job]) != mine
        assert len(commands.calls("qdel")) == len(commands.calls("qsub")) == mine
        assert (record in records.read_records()) != mine
        if not mine:
            assert f"process {other.pid}, waits for the same job (35.vm)" in caplog.text

    def test_nothing_is_submitted_beside_one_that_cannot_be_deleted(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(executor_module, "END_TIMEOUT_S", 0)
        leftover = submitted(run="dead")
        commands.make("qstat", RUNNING)
        commands.make("qdel", "exit 1")
        executor = start(FakeJob())
        executor.look()
        assert commands.calls("qsub") == []
        assert leftover in records.read_records()
        assert "train-nano-42 (35.vm): it goes on after it was deleted" in caplog.text
        commands.make("qstat", UNKNOWN)
        executor.look()
        assert len(commands.calls("qsub")) == 1

    def test_a_silent_server_hides_one(self, commands: Commands, caplog: pytest.LogCaptureFixture) -> None:
        leftover = submitted(run="dead")
        commands.make("qstat", "exit 255")
        executor = start(FakeJob())
        executor.look()
        assert commands.calls("qsub") == []
        assert f"remove .snakemake/pbs/{leftover.uid}.json" in caplog.text
        commands.make("qstat", UNKNOWN)
        executor.look()
        assert len(commands.calls("qsub")) == 1
        assert leftover not in records.read_records()

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"uid": "1", "colour": "red"}', "\N{LATIN SMALL LETTER E WITH ACUTE}"]
    )
    def test_a_record_that_cannot_be_read_is_passed_over(
        self, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        records.FOLDER.mkdir(parents=True)
        (records.FOLDER / "odd.json").write_text(text, encoding="latin-1")
        job = FakeJob()
        start(job)
        assert len(job.registered) == 1
        assert "odd.json: expected the record of a job" in capsys.readouterr().err


class TestCancel:
    def test_all_with_one_command_those_that_wait_first(self, commands: Commands) -> None:
        commands.make("qsub", 'echo "$(grep -c . "$0.calls").vm"')
        executor = start(*seeds(*map(str, range(8))))
        commands.make(
            "qstat",
            'shift; for id; do s=R; case "$id" in [4-8].*) s=Q;; esac; '
            'printf "Job Id: %s\\n    job_state = %s\\n" "$id" "$s"; done',
        )
        executor.look()
        executor.cancel()
        assert commands.calls("qdel") == ["4.vm 5.vm 6.vm 7.vm 8.vm 1.vm 2.vm 3.vm"]

    def test_also_those_whose_state_is_asked_for_just_now(self, commands: Commands) -> None:
        # Snakemake has taken them off its list then.
        executor = start(FakeJob())
        commands.make("qstat", f"touch '{commands.folder}/asked'; sleep 1; {RUNNING}")
        looking = threading.Thread(target=executor.look)
        looking.start()
        while not (commands.folder / "asked").exists():
            time.sleep(0.01)
        executor.cancel()
        looking.join()
        assert commands.calls("qdel") == ["35.vm"]

    def test_what_was_not_submitted_is_not_submitted_any_more(self, commands: Commands) -> None:
        commands.make("qsub", recorded_refusal(FULL))
        executor = start(FakeJob())
        executor.cancel()
        commands.make("qsub", "echo 35.vm")
        executor.look()
        assert len(commands.calls("qsub")) == 1


class TestPaths:
    def test_a_folder_for_logs_that_qsub_would_take_apart(self) -> None:
        with pytest.raises(WorkflowError, match="pbs-logdir: expected letters"):
            start(FakeJob(), logdir="my logs")

    @pytest.mark.parametrize("name", ["a $HOME", "{braces}", "it's a clone", "$(x)`y`", 'a "b"'])
    def test_most_names_serve(self, name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (workdir / name).mkdir()
        monkeypatch.chdir(workdir / name)
        if "'" in name:  # beside the $ of the folder above
            with pytest.raises(WorkflowError, match=r"without '\$' beside '"):
                start(FakeJob())
        else:
            start(FakeJob())
            (record,) = records.read_records()
            subprocess.run(["sh", record.files.script], check=True, capture_output=True)
            assert record.files.read_exit_code() == 0

    def test_python_is_quoted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        executor = start(FakeJob())
        python = "/a $HOME/it's/.venv/bin/python"
        monkeypatch.setattr("sys.executable", python)
        usage = SimpleNamespace(shared_fs_usage=[SharedFSUsage.SOFTWARE_DEPLOYMENT])
        executor.workflow.storage_settings = usage
        printed = subprocess.run(
            ["sh", "-c", f"printf %s {executor.get_python_executable()}"], capture_output=True, check=True
        )
        assert printed.stdout.decode() == python

    def test_a_job_writes_where_snakemake_works(self, workdir: Path) -> None:
        start(FakeJob())
        (record,) = records.read_records()
        assert record.outputs == (OUTPUT,)
        subprocess.run(["sh", workdir / record.files.script], cwd="/", check=True, capture_output=True)
        assert record.files.read_exit_code() == 0
