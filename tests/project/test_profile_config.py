"""What the profiles' config.yaml say, and that they serve from wherever Snakemake is started."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.profiles import ProfileConfigFileParser
from snakemake_executor_plugin_slurm import Executor

from snakemake_call import call_snakemake
from workflow_run import REPOSITORY, WorkflowRun, end_runs, site_profile

PROFILES = REPOSITORY / "profiles"
NAMES = ("pbs", "slurm", "local")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes back what profiles/pbs does to find its executor."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    end_runs()


def parse(path: Path) -> dict[str, Any]:
    """A profile as Snakemake reads it."""
    with path.open() as stream:
        parsed: dict[str, Any] = ProfileConfigFileParser().parse(stream)
    return parsed


def dry_run(folder: Path, *arguments: str) -> dict[str, dict[str, int]]:
    """The numbers that each rule of the embedded default asks for."""
    config = ("--configfile", str(REPOSITORY / "config" / "config.yaml"))
    code, said = call_snakemake(
        folder, "--snakefile", str(REPOSITORY / "Snakefile"), "--dry-run", *config, *arguments
    )
    assert code == 0, said
    jobs = re.findall(r"^(?:local)?rule (\w+):.*?^    resources: (.*?)$", said, re.M | re.S)
    return {
        rule: {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)(?:,|$)", resources)}
        for rule, resources in jobs
    }


def rule_names() -> set[str]:
    texts = [path.read_text() for path in (REPOSITORY / "rules").glob("*.smk")]
    return {name for text in texts for name in re.findall(r"^\s*(?:use )?rule (?:\w+ as )?(\w+)", text, re.M)}


@pytest.mark.parametrize("name", NAMES)
class TestEachProfile:
    def test_is_found_by_its_name(self, name: str) -> None:
        assert (REPOSITORY / name).is_symlink()
        assert (REPOSITORY / name / "config.yaml").samefile(PROFILES / name / "config.yaml")

    def test_goes_on_after_a_failure_and_tries_again(self, name: str) -> None:
        profile = parse(PROFILES / name / "config.yaml")
        assert profile["keep-going"] == "True"
        assert profile["rerun-incomplete"] == "True"
        assert int(profile["retries"]) >= 1

    def test_caps_gpu_jobs_in_one_place(self, name: str) -> None:
        (cap,) = parse(PROFILES / name / "config.yaml")["resources"]
        assert re.fullmatch(r"gpu=\d+", cap)

    def test_names_rules_that_exist(self, name: str) -> None:
        profile = yaml.safe_load((PROFILES / name / "config.yaml").read_text())
        assert {*profile.get("groups", {}), *profile.get("set-threads", {})} <= rule_names()

    def test_dry_run_in_another_working_folder(self, name: str, tmp_path: Path) -> None:
        run = WorkflowRun(tmp_path / "clone", {"42": "true"}, "-n", "-d", "elsewhere", profile=name)
        assert run.wait() == 0, run.said
        assert "train" in run.said


@pytest.mark.parametrize("name", ["pbs", "slurm"])
def test_outputs_may_appear_late(name: str) -> None:
    # Network file systems remember for up to a minute that a file was not there.
    assert int(parse(PROFILES / name / "config.yaml")["latency-wait"]) >= 60


@pytest.mark.parametrize("name", ["pbs", "slurm"])
def test_no_short_rule_waits_in_the_queue_by_itself(name: str) -> None:
    groups = yaml.safe_load((PROFILES / name / "config.yaml").read_text())["groups"]
    predictions = {"predict_train", "predict_val", "predict_heldout", "predict_test"}
    long = {"train", "run_trial", "simulate", "build_test_buckets"} | predictions
    assert rule_names() - groups.keys() == long


def test_there_is_no_default_profile() -> None:
    # Snakemake lets it win over --profile, and a site's queue and account are lost.
    assert not (PROFILES / "default").exists()


@pytest.mark.parametrize("where", ["the clone", "a copy of the profile elsewhere"])
def test_the_profile_of_pbs_is_read_from_any_folder(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "it's {a} clone"
    profile = "pbs"
    if where != "the clone":
        profile = str(tmp_path / "site")
        shutil.copytree(PROFILES / "pbs", profile)
    run = WorkflowRun(folder, {"42": "true"}, "-n", profile=profile, environment={"PYTHONPATH": ""})
    assert run.wait() == 0, run.said
    assert "train" in run.said


def test_the_slurm_plugin_never_looks_away_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "next_seconds_between_status_checks"
    monkeypatch.setattr(Executor, name, getattr(Executor, name))  # taken back after the test
    parse(PROFILES / "slurm" / "config.yaml")
    executor = Executor.__new__(Executor)
    for wanted_s, given_s in ((20, 20), (180, 30)):
        executor.next_seconds_between_status_checks = wanted_s
        assert executor.next_seconds_between_status_checks == given_s


@pytest.mark.parametrize(("attempt", "factor"), [(1, 1), (2, 2), (9, 2)])
def test_a_retry_asks_for_more_of_what_may_have_lacked(tmp_path: Path, attempt: int, factor: int) -> None:
    asked = dry_run(tmp_path, "--attempt", str(attempt))
    assert {name: (job["mem_mb"], job["runtime"]) for name, job in asked.items() if name != "all"} == {
        **dict.fromkeys(asked.keys() - {"all"}, (8_000 * factor, 120 * factor)),
        **dict.fromkeys(("predict_val", "predict_test", "predict_heldout"), (32_000 * factor, 720 * factor)),
        # It goes on where it was cut, and asks a queue for no more than the queue allowed before.
        "train": (48_000 * factor, 4320),
    }


class TestLocal:
    @pytest.mark.parametrize(
        ("visible", "n_gpus"),
        [("0", 1), ("0,1,2", 3), ("GPU-aa,GPU-bb", 2), ("", 1), ("-1", 1), ("0, 1,-1,2", 2), ("GPU-1-1", 1)],
    )
    def test_as_many_gpu_jobs_as_gpus(
        self, visible: str, n_gpus: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert parse(PROFILES / "local" / "config.yaml")["resources"] == [f"gpu={n_gpus}"]

    def test_jobs_may_share_gpus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        monkeypatch.setenv("STRONGLENS_JOBS_PER_GPU", "3")
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)))
        profile = parse(PROFILES / "local" / "config.yaml")
        assert profile["resources"] == ["gpu=6"]
        assert "train=2" in profile["set-threads"]

    def test_no_gpu_waits_for_cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
        profile = parse(PROFILES / "local" / "config.yaml")
        assert profile["cores"] == "6"
        assert "train=3" in profile["set-threads"]

    def test_no_more_cores_than_the_rules_ask_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
        assert "train=8" in parse(PROFILES / "local" / "config.yaml")["set-threads"]

    def test_jobs_run_each_on_its_own_gpu(self, tmp_path: Path) -> None:
        claim = (
            "import time; from stronglens.running.gpu_lock import claim_gpu\n"
            "with claim_gpu() as gpu: print(time.time()); print(gpu); time.sleep(1); print(time.time())"
        )
        (tmp_path / "member.py").write_text(claim)
        command = f"{sys.executable} {tmp_path}/member.py"
        environment = {
            "CUDA_VISIBLE_DEVICES": "0,1",
            "PYTHONPATH": str(REPOSITORY / "workflow" / "scripts"),
        }
        run = WorkflowRun(
            tmp_path / "clone", dict.fromkeys("1234", command), profile="local", environment=environment
        )
        assert run.wait() == 0, run.said
        rows = [path.read_text().split() for path in run.folder.glob("results/models/toy/*/best.txt")]
        members = [(float(started), gpu, float(ended)) for started, gpu, ended in rows]
        assert len(members) == 4
        for started, _, _ in members:
            together = [gpu for start, gpu, end in members if start <= started < end]
            assert len(set(together)) == len(together) <= 2
        if len(os.sched_getaffinity(0)) > 1:
            assert {gpu for _, gpu, _ in members} == {"0", "1"}


PBS = """\
#!/bin/sh
# Runs a job at once, in the folder that OpenPBS starts jobs in. A member is not seen at first.
for script; do :; done
number=$(ls "{folder}" | grep -c qsub)
printf '%s\\n' "$@" > "{folder}/qsub-$number"
script=$PWD/$script
(cd / && sh "$script" > "{folder}/log-$number" 2>&1)
mv -n {member} {member}.late 2> /dev/null
echo "$number.vm"
"""


def test_a_whole_run_through_qsub(tmp_path: Path) -> None:
    """From a host of one core: a site's profile, another working folder, a failure, a retry, late outputs."""
    commands_folder = tmp_path / "bin"
    commands_folder.mkdir()
    member = "results/models/toy/seed_42/best.txt"
    (commands_folder / "qsub").write_text(PBS.format(folder=commands_folder, member=member))
    (commands_folder / "qstat").write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo 'pbs_version = 23.06.06' && exit\n"
        "echo 'qstat: Unknown Job Id' >&2; exit 153\n"
    )
    for name in ("qsub", "qstat"):
        (commands_folder / name).chmod(0o755)
    clone_folder, folder = tmp_path / "clone", tmp_path / "it's elsewhere"
    site_profile(
        clone_folder,
        "site",
        {
            "default-resources": {"queue": "long", "account": "lenses-2026", "pbs_extra": "-m n"},
            "set-resources": {"train": {"queue": "gpu_long", "runtime": 2880}},
            "seconds-between-status-checks": 1,
        },
    )

    def start() -> WorkflowRun:
        return WorkflowRun(
            clone_folder,
            {"42": "test -e tried || { touch tried; exit 1; }; pwd"},
            f"--directory={folder}",
            profile="site",
            environment={"PATH": f"{commands_folder}:{os.environ['PATH']}"},
            one_core=True,
        )

    run = start()
    run.wait_until(lambda: f"missing files:\n{member}" in run.said)  # it is waited for
    (folder / f"{member}.late").rename(folder / member)
    assert run.wait(120) == 0, run.said
    assert (folder / "submission.csv").read_text() == f"{folder}\n"
    assert "exit code 1; log logs/pbs/train/train-toy-42." in run.said
    first, retry, scores = (path.read_text().split("\n") for path in sorted(commands_folder.glob("qsub-*")))
    assert "select=1:ncpus=8:ngpus=1:mem=1000mb" in first
    assert "select=1:ncpus=8:ngpus=1:mem=1000mb" in retry  # it did not fail for memory
    assert "select=1:ncpus=2:mem=500mb" in scores
    assert ("walltime=48:00:00" in first, "walltime=00:20:00" in scores) == (True, True)
    for job, queue in ((first, "gpu_long"), (retry, "gpu_long"), (scores, "long")):
        assert job[job.index("-q") + 1] == queue
        assert job[job.index("-A") + 1] == "lenses-2026"
        assert job[job.index("-m") + 1] == "n"
    again = start()
    assert again.wait() == 0, again.said
    assert "Nothing to be done" in again.said
