"""The process beside Snakemake, which deletes jobs when Snakemake has ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pbs_jobs import Commands, run_of, submitted, wait_until

from snakemake_executor_plugin_pbs import records, sidecar
from snakemake_executor_plugin_pbs.run import Run

pytestmark = pytest.mark.usefixtures("workdir")

SOURCE = str(Path(sidecar.__file__).parents[1])


class TestRun:
    def test_a_process_is_known_again(self) -> None:
        run = run_of(os.getpid())
        assert run.is_alive()
        assert not Run(run.pid, "another start").is_alive()
        assert Run.named(run.name) == run

    @pytest.mark.parametrize("name", ["", "dead", "another_host_5_7"])
    def test_what_is_not_of_this_host_is_not_known(self, name: str) -> None:
        assert Run.named(name) is None

    def test_a_process_that_nobody_has_waited_for_has_ended(self) -> None:
        process = subprocess.Popen(["sleep", "60"])
        run = run_of(process.pid)
        process.kill()
        wait_until(lambda: not run.is_alive())
        assert Run.of(process.pid) is None
        process.wait()
        assert Run.of(process.pid) is None


class TestSidecar:
    def test_deletes_what_goes_on(self, commands: Commands) -> None:
        running, ended = submitted(job_id="1.vm"), submitted(job_id="2.vm")
        ended.files.exit_code.write_text("0\n")
        other = submitted(run="other", job_id="3.vm")
        assert sidecar.cancel_run("run") == [running]
        assert commands.calls("qdel") == ["1.vm"]
        assert {record.uid for record in records.read_records()} == {ended.uid, other.uid}

    def test_all_with_one_command_those_that_wait_first(self, commands: Commands) -> None:
        commands.make(
            "qstat",
            'shift; for id; do s=R; case "$id" in [4-8].*) s=Q;; esac; '
            'printf "Job Id: %s\\n    job_state = %s\\n" "$id" "$s"; done',
        )
        for number in range(1, 9):
            submitted(job_id=f"{number}.vm")
        sidecar.cancel_run("run")
        (deleted,) = (call.split() for call in commands.calls("qdel"))
        assert set(deleted[:5]) == {f"{number}.vm" for number in range(4, 9)}
        assert len(deleted) == 8

    def test_waits_for_a_submission_on_its_way(self, commands: Commands) -> None:
        record = submitted()
        record.files.job_id.write_text("")
        with subprocess.Popen(["sh", "-c", f"sleep 0.5; echo 7.vm > {record.files.job_id}"]):
            sidecar.cancel_run("run")
        assert commands.calls("qdel") == ["7.vm"]

    def test_a_job_that_a_silent_server_keeps_is_not_wanted(self, commands: Commands) -> None:
        commands.make("qdel", "exit 255")
        record = submitted()
        sidecar.cancel_run("run")
        assert record not in records.read_records()

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
    def test_beside_snakemake(self, commands: Commands, end: signal.Signals) -> None:
        # Started in the background, tests and all they start ignore SIGINT.
        with subprocess.Popen(["env", "--default-signal=INT", "sleep", "60"]) as snakemake:
            run = run_of(snakemake.pid)
            submitted(run=run.name, job_id="1.vm")
            submitted(run=run.name, job_id="2.vm")
            started = sidecar.start(run)
            assert started is not None
            assert sidecar.start(run) is None
            assert len(list(records.FOLDER.glob("*.sidecar"))) == 1
            time.sleep(4 * sidecar.LOOK_S)
            assert commands.calls("qdel") == []
            snakemake.send_signal(end)
        assert started.wait(timeout=20) == 0
        assert not list(records.FOLDER.glob("*.sidecar"))
        (deleted,) = commands.calls("qdel")
        assert set(deleted.split()) == {"1.vm", "2.vm"}
        assert records.read_records() == []

    def test_of_a_run_that_ended_while_it_started(self, commands: Commands) -> None:
        with subprocess.Popen(["sleep", "60"]) as snakemake:
            run = run_of(snakemake.pid)
            snakemake.kill()
        submitted(run=run.name)
        subprocess.run(
            [sys.executable, "-m", "snakemake_executor_plugin_pbs", str(run.pid), run.started],
            env=os.environ | {"PYTHONPATH": SOURCE},
            check=True,
        )
        assert commands.calls("qdel") == ["35.vm"]

    def test_a_submission_survives_the_death_of_snakemake(self, commands: Commands) -> None:
        # Between Ctrl-C or kill -9 and the end of qsub the job's id must not be lost.
        commands.make("qsub", f"touch '{commands.folder}/started'; sleep 0.5; echo 35.vm")
        records.FOLDER.mkdir(parents=True)
        code = "from snakemake_executor_plugin_pbs import server; from pathlib import Path\n"
        code += "server.submit(['job.sh'], Path('.snakemake/pbs/1.id'))"
        with subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": SOURCE}
        ) as process:
            wait_until((commands.folder / "started").exists)
            process.kill()
        files = records.JobFiles("1")
        assert files.read_job_id() == ""
        wait_until(lambda: files.read_job_id() != "")
        assert files.read_job_id() == "35.vm"

    @pytest.mark.parametrize(
        ("ended", "wanted", "kept_s"),
        [
            (True, True, records.KEPT_S),
            (False, False, records.KEPT_S),  # it was deleted, or has vanished
            (False, True, records.LOST_S),  # it may still run, or wait
        ],
    )
    def test_old_files_go(self, ended: bool, wanted: bool, kept_s: int) -> None:
        now = time.time()
        old, recent = (submitted() for _ in range(2))
        for record, age_s in ((old, kept_s + 10), (recent, kept_s - 10)):
            if ended:
                record.files.exit_code.write_text("0\n")
            if not wanted:
                record.forget()
            os.utime(record.files.exit_code if ended else record.files.script, 2 * (now - age_s,))
        records.prune(now)
        assert not list(records.FOLDER.glob(f"{old.uid}.*"))
        assert recent.files.script.exists()
        assert recent.files.record.exists() == wanted
