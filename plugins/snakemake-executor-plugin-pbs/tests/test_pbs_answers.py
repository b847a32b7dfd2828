"""What answers of Torque's, OpenPBS's and Slurm's commands mean for a job."""

import time
from pathlib import Path

import pytest
from pbs_jobs import UNKNOWN, Commands, recorded_refusal, submitted

from snakemake_executor_plugin_pbs import server
from snakemake_executor_plugin_pbs.judging import GRACE_S, Cause, Judgement, Tracked, Verdict, explain, judge
from snakemake_executor_plugin_pbs.request import Flavour
from snakemake_executor_plugin_pbs.server import Seen, ServerError, ServerFullError, ServerSilentError

pytestmark = pytest.mark.usefixtures("workdir")

STUCK_S = 3600
FINISHED = (
    "echo 'qstat: 35.vm Job has finished, use -x or -H to obtain historical job information' >&2; exit 35"
)


def judgements(
    *moments: float,
    job: Tracked | None = None,
    code: int | None = None,
    flavour: Flavour = Flavour.OPENPBS,
    log: str = "",
) -> list[Judgement]:
    """What is judged about a job at moments, in seconds from now; `qstat` is asked each time."""
    job = job or Tracked(submitted(), "35.vm")
    Path(job.record.log).parent.mkdir(parents=True, exist_ok=True)
    Path(job.record.log).write_text(log)
    now = time.time()
    return [
        judge(job, code, server.ask([job.job_id])[job.job_id], flavour, now + moment, STUCK_S)
        for moment in moments
    ]


def verdicts(commands: Commands, plain: str, history: str = "exit 2") -> list[str]:
    """The verdicts now, and when the grace time is over, about a job that left no exit code."""
    commands.make("qstat", f'if [ "$1" = -x ]; then {history}; else {plain}; fi')
    return [judgement.verdict.name for judgement in judgements(0, GRACE_S + 1)]


class TestFlavour:
    @pytest.mark.parametrize(
        ("answer", "flavour"),
        [
            ("echo 'pbs_version = 23.06.06'", Flavour.OPENPBS),
            ("echo 'Version: master' >&2; echo 'Commit: x' >&2", Flavour.TORQUE),
            ("echo 'Unknown option: version' >&2; exit 2", Flavour.TORQUE),
        ],
    )
    def test_detected(self, commands: Commands, answer: str, flavour: Flavour) -> None:
        commands.make("qstat", f'[ "$1" = --version ] && {{ {answer}; }}')
        assert server.detect_flavour() is flavour

    def test_no_qstat_here(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ServerError, match="submit host"):
            server.detect_flavour()


class TestRecorded:
    """Each state of a job on a real server: what is seen, and the cause and the words of a failure."""

    @pytest.mark.parametrize(
        ("state", "seen", "exit_status", "cause", "words"),
        [
            ("can_never_run", Seen.WAITING, None, None, "mem (R: 500gb A: 400gb T: 400gb); change mem_mb"),
            ("held", Seen.WAITING, None, None, "Job held by astro"),
            ("queued", Seen.WAITING, None, None, ""),
            ("running", Seen.RUNNING, None, None, ""),
            ("exiting_with_status", Seen.RUNNING, None, None, ""),
            ("deleted_while_running", Seen.RUNNING, None, None, ""),
            ("finished_ok", Seen.ENDED, 0, None, ""),
            ("deleted_while_queued", Seen.ENDED, None, Cause.UNKNOWN, "deleted"),
            ("deleted_while_running_ended", Seen.ENDED, 271, Cause.WALLTIME, "SIGTERM, deleted"),
            ("force_deleted", Seen.RUNNING, None, None, ""),
            ("killed9", Seen.ENDED, 265, Cause.UNKNOWN, "SIGKILL"),
            ("killed9_later", Seen.ENDED, 265, Cause.UNKNOWN, "SIGKILL"),
            ("node_lost", Seen.ENDED, -20, Cause.STEP, "its node was lost"),
            ("over_memory", Seen.ENDED, -27, Cause.MEMORY, "over its memory"),
            ("over_walltime", Seen.ENDED, -29, Cause.WALLTIME, "over its walltime"),
            ("nohistory_deleted_running", Seen.GONE, None, Cause.UNKNOWN, "deleted"),
            ("nohistory_force_deleted", Seen.GONE, None, Cause.UNKNOWN, "deleted"),
        ],
    )
    def test_openpbs(
        self,
        commands: Commands,
        state: str,
        seen: Seen,
        exit_status: int | None,
        cause: Cause | None,
        words: str,
    ) -> None:
        self.check(commands, Flavour.OPENPBS, state, seen, exit_status, cause, words)

    @pytest.mark.parametrize(
        ("state", "seen", "exit_status", "cause", "words"),
        [
            ("deleted_just_started", Seen.ENDED, 271, Cause.WALLTIME, "SIGTERM, deleted"),
            ("deleted_running2", Seen.ENDED, 271, Cause.WALLTIME, "SIGTERM, deleted"),
            ("deleted_queued", Seen.ENDED, None, Cause.UNKNOWN, "deleted"),
            ("queued", Seen.RUNNING, None, None, ""),  # it had started when it was asked for
            ("running", Seen.ENDED, 0, None, ""),  # it had ended
            ("unknown", Seen.GONE, None, Cause.UNKNOWN, "deleted"),
        ],
    )
    def test_torque(
        self,
        commands: Commands,
        state: str,
        seen: Seen,
        exit_status: int | None,
        cause: Cause | None,
        words: str,
    ) -> None:
        self.check(commands, Flavour.TORQUE, state, seen, exit_status, cause, words)

    @staticmethod
    def check(
        commands: Commands,
        flavour: Flavour,
        state: str,
        seen: Seen,
        exit_status: int | None,
        cause: Cause | None,
        words: str,
    ) -> None:
        commands.answer("qstat", f"{flavour}/{state}")
        text = (Path(__file__).parent / "recorded" / f"{flavour}.txt").read_text()
        question = text[text.index(f"== {state}\n") :].split("\n")[1]
        job = Tracked(submitted(), question.split()[-1])
        answer = server.ask([job.job_id])[job.job_id]
        assert (answer.seen, answer.exit_status) == (seen, exit_status)
        first, last = judgements(0, GRACE_S + 1, job=job, flavour=flavour)
        if cause is not None:
            assert (last.verdict, last.cause) == (Verdict.FAILED, cause)
            assert words in last.reason
        else:
            wanted = Verdict.SUCCESS if exit_status == 0 else Verdict.RUNNING
            assert last.verdict is wanted
            assert words in first.reason
            assert bool(words) == bool(first.reason)

    @pytest.mark.parametrize(
        ("words", "kind", "key"),
        [
            ("would exceed queue generic's per-user limit", ServerFullError, None),
            ("Maximum number of jobs already in queue for user", ServerFullError, None),
            ("Job violates queue and/or server resource limits", ServerError, "runtime, mem_mb"),
            ("cannot satisfy queue max walltime requirement", ServerError, "runtime"),
            ("cannot locate feasible nodes", ServerError, "pbs_node"),
            ("Unknown queue", ServerError, "queue"),
            ("Unknown queue MSG", ServerError, "queue"),
            ("Queue is not enabled", ServerError, "queue"),
            ("Unknown resource: gpus", ServerError, "pbs-flavour"),
            ("node(s) specification error", ServerError, "pbs_node"),
            ("cannot connect to server pbshost (errno=15010)", ServerSilentError, None),
            ("cannot connect to server pbshost.example (errno=111)", ServerSilentError, None),
        ],
    )
    def test_refusals(
        self, commands: Commands, tmp_path: Path, words: str, kind: type[ServerError], key: str | None
    ) -> None:
        commands.make("qsub", recorded_refusal(words))
        with pytest.raises(ServerError) as refused:
            server.submit(["job.sh"], tmp_path / "id")
        assert refused.type is kind
        assert words in str(refused.value)
        if key is not None:
            assert key in server.advice(str(refused.value))


class TestWithoutExitCode:
    @pytest.mark.parametrize("state", ["Q", "W", "R", "S", "T", "E"])
    def test_goes_on(self, commands: Commands, state: str) -> None:
        assert verdicts(commands, f"echo 'Job Id: 35.vm'; echo '    job_state = {state}'") == ["RUNNING"] * 2

    def test_openpbs_ended_well_and_its_code_was_lost(self, commands: Commands) -> None:
        history = "echo 'Job Id: 35.vm'; echo '    job_state = F'; echo '    Exit_status = 0'"
        assert verdicts(commands, FINISHED, history) == ["RUNNING", "SUCCESS"]

    def test_openpbs_history_is_empty(self, commands: Commands) -> None:
        assert verdicts(commands, FINISHED, "exit 0") == ["RUNNING", "FAILED"]

    @pytest.mark.parametrize("history", ["exit 2", "exit 255"])
    def test_the_server_is_down(self, commands: Commands, history: str) -> None:
        down = "echo 'qstat: cannot connect to server vm (errno=15010)' >&2; exit 255"
        plain = down if history == "exit 2" else FINISHED  # or between two questions
        assert verdicts(commands, plain, history) == ["RUNNING", "RUNNING"]

    def test_slurms_wrapper_has_no_exit_status(self, commands: Commands) -> None:
        answer = "printf 'Job Id:\\t35\\n\\tJob_Name = train-42-nano\\n\\tjob_state = C\\n\\tqueue = long\\n'"
        assert verdicts(commands, answer) == ["RUNNING", "FAILED"]

    def test_no_answer_in_time(self, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "QSTAT_TIMEOUT_S", 0.1)
        assert verdicts(commands, "exec sleep 10") == ["RUNNING", "RUNNING"]

    def test_the_grace_time_starts_anew_after_a_sign_of_life(self, commands: Commands) -> None:
        job = Tracked(submitted(), "35.vm")
        alive = "echo 'Job Id: 35.vm'; echo ' job_state = R'"
        for answer, moment in [(UNKNOWN, 0), (alive, 20), (UNKNOWN, GRACE_S + 5)]:
            commands.make("qstat", answer)
            assert judgements(moment, job=job)[0].verdict is Verdict.RUNNING

    def test_a_silent_server_does_not_count_as_missing_and_is_said_once(self, commands: Commands) -> None:
        job = Tracked(submitted(), "35.vm")
        commands.make("qstat", "echo gone fishing >&2; exit 255")
        first, second = judgements(0, 10, job=job)
        assert "gone fishing" in first.reason
        assert (second.verdict, second.reason) == (Verdict.RUNNING, "")
        commands.make("qstat", UNKNOWN)
        assert judgements(GRACE_S + 11, job=job)[0].verdict is Verdict.RUNNING


class TestStuck:
    """A job that cannot start is said once, and given up in the end."""

    @pytest.mark.parametrize("state", ["can_never_run", "held"])
    def test_said_once_and_given_up(self, commands: Commands, state: str) -> None:
        commands.answer("qstat", f"openpbs/{state}")
        job = Tracked(submitted(), "131.pbshost" if state == "can_never_run" else "132.pbshost")
        said = judgements(0, 10, STUCK_S - 1, STUCK_S, job=job)
        assert [judgement.verdict.name for judgement in said] == [*["RUNNING"] * 3, "FAILED"]
        assert "it cannot start" in said[0].reason
        assert [bool(judgement.reason) for judgement in said] == [True, False, False, True]
        assert said[-1].cause is Cause.HOPELESS

    def test_one_that_only_waits_its_turn_is_not(self, commands: Commands) -> None:
        commands.answer("qstat", "openpbs/queued")
        job = Tracked(submitted(), "8.pbshost")
        assert {judgement.verdict for judgement in judgements(0, 10 * STUCK_S, job=job)} == {Verdict.RUNNING}


class TestReason:
    """Why a job failed that left an exit code: the server and the log know more than that."""

    def test_the_server_is_asked_although_there_is_a_code(self, commands: Commands) -> None:
        commands.answer("qstat", "openpbs/over_walltime")
        (judged,) = judgements(0, job=Tracked(submitted(), "162"), code=143)
        assert judged.cause is Cause.WALLTIME
        assert "over its walltime (exit code 143, exit status -29)" in judged.reason

    def test_it_is_waited_for_until_the_server_has_put_the_job_away(self, commands: Commands) -> None:
        commands.make("qstat", "echo 'Job Id: 35.vm'; echo ' job_state = E'")
        first, last = judgements(0, GRACE_S + 1, code=1)
        assert first.verdict is Verdict.RUNNING
        assert (last.verdict, last.reason, last.cause) == (Verdict.FAILED, "exit code 1", Cause.STEP)

    @pytest.mark.parametrize(
        ("log", "cause"),
        [
            ("=>> PBS: job killed: walltime 98 exceeded limit 60", Cause.WALLTIME),
            ("=>> PBS: job killed: mem 2023748kb exceeded limit 1024000kb", Cause.MEMORY),
            ("slurmstepd: error: *** JOB 5 ON vm CANCELLED AT 2026 DUE TO TIME LIMIT ***", Cause.WALLTIME),
            ("slurmstepd: error: Step 5.0 exceeded memory limit (2 > 1), being killed", Cause.MEMORY),
            ("subprocess.CalledProcessError: Command 'x' died with <Signals.SIGKILL: 9>.", Cause.MEMORY),
            ("(command exited with non-zero exit code)", Cause.STEP),
        ],
    )
    def test_the_log_tells_where_the_server_does_not(
        self, commands: Commands, log: str, cause: Cause
    ) -> None:
        (judged,) = judgements(0, code=1, log=f"first lines\n{log}\n")
        assert judged.cause is cause
        assert ("its log says" in judged.reason) == (cause is not Cause.STEP)

    @pytest.mark.parametrize(
        ("flavour", "status", "cause", "words"),
        [
            (Flavour.TORQUE, -11, Cause.WALLTIME, "over its walltime"),
            (Flavour.TORQUE, -10, Cause.MEMORY, "over its memory"),
            (Flavour.TORQUE, 271, Cause.WALLTIME, "SIGTERM"),
            (Flavour.OPENPBS, -27, Cause.MEMORY, "over its memory"),
            (Flavour.OPENPBS, -29, Cause.WALLTIME, "over its walltime"),
            (Flavour.OPENPBS, -20, Cause.STEP, "node"),
            (Flavour.OPENPBS, 265, Cause.UNKNOWN, "SIGKILL"),
            (Flavour.OPENPBS, 143, Cause.WALLTIME, "SIGTERM"),
        ],
    )
    def test_by_the_servers_status(self, flavour: Flavour, status: int, cause: Cause, words: str) -> None:
        found, reason = explain(143, status, "", flavour)
        assert found is cause
        assert words in reason

    @pytest.mark.parametrize(
        ("status", "cause", "words"),
        [(3, Cause.STEP, "exit status 3"), (-3, Cause.UNKNOWN, "ended by the server")],
    )
    def test_by_the_servers_status_alone(self, status: int, cause: Cause, words: str) -> None:
        found, reason = explain(None, status, "", Flavour.OPENPBS)
        assert found is cause
        assert words in reason


class TestManyJobs:
    def test_a_hundred_in_one_question(self, commands: Commands) -> None:
        commands.make("qstat", 'shift; for id; do printf "Job Id: %s\\n    job_state = R\\n\\n" "$id"; done')
        ids = [f"{number}.vm" for number in range(100)]
        assert {answer.seen for answer in server.ask(ids).values()} == {Seen.RUNNING}
        assert len(commands.calls("qstat")) == 1

    def test_some_run_some_have_finished_some_are_unknown(self, commands: Commands) -> None:
        commands.make(
            "qstat",
            'if [ "$1" = -x ]; then\n'
            'printf "Job Id: 2.vm\\n    job_state = F\\n    Exit_status = -29\\n"; exit 0; fi\n'
            'printf "Job Id: 1.vm\\n    job_state = Q\\n\\n"\n'
            "echo 'qstat: 2.vm Job has finished, use -x or -H to obtain historical job information' >&2\n"
            "echo 'qstat: Unknown Job Id 3.vm' >&2; exit 153",
        )
        seen = {job_id: answer.seen for job_id, answer in server.ask(["1.vm", "2.vm", "3.vm"]).items()}
        assert seen == {"1.vm": Seen.WAITING, "2.vm": Seen.ENDED, "3.vm": Seen.GONE}
        assert commands.calls("qstat") == ["-f 1.vm 2.vm 3.vm", "-x -f 2.vm"]

    def test_a_server_that_says_nothing_of_those_it_forgot(self, commands: Commands) -> None:
        # As Slurm's wrapper: what is unknown is left out, the exit code is 153 where nothing is known.
        commands.make(
            "qstat",
            'case "$*" in *" 1"*) printf "Job Id:\\t1\\n\\tjob_state = R\\n"; exit 0;; esac; exit 153',
        )
        seen = {job_id: answer.seen for job_id, answer in server.ask(["1", "12"]).items()}
        assert seen["1"] is Seen.RUNNING
        seen = {job_id: answer.seen for job_id, answer in server.ask(["1", "2"]).items()}
        assert seen == {"1": Seen.RUNNING, "2": Seen.GONE}

    def test_one_silence_for_all(self, commands: Commands) -> None:
        commands.make("qstat", "echo 'Connection refused' >&2; exit 255")
        assert {answer.seen for answer in server.ask(["1.vm", "2.vm"]).values()} == {Seen.SILENT}
        assert len(commands.calls("qstat")) == 1


class TestDelete:
    def test_one_command_with_those_that_wait_first(self, commands: Commands) -> None:
        server.delete(
            {"1.vm": Seen.RUNNING, "2.vm": Seen.WAITING, "3.vm": Seen.RUNNING, "4.vm": Seen.WAITING}
        )
        assert commands.calls("qdel") == ["2.vm 4.vm 1.vm 3.vm"]

    def test_nothing_to_delete(self, commands: Commands) -> None:
        server.delete({})
        assert commands.calls("qdel") == []
