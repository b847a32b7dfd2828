"""What a job does on its node."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pbs_jobs import submitted, wait_until

from snakemake_executor_plugin_pbs import records, script
from snakemake_executor_plugin_pbs.records import Record
from snakemake_executor_plugin_pbs.script import job_script, write_job_shell

TRAINING = """\
import signal, sys, time
from pathlib import Path
def save(number, frame):
    time.sleep(0.5); Path('saved').touch(); sys.exit({last_code})
signal.signal(signal.SIGTERM, save); Path('up').touch(); time.sleep(60)
"""


def run(workdir: Path, command: str, record: Record | None = None) -> subprocess.CompletedProcess[bytes]:
    """A job as a server starts it: elsewhere, in a session of its own."""
    text = job_script(record or submitted(), command, workdir)
    return subprocess.run(
        ["/bin/sh", "-c", text], cwd="/", check=False, capture_output=True, start_new_session=True
    )


class TestExitCode:
    @pytest.mark.parametrize(
        ("command", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$; kill -9 0", None)]
    )
    def test_is_left_by_the_job(self, workdir: Path, command: str, code: int | None) -> None:
        record = submitted()
        ended = run(workdir, f"#!/bin/sh\n{command}\n", record)
        assert record.files.read_exit_code() == code
        assert ended.returncode == (code if code is not None else -9)

    @pytest.mark.parametrize(("last_code", "code"), [(1, 143), (0, 0)])
    def test_is_left_when_a_job_that_is_asked_to_end_has_saved(
        self, workdir: Path, last_code: int, code: int
    ) -> None:
        # Every process gets the signal, as servers send it; a shell between dies of it at once.
        (workdir / "train.py").write_text(TRAINING.format(last_code=last_code))
        record = submitted()
        shell = "" if last_code == 0 else "bash -c 'python3 train.py; true'"
        text = job_script(record, shell or "python3 train.py", workdir)
        job = subprocess.Popen(["sh", "-c", text], start_new_session=True, stdout=subprocess.DEVNULL)
        wait_until((workdir / "up").exists)
        os.killpg(job.pid, 15)
        wait_until(lambda: record.files.read_exit_code() is not None)
        assert (workdir / "saved").exists()
        assert record.files.read_exit_code() == code
        assert job.wait(timeout=10) == code

    def test_a_job_that_a_server_starts_again_does_nothing(self, workdir: Path) -> None:
        record = submitted()
        record.files.exit_code.write_text("143\n")
        assert run(workdir, "touch ran", record).returncode == 75
        assert not (workdir / "ran").exists()

    def test_a_job_without_record_does_nothing(self, workdir: Path) -> None:
        record = submitted()
        record.forget()
        assert run(workdir, "touch ran", record).returncode == 75
        assert not (workdir / "ran").exists()
        assert record.files.read_exit_code() is None

    def test_of_an_earlier_job_with_the_same_id_is_not_taken(self, workdir: Path) -> None:
        earlier, now = (submitted(job_id="5") for _ in range(2))
        earlier.files.exit_code.write_text("0\n")
        assert now.files.read_exit_code() is None


class TestTorquesShell:
    """Torque's MOM: its shell reads the script's name, and 80 ms after its end everything is killed."""

    def start(self, workdir: Path, shell: str, record: Record) -> subprocess.Popen[bytes]:
        spooled = workdir / "5.SC"
        spooled.write_text(job_script(record, "python3 train.py", workdir))
        top = subprocess.Popen(
            [shell], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert top.stdin is not None
        top.stdin.write(f"{spooled}\n".encode())
        top.stdin.close()
        wait_until((workdir / "up").exists)
        return top

    def delete(self, top: subprocess.Popen[bytes], grace_s: float = 10) -> int:
        """TERM to all processes of the job; when the top one has died, KILL to what is left."""
        os.killpg(top.pid, signal.SIGTERM)
        code = top.wait(timeout=grace_s)
        time.sleep(0.08)
        try:
            os.killpg(top.pid, signal.SIGKILL)
        except ProcessLookupError:
            return code
        return code

    @pytest.fixture
    def record(self, workdir: Path) -> Record:
        (workdir / "train.py").write_text(TRAINING.format(last_code=1))
        return submitted()

    def test_a_training_that_is_deleted_saves(
        self, workdir: Path, record: Record, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "home", lambda: workdir.parent)
        shell = write_job_shell()
        assert shell is not None
        assert self.delete(self.start(workdir, shell, record)) == 143
        assert (workdir / "saved").exists()
        assert record.files.read_exit_code() == 143

    def test_one_under_the_shell_that_torque_would_start_does_not(
        self, workdir: Path, record: Record
    ) -> None:
        # What the test above is needed for: the name of the script is a command that /bin/sh reads.
        (workdir / "sh").write_text('#!/bin/sh\nread -r script\n/bin/sh "$script" < /dev/null\n')
        (workdir / "sh").chmod(0o755)
        assert self.delete(self.start(workdir, str(workdir / "sh"), record)) == -signal.SIGTERM
        assert not (workdir / "saved").exists()

    def test_its_path_is_one_that_qsub_takes(self, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # qsub -S reads SHELL@HOST,SHELL@HOST, and Slurm's wrapper breaks arguments at blanks.
        monkeypatch.setattr(Path, "home", lambda: workdir.parent)
        assert write_job_shell() == str(workdir.parent / records.FOLDER / "job_shell")
        (workdir.parent / "plain").mkdir()
        monkeypatch.chdir(workdir.parent / "plain")
        shell = write_job_shell()
        assert shell == str(workdir.parent / "plain" / records.FOLDER / "job_shell")
        assert Path(shell).stat().st_mode & stat.S_IXOTH

    def test_there_is_none_where_no_path_is(self, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Path, "home", lambda: workdir)
        assert write_job_shell() is None


class TestSurroundings:
    """What a job finds, where the server starts it with a bare environment."""

    @pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
    def test_results_are_readable_as_the_submitter_wants(self, workdir: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            text = job_script(submitted(), "touch submission.csv; mkdir results", workdir)
        finally:
            os.umask(before)
        # Both servers run jobs with 077, whatever the user's is.
        subprocess.run(["/bin/sh", "-c", text], umask=0o077, check=True, capture_output=True)
        assert stat.S_IMODE((workdir / "submission.csv").stat().st_mode) == 0o666 & ~umask
        assert stat.S_IMODE((workdir / "results").stat().st_mode) == 0o777 & ~umask

    @pytest.mark.parametrize(
        ("here", "there", "found"),
        [("echo here", None, "here"), ("echo here", "echo there", "there"), (None, None, "none")],
    )
    def test_programs_of_the_submitting_host_come_last(
        self,
        workdir: Path,
        monkeypatch: pytest.MonkeyPatch,
        here: str | None,
        there: str | None,
        found: str,
    ) -> None:
        for name, body in (("here", here), ("node's bin", there)):
            (workdir / name).mkdir()
            if body is not None:
                (workdir / name / "conda").write_text(f"#!/bin/sh\n{body}\n")
                (workdir / name / "conda").chmod(0o755)
        monkeypatch.setenv("PATH", f"{workdir}/here:{os.environ['PATH']}")
        text = job_script(submitted(), "(conda || echo none) > found 2> said", workdir)
        subprocess.run(
            ["/bin/sh", "-c", text],
            env={"PATH": f"{workdir}/node's bin:/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )
        assert (workdir / "found").read_text() == f"{found}\n"

    def test_the_environment_of_snakemake_is_known(
        self, workdir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        text = job_script(submitted(), 'echo "$PATH" > path', workdir)
        subprocess.run(["/bin/sh", "-c", text], env={"PATH": "/bin"}, check=True, capture_output=True)
        assert (workdir / "path").read_text().split(":")[1] == str(Path(sys.executable).parent)

    def test_a_job_runs_no_profile(self, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SNAKEMAKE_PROFILE", "pbs")
        run(workdir, 'echo "${SNAKEMAKE_PROFILE-none}" > profile')
        assert (workdir / "profile").read_text() == "none\n"

    @pytest.mark.parametrize(
        ("listed", "environment", "seen"),
        [
            ("node-12-gpu3\nnode-12-gpu1\n", {}, "1,3"),
            ("node12-gpu3\n", {"CUDA_VISIBLE_DEVICES": "0"}, "0"),  # what is set stays
            (None, {}, "unset"),  # nothing is made up
        ],
    )
    def test_devices_from_torques_file(
        self,
        workdir: Path,
        monkeypatch: pytest.MonkeyPatch,
        listed: str | None,
        environment: dict[str, str],
        seen: str,
    ) -> None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if listed is not None:
            (workdir / "gpus").write_text(listed)
            environment = environment | {"PBS_GPUFILE": str(workdir / "gpus")}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        run(workdir, 'echo "${CUDA_VISIBLE_DEVICES-unset}" > seen')
        assert (workdir / "seen").read_text().strip() == seen


def test_the_shell_is_written_anew_where_it_is_another_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = write_job_shell()
    assert shell is not None
    Path(shell).write_text("old")
    write_job_shell()
    assert Path(shell).read_text() == script._SHELL
