"""The scripts of profiles/pbs against recorded answers of Torque's, Slurm's and OpenPBS's commands."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pbs_records
import pbs_request
import pbs_server
import sidecar
import status
import submit
from pbs_records import ExternalId, JobFiles, Record
from pbs_request import Flavour, JobProperties, RequestError
from pbs_run import PID_VARIABLE, Run
from pbs_server import ServerError, ServerSilentError
from status import GRACE_S, Verdict

SCRIPTS = Path(__file__).parents[1] / "profiles" / "pbs"

TRAIN: dict[str, Any] = {
    "type": "single",
    "rule": "train",
    "output": ["results/models/nano/seed_42/best.pt"],
    "wildcards": {"model": "nano", "seed": "42"},
    "threads": 8,
    "resources": {"gpu": 1, "mem_mb": 48000, "runtime": 4320, "tmpdir": "<TBD>", "pbs_flavour": "auto"},
    "jobid": 7,
}

FakeCommand = Callable[[str, str], None]


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose name no shell leaves alone."""
    folder = tmp_path / "it's a $HOME; folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv(PID_VARIABLE, raising=False)
    return folder


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCommand:
    """Puts a command first in PATH, given as the body of a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    python = Path(sys.executable).parent  # as the profile sets it for the scripts
    monkeypatch.setenv("PATH", f"{folder}:{python}:{os.environ['PATH']}")

    def make(name: str, body: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def jobscript(**changes: Any) -> str:
    properties = TRAIN | changes
    return f"#!/bin/sh\n# properties = {json.dumps(properties)}\necho done && exit 0 || exit 1\n"


def properties(**resources: Any) -> JobProperties:
    return pbs_request.read_properties(jobscript(resources=TRAIN["resources"] | resources))


def arguments(flavour: Flavour, **resources: Any) -> str:
    return " ".join(pbs_request.qsub_arguments(properties(**resources), flavour, Path("logs/a.log")))


def submitted(workdir: Path, run: str = "run", job_id: str = "35.vm") -> tuple[Record, ExternalId]:
    """A job that was submitted, as submit.py leaves it."""
    uid = pbs_records.new_uid()
    record = Record(
        uid, run, "train-nano-42", properties().identity, f"logs/pbs/train/train-nano-42.{uid}.log"
    )
    pbs_records.FOLDER.mkdir(parents=True, exist_ok=True)
    record.write()
    record.files.script.touch()
    record.files.job_id.write_text(f"{job_id}\n", encoding="utf-8")
    return record, ExternalId(job_id, record.log)


class TestRequest:
    def test_torque_gets_one_resource_list(self) -> None:
        # Slurm's wrapper keeps only the last -l.
        asked = arguments(Flavour.TORQUE)
        assert "-l nodes=1:ppn=8:gpus=1,mem=48000mb,walltime=72:00:00" in asked
        assert asked.count("-l ") == 1
        assert "ngpus" not in asked

    def test_openpbs_gets_a_chunk_and_the_walltime_apart(self) -> None:
        asked = arguments(Flavour.OPENPBS)
        assert "-l select=1:ncpus=8:ngpus=1:mem=48000mb -l walltime=72:00:00" in asked
        # A job-wide mem or ncpus beside select is rejected, nodes= gets no GPU.
        assert ",mem" not in asked
        assert "nodes" not in asked

    @pytest.mark.parametrize("flavour", list(Flavour))
    def test_only_snakemake_starts_a_job_again(self, flavour: Flavour) -> None:
        assert "-r n" in arguments(flavour)

    @pytest.mark.parametrize("flavour", list(Flavour))
    def test_a_rule_without_gpu_asks_for_none(self, flavour: Flavour) -> None:
        assert "gpu" not in arguments(flavour, gpu=0)

    def test_a_runtime_of_minutes_becomes_hours(self) -> None:
        assert "walltime=02:05:00" in arguments(Flavour.TORQUE, runtime=125)

    @pytest.mark.parametrize(
        ("flavour", "node"), [(Flavour.TORQUE, "v100:bigmem"), (Flavour.OPENPBS, "gpu_model=a100")]
    )
    def test_what_a_site_wants(self, flavour: Flavour, node: str) -> None:
        extra = "-m n -W 'group_list=lens ing'"
        asked = pbs_request.qsub_arguments(
            properties(queue="long@big", account="my-project", pbs_node=node, pbs_extra=extra),
            flavour,
            Path("a.log"),
        )
        assert asked[asked.index("-q") + 1] == "long@big"
        assert asked[asked.index("-A") + 1] == "my-project"
        assert f":{node}" in asked[asked.index("-l") + 1]
        assert asked[-4:] == ["-m", "n", "-W", "group_list=lens ing"]

    @pytest.mark.parametrize("name", ["queue", "account", "pbs_node"])
    @pytest.mark.parametrize("value", ["a b", "x;rm", "$(x)", "it's"])
    def test_what_a_shell_would_read_is_refused(self, name: str, value: str) -> None:
        # Slurm's wrapper puts its arguments into a shell's command line without quotes.
        with pytest.raises(RequestError, match=name):
            arguments(Flavour.TORQUE, **{name: value})

    def test_a_resource_that_is_no_number_is_refused(self) -> None:
        with pytest.raises(RequestError, match=r"mem_mb.*'lots'"):
            arguments(Flavour.TORQUE, mem_mb="lots")

    def test_the_log_is_relative(self, workdir: Path) -> None:
        # An absolute path may hold a blank, which the wrapper splits, or a colon, which PBS takes for a host.
        record, _ = submitted(workdir)
        assert not Path(record.log).is_absolute()

    def test_a_script_without_properties_is_refused(self) -> None:
        with pytest.raises(RequestError, match="properties"):
            pbs_request.read_properties("#!/bin/sh\necho\n")

    def test_a_group_is_known_by_its_name(self) -> None:
        group = {
            "type": "group",
            "groupid": "scores",
            "jobid": "0123456789-abc",
            "output": None,
            "threads": 2,
        }
        script = f"# properties = {json.dumps(group | {'resources': {}})}\n"
        assert pbs_request.read_properties(script).label == ("scores", "01234567")


class TestNames:
    @pytest.mark.parametrize(
        ("label", "name"),
        [
            (("train", "nano", "42"), "train-nano-42"),
            (("predict_val", "nano", "42"), "predict-nano-42"),
            (("predict_test", "atto", "101", "challenge", "0"), "pr-at-101-cha-0"),
            (("submission",), "submission"),
            (("train", "my model/v2", "42"), "train-my_mod-42"),
        ],
    )
    def test_torque_keeps_fifteen_characters(self, label: tuple[str, ...], name: str) -> None:
        assert pbs_request.job_name(label, Flavour.TORQUE) == name
        assert len(name) <= 15

    def test_openpbs_keeps_all(self) -> None:
        label = ("predict_test", "nano", "404", "challenge", "0")
        assert pbs_request.job_name(label, Flavour.OPENPBS) == "predict_test-nano-404-challenge-0"

    def test_numbers_that_are_too_long_are_cut(self) -> None:
        assert len(pbs_request.job_name(("r", "1" * 20), Flavour.TORQUE)) == 15


class TestFlavour:
    @pytest.mark.parametrize(
        ("answer", "flavour"),
        [
            ("echo 'pbs_version = 23.06.06'", Flavour.OPENPBS),
            ("echo 'Version: 6.1.3' >&2; echo 'Commit: x' >&2", Flavour.TORQUE),
            ("echo 'Unknown option: version' >&2; exit 2", Flavour.TORQUE),
        ],
    )
    def test_detected(self, fake: FakeCommand, answer: str, flavour: Flavour) -> None:
        fake("qstat", f'[ "$1" = --version ] && {{ {answer}; }}')
        assert pbs_server.detect_flavour() is flavour

    def test_a_setting_wins(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qstat", "echo 'pbs_version = 23.06.06'")
        fake("qsub", f'echo "$@" > {workdir.parent}/asked; echo 5')
        submit.submit(jobscript(resources=TRAIN["resources"] | {"pbs_flavour": "torque"}))
        assert "nodes=1:ppn=8:gpus=1" in (workdir.parent / "asked").read_text()

    def test_an_unknown_setting_is_refused(self, workdir: Path) -> None:
        with pytest.raises(RequestError, match="'slurm'"):
            submit.submit(jobscript(resources={"pbs_flavour": "slurm"}))

    def test_no_qstat_here(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ServerError, match="submit host"):
            pbs_server.detect_flavour()


# Recorded from OpenPBS 23.06.
FINISHED = (
    "echo 'qstat: 35.vm Job has finished, use -x or -H to obtain historical job information' >&2; exit 35"
)
UNKNOWN = "echo 'qstat: Unknown Job Id 35.vm' >&2; exit 153"


class TestAnswers:
    """`judge` for a job that left no exit code."""

    @pytest.fixture
    def job(self, workdir: Path) -> ExternalId:
        return submitted(workdir)[1]

    def judge(self, fake: FakeCommand, job: ExternalId, plain: str, history: str = "exit 2") -> list[str]:
        """The verdicts now, and when the grace time is over."""
        fake("qstat", f'if [ "$1" = -x ]; then {history}; else {plain}; fi')
        now = time.time()
        return [status.judge(job, moment)[0].value for moment in (now, now + GRACE_S + 1)]

    @pytest.mark.parametrize("state", ["Q", "H", "W", "R", "S", "T"])
    def test_alive(self, fake: FakeCommand, job: ExternalId, state: str) -> None:
        assert self.judge(fake, job, f"echo '    job_state = {state}'") == ["running", "running"]

    def test_openpbs_exiting_is_not_ended(self, fake: FakeCommand, job: ExternalId) -> None:
        exiting = "echo '    job_state = E'; echo '    Exit_status = 3'"
        assert self.judge(fake, job, exiting) == ["running", "running"]

    @pytest.mark.parametrize(
        ("exit_status", "said"),
        [
            (3, "exit status 3"),
            (-29, "walltime"),
            (271, "SIGTERM"),  # qdel while running, and walltime on older releases
            (143, "SIGTERM"),  # qdel while running
            (265, "SIGKILL"),  # qdel -W force
        ],
        ids=["exit-3", "walltime", "qdel-or-old-walltime", "qdel", "qdel-force"],
    )
    def test_openpbs_ended(self, fake: FakeCommand, job: ExternalId, exit_status: int, said: str) -> None:
        history = f"echo '    job_state = F'; echo '    Exit_status = {exit_status}'"
        assert self.judge(fake, job, FINISHED, history) == ["failed", "failed"]
        assert said in status.judge(job, time.time())[1]

    def test_openpbs_deleted_before_it_started(self, fake: FakeCommand, job: ExternalId) -> None:
        assert self.judge(fake, job, FINISHED, "echo '    job_state = F'") == ["running", "failed"]

    def test_openpbs_ended_well_and_its_code_was_lost(self, fake: FakeCommand, job: ExternalId) -> None:
        history = "echo '    job_state = F'; echo '    Exit_status = 0'"
        assert self.judge(fake, job, FINISHED, history) == ["running", "success"]

    def test_openpbs_history_is_off(self, fake: FakeCommand, job: ExternalId) -> None:
        assert self.judge(fake, job, FINISHED, "exit 0") == ["running", "failed"]

    def test_openpbs_server_is_down(self, fake: FakeCommand, job: ExternalId) -> None:
        down = "echo 'qstat: cannot connect to server vm (errno=15010)' >&2; exit 255"
        assert self.judge(fake, job, down) == ["running", "running"]

    def test_openpbs_server_is_down_between_two_questions(self, fake: FakeCommand, job: ExternalId) -> None:
        assert self.judge(fake, job, FINISHED, "exit 255") == ["running", "running"]

    def test_unknown_job(self, fake: FakeCommand, job: ExternalId) -> None:
        assert self.judge(fake, job, UNKNOWN) == ["running", "failed"]

    def test_slurms_wrapper_has_no_exit_status(self, fake: FakeCommand, job: ExternalId) -> None:
        assert self.judge(fake, job, "printf 'Job Id:\\t5\\n\\tjob_state = C\\n'") == ["running", "failed"]

    @pytest.mark.parametrize(("code", "verdict"), [(0, "success"), (1, "failed"), (271, "failed")])
    def test_torque_ended(self, fake: FakeCommand, job: ExternalId, code: int, verdict: str) -> None:
        answer = f"echo '    job_state = C'; echo '    exit_status = {code}'"
        assert self.judge(fake, job, answer)[1] == verdict

    def test_no_answer_in_time(
        self, fake: FakeCommand, job: ExternalId, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pbs_server, "QSTAT_TIMEOUT_S", 0.1)
        assert self.judge(fake, job, "exec sleep 10") == ["running", "running"]

    def test_the_grace_time_starts_anew_after_a_sign_of_life(
        self, fake: FakeCommand, job: ExternalId
    ) -> None:
        now = time.time()
        for answer, moment in [(UNKNOWN, 0), ("echo ' job_state = R'", 20), (UNKNOWN, GRACE_S + 5)]:
            fake("qstat", answer)
            assert status.judge(job, now + moment)[0] is Verdict.RUNNING

    @pytest.mark.parametrize("n_jobs", [1, 49, 51, 75, 100])
    def test_one_of_a_hundred_that_vanished_is_noticed_within_a_minute(
        self, fake: FakeCommand, job: ExternalId, n_jobs: int
    ) -> None:
        # It dies when it has just been asked for. Questions come one after another, then the profile's pause.
        round_s = n_jobs * 0.2 + 10
        fake("qstat", UNKNOWN)
        moments = [round_s * number for number in range(1, 7)]
        verdicts = [status.judge(job, moment)[0] for moment in moments]
        assert moments[verdicts.index(Verdict.FAILED)] <= 60

    def test_a_silent_server_does_not_count_as_missing(self, fake: FakeCommand, job: ExternalId) -> None:
        fake("qstat", "exit 255")
        now = time.time()
        assert status.judge(job, now)[0] is Verdict.RUNNING
        fake("qstat", UNKNOWN)
        assert status.judge(job, now + GRACE_S + 1)[0] is Verdict.RUNNING

    def test_silence_is_said_once(self, fake: FakeCommand, job: ExternalId) -> None:
        fake("qstat", "echo gone fishing >&2; exit 255")
        now = time.time()
        assert "gone fishing" in status.judge(job, now)[1]
        assert status.judge(job, now + 10) == (Verdict.RUNNING, "")


class TestExitCode:
    def test_is_believed_before_the_server(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qstat", UNKNOWN)
        for code, verdict in [(0, Verdict.SUCCESS), (1, Verdict.FAILED)]:
            record, job = submitted(workdir)
            record.files.exit_code.write_text(f"{code}\n")
            assert status.judge(job, time.time())[0] is verdict

    def test_of_an_earlier_job_with_the_same_id_is_not_taken(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qstat", "echo '    job_state = R'")
        earlier, _ = submitted(workdir, job_id="5")
        earlier.files.exit_code.write_text("0\n")
        _, job = submitted(workdir, job_id="5")
        assert status.judge(job, time.time())[0] is Verdict.RUNNING

    @pytest.mark.parametrize(
        ("command", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$; kill -9 0", None)]
    )
    def test_is_left_by_the_job(self, workdir: Path, command: str, code: int | None) -> None:
        record, _ = submitted(workdir)
        script = submit.job_script(record, f"#!/bin/sh\n{command}\n", workdir)
        ended = subprocess.run(["sh", "-c", script], cwd="/", check=False, start_new_session=True)
        assert record.files.read_exit_code() == code
        assert ended.returncode == (code if code is not None else -9)

    @pytest.mark.parametrize(("last_code", "code"), [(1, 143), (0, 0)])
    def test_is_left_when_a_job_that_is_asked_to_end_has_saved(
        self, workdir: Path, last_code: int, code: int
    ) -> None:
        # Every process gets the signal, as servers send it; a shell between dies of it at once.
        (workdir / "train.py").write_text(
            "import signal, sys, time\nfrom pathlib import Path\n"
            "def save(number, frame):\n"
            f"    time.sleep(0.5); Path('saved').touch(); sys.exit({last_code})\n"
            "signal.signal(signal.SIGTERM, save); Path('up').touch(); time.sleep(60)\n"
        )
        record, _ = submitted(workdir)
        shell = "" if last_code == 0 else "bash -c 'python3 train.py; true'"
        script = submit.job_script(record, shell or "python3 train.py", workdir)
        job = subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.DEVNULL)
        wait_until((workdir / "up").exists)
        os.killpg(job.pid, 15)
        wait_until(lambda: record.files.read_exit_code() is not None)
        assert (workdir / "saved").exists()
        assert record.files.read_exit_code() == code
        assert job.wait(timeout=10) == code

    def test_a_job_that_a_server_starts_again_does_nothing(self, workdir: Path) -> None:
        record, _ = submitted(workdir)
        record.files.exit_code.write_text("143\n")
        script = submit.job_script(record, "touch ran", workdir)
        assert subprocess.run(["sh", "-c", script], check=False, capture_output=True).returncode == 75
        assert not (workdir / "ran").exists()

    def test_a_job_without_record_does_nothing(self, workdir: Path) -> None:
        record, _ = submitted(workdir)
        record.forget()
        script = submit.job_script(record, "touch ran", workdir)
        assert subprocess.run(["sh", "-c", script], check=False, capture_output=True).returncode == 75
        assert not (workdir / "ran").exists()
        assert record.files.read_exit_code() is None


class TestPrograms:
    """What a job finds, where the server starts it with a bare environment."""

    @pytest.mark.parametrize(
        ("here", "there", "found"),
        [("echo here", None, "here"), ("echo here", "echo there", "there"), (None, None, "none")],
    )
    def test_those_of_the_submitting_host_come_last(
        self, workdir: Path, fake: FakeCommand, here: str | None, there: str | None, found: str
    ) -> None:
        node = workdir / "node's bin"
        node.mkdir()
        for body, conda in ((here, workdir.parent / "bin" / "conda"), (there, node / "conda")):
            if body is not None:
                conda.write_text(f"#!/bin/sh\n{body}\n")
                conda.chmod(0o755)
        record, _ = submitted(workdir)
        script = submit.job_script(record, "(conda || echo none) > found 2> said", workdir)
        subprocess.run(
            ["/bin/sh", "-c", script],
            env={"PATH": f"{node}:/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )
        assert (workdir / "found").read_text() == f"{found}\n"


class TestDevices:
    """CUDA_VISIBLE_DEVICES in a job, from Torque's file."""

    def run(self, workdir: Path, environment: dict[str, str]) -> str:
        record, _ = submitted(workdir)
        script = submit.job_script(record, 'echo "${CUDA_VISIBLE_DEVICES-unset}" > seen', workdir)
        clean = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        subprocess.run(["sh", "-c", script], env=clean | environment, check=True, capture_output=True)
        return (workdir / "seen").read_text().strip()

    def test_from_the_file(self, workdir: Path) -> None:
        gpu_file = workdir / "gpus"
        gpu_file.write_text("node-12-gpu3\nnode-12-gpu1\n")
        assert self.run(workdir, {"PBS_GPUFILE": str(gpu_file)}) == "1,3"

    def test_what_is_set_stays(self, workdir: Path) -> None:
        gpu_file = workdir / "gpus"
        gpu_file.write_text("node12-gpu3\n")
        assert self.run(workdir, {"PBS_GPUFILE": str(gpu_file), "CUDA_VISIBLE_DEVICES": "0"}) == "0"

    def test_nothing_is_made_up(self, workdir: Path) -> None:
        assert self.run(workdir, {}) == "unset"


class TestSubmit:
    @pytest.fixture(autouse=True)
    def server(self, fake: FakeCommand, monkeypatch: pytest.MonkeyPatch) -> None:
        fake("qstat", UNKNOWN)
        monkeypatch.setattr(submit, "SILENT_WAIT_S", 0)

    def test_says_id_and_log(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qsub", "echo 35.vm")
        job = ExternalId.parse(submit.submit(jobscript()))
        assert job.job_id == "35.vm"
        assert job.log.startswith("logs/pbs/train/train-nano-42.")
        assert (workdir / job.log).parent.is_dir()
        assert JobFiles(job.uid).read_job_id() == "35.vm"

    def test_the_id_stands_below_a_greeting(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qsub", "echo 'Welcome to the cluster, project 7'; echo; echo 35.vm")
        assert submit.submit(jobscript()).startswith("35.vm ")

    def test_nothing_that_reaches_a_shell_has_a_blank(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qsub", f"for i; do echo \"$i\"; done > '{workdir.parent}/asked'; echo 5")
        submit.submit(jobscript(wildcards={"model": "my model; x", "seed": "42"}))
        asked = (workdir.parent / "asked").read_text().splitlines()
        assert not any(set(argument) & set(" ;'$") for argument in asked)

    @pytest.mark.parametrize(
        "answer", ["echo 'qsub: Unknown queue' >&2; exit 1", "echo 'There was an error'"]
    )
    def test_a_refusal_is_an_error(self, workdir: Path, fake: FakeCommand, answer: str) -> None:
        fake("qsub", f"echo x >> '{workdir.parent}/calls'; {answer}")
        with pytest.raises(ServerError, match=r"Unknown queue|There was an error"):
            submit.submit(jobscript())
        assert (workdir.parent / "calls").read_text().count("x") == 1
        assert pbs_records.read_records() == []

    def test_a_silent_server_is_asked_again(self, workdir: Path, fake: FakeCommand) -> None:
        calls = workdir.parent / "calls"
        down = "echo 'qsub: cannot connect to server vm (errno=111) Connection refused' >&2; exit 1"
        fake("qsub", f"echo x >> '{calls}'; [ $(wc -l < '{calls}') -gt 2 ] && echo 9 && exit 0; {down}")
        assert submit.submit(jobscript()).startswith("9 ")
        # Of what the server may have taken and not confirmed, nothing is wanted.
        assert len(pbs_records.read_records()) == 1

    def test_a_silent_server_is_an_error_in_the_end(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qsub", "echo 'Unable to contact slurm controller' >&2; exit 1")
        with pytest.raises(ServerSilentError):
            submit.submit(jobscript())

    def test_a_leftover_of_a_run_that_died_is_deleted(self, workdir: Path, fake: FakeCommand) -> None:
        leftover, _ = submitted(workdir, run="dead", job_id="4.vm")
        deleted = workdir.parent / "deleted"
        fake("qdel", f"echo \"$@\" > '{deleted}'")
        fake("qstat", f"[ -e '{deleted}' ] && {{ {UNKNOWN}; }}; echo ' job_state = R'")
        fake("qsub", "echo 5.vm")
        submit.submit(jobscript(resources=TRAIN["resources"] | {"pbs_flavour": "torque"}))
        assert deleted.read_text() == "4.vm\n"
        assert leftover not in pbs_records.read_records()

    @pytest.mark.parametrize("mine", [True, False])
    def test_the_job_of_another_run_that_is_alive_is_left_alone(
        self, workdir: Path, fake: FakeCommand, monkeypatch: pytest.MonkeyPatch, mine: bool
    ) -> None:
        fake("qsub", f"touch '{workdir.parent}/submitted'; echo 5.vm")
        fake("qdel", f"touch '{workdir.parent}/deleted'")
        fake("qstat", f"[ -e '{workdir.parent}/deleted' ] && {{ {UNKNOWN}; }}; echo ' job_state = R'")
        here, other = Run.of(os.getpid()), Run.of(os.getppid())
        assert here is not None
        assert other is not None
        monkeypatch.setattr(Run, "current", lambda: here)
        monkeypatch.setattr(sidecar, "start", lambda run: None)
        record, _ = submitted(workdir, run=(here if mine else other).name)
        if mine:
            submit.submit(jobscript())
        else:
            with pytest.raises(ServerError, match=rf"process {other.pid}, waits for the same job \(35.vm\)"):
                submit.submit(jobscript())
        assert (workdir.parent / "deleted").exists() == (workdir.parent / "submitted").exists() == mine
        assert (record in pbs_records.read_records()) != mine

    def test_nothing_is_submitted_beside_a_leftover_that_cannot_be_deleted(
        self, workdir: Path, fake: FakeCommand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(submit, "END_TIMEOUT_S", 0)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        leftover, _ = submitted(workdir, run="dead")
        fake("qstat", "echo ' job_state = R'")
        fake("qdel", "exit 1")
        fake("qsub", f"touch '{workdir.parent}/submitted'; echo 5.vm")
        with pytest.raises(ServerError, match=r"35\.vm, train-nano-42, of an earlier try"):
            submit.submit(jobscript())
        assert not (workdir.parent / "submitted").exists()
        assert leftover in pbs_records.read_records()  # the next try sees it too

    def test_a_silent_server_is_asked_again_about_a_leftover(self, workdir: Path, fake: FakeCommand) -> None:
        calls = workdir.parent / "calls"
        leftover, _ = submitted(workdir, run="dead")
        fake("qsub", "echo 5.vm")
        fake("qstat", f"echo x >> '{calls}'; [ $(wc -l < '{calls}') -lt 3 ] && exit 255; {UNKNOWN}")
        flavour = TRAIN["resources"] | {"pbs_flavour": "torque"}
        assert submit.submit(jobscript(resources=flavour)).startswith("5.vm ")
        assert leftover not in pbs_records.read_records()

    def test_a_silent_server_hides_a_leftover(self, workdir: Path, fake: FakeCommand) -> None:
        leftover, _ = submitted(workdir, run="dead")
        fake("qsub", f"touch '{workdir.parent}/submitted'; echo 5.vm")
        fake("qstat", "exit 255")
        flavour = TRAIN["resources"] | {"pbs_flavour": "torque"}
        with pytest.raises(ServerSilentError, match=rf"remove .*{leftover.uid}\.json"):
            submit.submit(jobscript(resources=flavour))
        assert not (workdir.parent / "submitted").exists()

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"uid": "1", "colour": "red"}', "\N{LATIN SMALL LETTER E WITH ACUTE}"]
    )
    def test_a_record_that_cannot_be_read_is_passed_over(
        self, workdir: Path, fake: FakeCommand, capsys: pytest.CaptureFixture[str], text: str
    ) -> None:
        fake("qsub", "echo 5.vm")
        pbs_records.FOLDER.mkdir(parents=True)
        (pbs_records.FOLDER / "odd.json").write_text(text, encoding="latin-1")
        assert submit.submit(jobscript()).startswith("5.vm ")
        assert "odd.json: expected the record of a job" in capsys.readouterr().err

    def test_other_jobs_are_left_alone(self, workdir: Path, fake: FakeCommand) -> None:
        other, _ = submitted(workdir)
        fake("qdel", f"touch '{workdir.parent}/deleted'")
        fake("qsub", "echo 5.vm")
        submit.submit(jobscript(wildcards={"model": "nano", "seed": "43"}, output=["43.pt"]))
        assert not (workdir.parent / "deleted").exists()
        assert other in pbs_records.read_records()

    def test_as_snakemake_calls_it(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qsub", "echo 35.vm")
        (workdir / "job.sh").write_text(jobscript())
        called = subprocess.run([SCRIPTS / "submit.py", "job.sh"], capture_output=True, text=True, check=True)
        assert called.stdout.startswith("35.vm logs/pbs/train/")
        assert called.stdout.count("\n") == 1

    def test_a_refusal_as_snakemake_sees_it(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qsub", "echo 'qsub: Unknown queue' >&2; exit 1")
        (workdir / "job.sh").write_text(jobscript())
        called = subprocess.run(
            [SCRIPTS / "submit.py", "job.sh"], capture_output=True, text=True, check=False
        )
        assert called.returncode == 1
        assert "Unknown queue" in called.stderr
        assert called.stdout == ""

    def test_killed_while_qsub_runs(self, workdir: Path, fake: FakeCommand) -> None:
        # Snakemake kills submit.py a quarter of a second after Ctrl-C; the job's id must not be lost.
        started = workdir.parent / "started"
        fake("qsub", f"touch '{started}'; sleep 0.5; echo 35.vm")
        (workdir / "job.sh").write_text(jobscript())
        with subprocess.Popen([SCRIPTS / "submit.py", "job.sh"]) as submitting:
            wait_until(started.exists)
            submitting.kill()
        (record,) = pbs_records.read_records()
        assert record.files.read_job_id() == ""
        wait_until(lambda: record.files.read_job_id() != "")
        assert record.files.read_job_id() == "35.vm"


class TestStatusAndCancel:
    def test_status_as_snakemake_calls_it(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qstat", "exit 255")
        record, job = submitted(workdir)
        record.files.exit_code.write_text("1\n")
        called = subprocess.run([SCRIPTS / "status.py", str(job)], capture_output=True, text=True, check=True)
        assert called.stdout == "failed\n"
        for part in ("35.vm", "exit code 1", record.log):
            assert part in called.stderr

    @pytest.mark.parametrize("trouble", ["half a doubt", "an empty doubt", "an unreadable exit code"])
    def test_what_cannot_be_read_is_no_end_of_the_run(
        self, workdir: Path, fake: FakeCommand, trouble: str
    ) -> None:
        # Any other exit code than 0 makes Snakemake end, and with it all jobs.
        fake("qstat", UNKNOWN)
        record, job = submitted(workdir)
        if trouble == "an unreadable exit code":
            record.files.exit_code.mkdir()
        else:
            record.files.doubt.write_text("missing " if trouble == "half a doubt" else "")
        called = subprocess.run([SCRIPTS / "status.py", str(job)], capture_output=True, text=True, check=True)
        assert called.stdout == "running\n"
        assert ("cannot be looked at now" in called.stderr) == (trouble != "an empty doubt")

    def test_an_empty_doubt_starts_the_grace_time_anew(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qstat", UNKNOWN)
        record, job = submitted(workdir)
        record.files.doubt.write_text("")
        now = time.time()
        verdicts = [status.judge(job, moment)[0] for moment in (now, now + GRACE_S + 1)]
        assert verdicts == [Verdict.RUNNING, Verdict.FAILED]

    def test_cancel_as_snakemake_calls_it(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qdel", f"echo \"$@\" > '{workdir.parent}/deleted'; exit 1")
        jobs = [str(submitted(workdir, job_id=job_id)[1]) for job_id in ("1.vm", "2.vm")]
        assert subprocess.run([SCRIPTS / "cancel.py", *jobs], check=False).returncode == 0
        assert (workdir.parent / "deleted").read_text() == "1.vm 2.vm\n"


class TestRun:
    def test_a_process_is_known_again(self) -> None:
        run = Run.of(os.getpid())
        assert run is not None
        assert run.is_alive()
        assert not Run(run.pid, "another start").is_alive()
        assert Run.named(run.name) == run

    @pytest.mark.parametrize("name", ["", "dead", "another_host_5_7"])
    def test_what_is_not_of_this_host_is_not_known(self, name: str) -> None:
        assert Run.named(name) is None

    def test_a_process_that_nobody_has_waited_for_has_ended(self) -> None:
        process = subprocess.Popen(["sleep", "60"])
        run = Run.of(process.pid)
        assert run is not None
        process.kill()
        wait_until(lambda: not run.is_alive())
        assert Run.of(process.pid) is None
        process.wait()
        assert Run.of(process.pid) is None

    @pytest.mark.parametrize("pid", ["", "none"])
    def test_unknown(self, monkeypatch: pytest.MonkeyPatch, pid: str) -> None:
        monkeypatch.setenv(PID_VARIABLE, pid)
        assert Run.current() is None


class TestSidecar:
    def test_deletes_what_goes_on(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qdel", f"echo \"$@\" > '{workdir.parent}/deleted'")
        running, _ = submitted(workdir, job_id="1.vm")
        ended, _ = submitted(workdir, job_id="2.vm")
        ended.files.exit_code.write_text("0\n")
        other, _ = submitted(workdir, run="other", job_id="3.vm")
        assert sidecar.cancel_run("run") == [running]
        assert (workdir.parent / "deleted").read_text() == "1.vm\n"
        assert {record.uid for record in pbs_records.read_records()} == {ended.uid, other.uid}

    def test_waits_for_a_submission_on_its_way(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qdel", f"echo \"$@\" > '{workdir.parent}/deleted'")
        record, _ = submitted(workdir)
        record.files.job_id.write_text("")
        with subprocess.Popen(["sh", "-c", f"sleep 0.5; echo 7.vm > {record.files.job_id}"]):
            sidecar.cancel_run("run")
        assert (workdir.parent / "deleted").read_text() == "7.vm\n"

    def test_a_job_that_a_silent_server_keeps_is_not_wanted(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qdel", "exit 255")
        record, _ = submitted(workdir)
        sidecar.cancel_run("run")
        assert record not in pbs_records.read_records()

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
    def test_beside_snakemake(
        self, workdir: Path, fake: FakeCommand, end: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deleted = workdir.parent / "deleted"
        fake("qstat", UNKNOWN)
        fake("qsub", "echo $$.vm")
        fake("qdel", f"echo \"$@\" > '{deleted}'")
        # Started in the background, tests and all they start ignore SIGINT.
        with subprocess.Popen(["env", "--default-signal=INT", "sleep", "60"]) as snakemake:
            monkeypatch.setenv(PID_VARIABLE, str(snakemake.pid))
            for seed in ("42", "43"):
                script = jobscript(wildcards={"model": "nano", "seed": seed}, output=[seed])
                (workdir / "job.sh").write_text(script)
                subprocess.run(
                    [SCRIPTS / "submit.py", "job.sh"], check=True, stdout=subprocess.PIPE, timeout=30
                )
            assert len(list(pbs_records.FOLDER.glob("*.sidecar"))) == 1
            job_ids = {record.files.read_job_id() for record in pbs_records.read_records()}
            time.sleep(2 * sidecar.LOOK_S)
            assert not deleted.exists()
            snakemake.send_signal(end)
        wait_until(lambda: not list(pbs_records.FOLDER.glob("*.sidecar")))
        assert set(deleted.read_text().split()) == job_ids
        assert pbs_records.read_records() == []

    def test_of_a_run_that_ended_while_it_started(self, workdir: Path, fake: FakeCommand) -> None:
        fake("qdel", f"echo \"$@\" > '{workdir.parent}/deleted'")
        with subprocess.Popen(["sleep", "60"]) as snakemake:
            run = Run.of(snakemake.pid)
            assert run is not None
            snakemake.kill()
        submitted(workdir, run=run.name)
        subprocess.run([sys.executable, SCRIPTS / "sidecar.py", str(run.pid), run.started], check=True)
        assert (workdir.parent / "deleted").read_text() == "35.vm\n"

    def test_a_job_is_deleted_whose_run_ended_while_it_was_submitted(
        self, workdir: Path, fake: FakeCommand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake("qstat", UNKNOWN)
        fake("qdel", f"echo \"$@\" > '{workdir.parent}/deleted'")
        with subprocess.Popen(["sleep", "60"]) as snakemake:
            fake("qsub", f"kill -9 {snakemake.pid}; sleep 0.2; echo 35.vm")
            run = Run.of(snakemake.pid)
            monkeypatch.setattr(Run, "current", lambda: run)
            monkeypatch.setattr(sidecar, "start", lambda run: None)
            with pytest.raises(ServerError, match="Snakemake has ended"):
                submit.submit(jobscript())
        assert (workdir.parent / "deleted").read_text() == "35.vm\n"
        assert pbs_records.read_records() == []

    def test_nothing_is_submitted_for_a_run_that_has_ended(
        self, workdir: Path, fake: FakeCommand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake("qstat", UNKNOWN)
        fake("qsub", f"touch '{workdir.parent}/submitted'; echo 1.vm")
        gone = Run(os.getpid(), "before")
        monkeypatch.setattr(Run, "current", lambda: gone)
        monkeypatch.setattr(sidecar, "start", lambda run: None)
        with pytest.raises(ServerError, match="Snakemake has ended"):
            submit.submit(jobscript())
        assert not (workdir.parent / "submitted").exists()

    @pytest.mark.parametrize(
        ("ended", "wanted", "kept_s"),
        [
            (True, True, pbs_records.KEPT_S),
            (False, False, pbs_records.KEPT_S),  # it was deleted, or has vanished
            (False, True, pbs_records.LOST_S),  # it may still run, or wait
        ],
    )
    def test_old_files_go(self, workdir: Path, ended: bool, wanted: bool, kept_s: int) -> None:
        now = time.time()
        old, recent = (submitted(workdir)[0] for _ in range(2))
        for record, age_s in ((old, kept_s + 10), (recent, kept_s - 10)):
            if ended:
                record.files.exit_code.write_text("0\n")
            if not wanted:
                record.forget()
            os.utime(record.files.exit_code if ended else record.files.script, 2 * (now - age_s,))
        pbs_records.prune(now)
        assert not list(pbs_records.FOLDER.glob(f"{old.uid}.*"))
        assert recent.files.script.exists()
        assert recent.files.record.exists() == wanted

    @pytest.mark.parametrize(
        ("answer", "verdict"),
        [
            (UNKNOWN, "failed"),
            ("echo ' job_state = C'; echo ' exit_status = 271'", "failed"),
            ("echo ' job_state = C'; echo ' exit_status = 0'", "success"),
        ],
    )
    def test_what_was_judged_without_a_code_is_not_deleted(
        self, workdir: Path, fake: FakeCommand, answer: str, verdict: str
    ) -> None:
        # Its id may be that of another job when the run ends, and nothing was deleted that had ended.
        fake("qstat", answer)
        fake("qdel", f"touch '{workdir.parent}/deleted'")
        _, job = submitted(workdir)
        now = time.time()
        verdicts = [status.judge(job, moment)[0].value for moment in (now, now + GRACE_S + 1)]
        assert verdicts[-1] == verdict
        assert sidecar.cancel_run("run") == []
        assert not (workdir.parent / "deleted").exists()
