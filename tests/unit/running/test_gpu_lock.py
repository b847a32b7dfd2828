"""GPUs shared out by locks: tried through given lists and a pretended nvidia-smi, without any GPU."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import predict
import train
from stronglens.running import gpu_lock
from stronglens.running.errors import InputError
from stronglens.running.gpu_lock import claim_gpu

LIBRARY = Path(gpu_lock.__file__).parents[2]
SCHEDULERS = ("PBS_JOBID", "SLURM_JOB_ID", "LSB_JOBID", "JOB_ID")
ALL_VARIABLES = ("CUDA_VISIBLE_DEVICES", *SCHEDULERS, "SGE_TASK_ID")
TWO_GPUS = "GPU 0: NVIDIA A100 (UUID: GPU-aa)\nGPU 1: NVIDIA A100 (UUID: GPU-bb)\n"
MPS = "/usr/bin/nvidia-cuda-mps-server"

FakeSmi = Callable[[str, str], None]
Claim = Callable[..., str | None]


@pytest.fixture(autouse=True)
def workstation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node without GPUs, drivers, schedulers or locks; gives the folder of the locks."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setattr(gpu_lock, "_LOCKS", folder)
    for name in ("dev", "driver"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(gpu_lock, "_DEVICE_FILES", tmp_path / "dev")
    monkeypatch.setattr(gpu_lock, "_DRIVER", tmp_path / "driver")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    for name in ALL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def smi(tmp_path: Path) -> FakeSmi:
    """Makes an nvidia-smi that knows these GPUs and these processes on them."""

    def make(gpus: str, processes: str = "") -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "gpus").write_text(gpus)
        (folder / "processes").write_text(processes)
        answer = f'case "$1" in -L) cat "{folder}/gpus";; *) cat "{folder}/processes";; esac'
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{answer}\n")
        (folder / "nvidia-smi").chmod(0o755)

    return make


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch) -> Iterator[Claim]:
    """Claims as one more job does, which keeps its GPU until the test ends."""
    with ExitStack() as jobs:

        def make(candidates: list[str] | None = None, visible: str | None = None) -> str | None:
            if visible is None:
                monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
            else:
                monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
            return jobs.enter_context(claim_gpu("auto", candidates))

        yield make


@pytest.fixture
def other_process(workstation: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which keeps GPU 0 until it is killed."""
    code = f"""
        import time
        from pathlib import Path
        from stronglens.running import gpu_lock
        gpu_lock._LOCKS = Path({str(workstation)!r})
        with gpu_lock.claim_gpu(candidates=["0", "1"]) as gpu:
            print(gpu, flush=True)
            time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(LIBRARY)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        yield process
        process.kill()


def test_each_job_gets_its_own(claim: Claim) -> None:
    assert [claim(["0", "1", "2"]) for _ in range(3)] == ["0", "1", "2"]


def test_jobs_share_a_gpu_where_that_is_asked_for(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second place of a GPU is given once each GPU has a job."""
    monkeypatch.setenv("STRONGLENS_JOBS_PER_GPU", "2")
    assert [claim(["0", "1"]) for _ in range(4)] == ["0", "1", "0", "1"]
    with pytest.raises(TimeoutError):
        _claim_within(0.3, ["0", "1"])


@pytest.mark.parametrize("told", ["0", "-1", "two", ""])
def test_a_wrong_number_of_jobs_is_named(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGLENS_JOBS_PER_GPU", told)
    with pytest.raises(InputError, match="STRONGLENS_JOBS_PER_GPU: expected a positive number"):
        claim_gpu(candidates=["0"]).__enter__()


def _claim_within(seconds: float, candidates: list[str]) -> None:
    """Claim a GPU, or stop waiting for one."""

    def give_up(_: float) -> None:
        raise TimeoutError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_lock.time, "sleep", give_up)
        with claim_gpu(candidates=candidates, wait_s=seconds):
            pass


def test_cuda_sees_the_claimed_one_only_and_then_what_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    with claim_gpu(candidates=["3", "4"]):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")
    with claim_gpu() as gpu:
        assert (gpu, os.environ["CUDA_VISIBLE_DEVICES"]) == ("5", "5")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,6"


def test_training_and_prediction_keep_one_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    for name in (
        "stronglens.training.train_member.train_member",
        "stronglens.prediction.predict_member.predict_member",
    ):
        monkeypatch.setattr(name, lambda *given, **named: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    folders = ["--packed", str(tmp_path), "--out-dir", str(tmp_path)]
    with claim_gpu(candidates=["5"]):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6")  # what other jobs are given
        assert train.main([*folders, "--splits", str(tmp_path)]) == 0
        assert predict.main([*folders, "--member", str(tmp_path)]) == 0
    assert seen == ["6", "6"]


def test_freed_after_an_error(claim: Claim) -> None:
    with pytest.raises(ZeroDivisionError), claim_gpu(candidates=["0"]):
        raise ZeroDivisionError
    assert claim(["0"]) == "0"


def test_another_process_keeps_it_until_kill_9(other_process: subprocess.Popen[str]) -> None:
    with claim_gpu(candidates=["0", "1"]) as gpu:
        assert gpu == "1"
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    with claim_gpu(candidates=["0", "1"]) as gpu:
        assert gpu == "0"


def test_waits_while_all_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    claimed: list[str | None] = []

    def second_job() -> None:
        with claim_gpu(candidates=["0"], wait_s=0.02) as gpu:
            claimed.append(gpu)

    with claim_gpu(candidates=["0"]):
        waiting = threading.Thread(target=second_job)
        waiting.start()
        time.sleep(0.2)
        assert claimed == []
    waiting.join(timeout=60)
    assert claimed == ["0"]
    assert caplog.text.count("no GPU is free of 0: waiting") == 1


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_chosen_device_is_left_alone(device: str) -> None:
    with claim_gpu(device, candidates=["0"]) as gpu:
        assert gpu is None
        assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize("visible", ["", "-1", "-1,0"])
def test_hidden_gpus_are_no_gpus(visible: str, smi: FakeSmi, claim: Claim) -> None:
    smi(TWO_GPUS, "")
    assert claim(visible=visible) is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible


def test_devices_after_a_negative_one_are_hidden(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    assert claim(visible="4,-1,5") == "4"
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("waits", pytrace=False))
    with pytest.raises(pytest.fail.Exception, match="waits"):
        claim(visible="4,-1,5")


def test_all_gpus_of_the_node_by_uuid(smi: FakeSmi, claim: Claim) -> None:
    smi(TWO_GPUS, "")
    assert [claim(), claim()] == ["GPU-aa", "GPU-bb"]


def test_no_gpu_on_the_node(claim: Claim) -> None:
    assert claim() is None


def test_slices_of_a_gpu_are_devices(smi: FakeSmi, claim: Claim) -> None:
    first, second = TWO_GPUS.splitlines()
    slices = [f"  MIG 3g.20gb     Device  {number}: (UUID: MIG-{number})" for number in (0, 1)]
    smi("\n".join([first, *slices, second]))
    assert [claim() for _ in range(3)] == ["MIG-0", "MIG-1", "GPU-bb"]


def test_a_slice_is_kept_apart_from_the_others(smi: FakeSmi, claim: Claim) -> None:
    smi(
        "GPU 0: NVIDIA A100 (UUID: GPU-aa)\n  MIG 3g.20gb     Device  0: (UUID: MIG-0)\n",
        "GPU-aa, 1, python\n",
    )
    assert [claim(visible="MIG-0"), claim(visible="MIG-GPU-aa/1/0")] == ["MIG-0", "MIG-GPU-aa/1/0"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "MIG-GPU-aa/1/0"


def _driver_knows(folder: Path, uuids: dict[int, str]) -> None:
    """Makes the device files, and what the driver says of each in /proc."""
    for minor, uuid in uuids.items():
        (folder / "dev" / f"nvidia{minor}").touch()
        (folder / "driver/gpus" / f"0000:{minor:02x}:00.0").mkdir(parents=True)
        told = f"Model: \t\t NVIDIA A100\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n"
        (folder / "driver/gpus" / f"0000:{minor:02x}:00.0" / "information").write_text(told)


def test_without_nvidia_smi_the_driver_names_the_gpus(tmp_path: Path, claim: Claim) -> None:
    _driver_knows(tmp_path, {2: "GPU-aa", 10: "GPU-bb"})
    (tmp_path / "dev/nvidiactl").touch()
    assert [claim(), claim(visible="1")] == ["GPU-aa", "1"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-bb"


def test_a_container_that_sees_nvidia3_alone_computes_on_it(tmp_path: Path, claim: Claim) -> None:
    """CUDA counts what it sees there: number 0. By 3 it would find none, and the CPU would be taken."""
    (tmp_path / "dev/nvidia3").touch()
    assert claim() == "nvidia3"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    # Another that sees more of the node keeps clear of it.
    (tmp_path / "dev/nvidia0").touch()
    assert claim() == "nvidia0"


def test_uuids_that_the_driver_does_not_know_yet_are_none(tmp_path: Path, claim: Claim) -> None:
    _driver_knows(tmp_path, {0: "GPU-????????-????"})
    assert claim() == "nvidia0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_device_files_that_a_scheduler_keeps_shut_are_not_ours(
    tmp_path: Path, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    _driver_knows(tmp_path, {0: "GPU-aa", 1: "GPU-bb"})
    really = os.open

    def open_but_first(path: Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).name == "nvidia0":  # as control groups do, whatever its mode says
            raise PermissionError
        return really(path, flags, mode)

    monkeypatch.setattr(gpu_lock.os, "open", open_but_first)
    assert claim() == "GPU-bb"


def test_an_index_and_a_uuid_are_one_gpu(smi: FakeSmi, claim: Claim) -> None:
    smi(TWO_GPUS, "")
    assert [claim(["1"]), claim(["GPU-bb", "GPU-aa"])] == ["1", "GPU-aa"]


def test_a_shortened_uuid_is_the_same_gpu(smi: FakeSmi, claim: Claim) -> None:
    smi(TWO_GPUS.replace("aa", "aa1").replace("bb", "aa2"), "")
    assert [claim(["0"]), claim(["GPU-aa1", "GPU-aa2"])] == ["0", "GPU-aa2"]
    # What two begin with is nobody's name.
    assert gpu_lock._uuid("GPU-aa", gpu_lock._known_gpus()) == "GPU-aa"


def test_cuda_takes_the_gpu_that_was_looked_at(smi: FakeSmi, claim: Claim) -> None:
    # By itself CUDA counts the fastest first, nvidia-smi by place.
    smi(TWO_GPUS, "")
    assert claim(visible="1") == "1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-bb"


def test_a_number_of_some_job_is_no_scheduler(claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_ID", "17")  # Grid Engine's, but others use the name too
    assert claim(visible="0") == "0"


def test_a_gpu_that_another_user_computes_on_is_passed_over(
    smi: FakeSmi, claim: Claim, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(gpu_lock, "_is_mine", lambda pid: pid == "200")
    smi(TWO_GPUS, "GPU-aa, 100, /usr/bin/python, 3\nGPU-bb, 200, python\n")
    assert claim(visible="0,1") == "1"
    assert "GPU 0 is passed over: another user computes on it (process 100 python, 3)" in caplog.text


@pytest.mark.parametrize(("owner", "gpu"), [(0, "0"), (4321, "1"), (None, "1")])
def test_a_server_of_mps_computes_for_its_owner_and_for_nobody_if_that_is_root(
    owner: int | None, gpu: str, smi: FakeSmi, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(gpu_lock, "_lock_folder", lambda suffix: gpu_lock._LOCKS)
    monkeypatch.setattr(gpu_lock, "_owner", lambda pid: owner)
    smi(TWO_GPUS, f"GPU-aa, 100, {MPS}\n")
    assert claim(visible="0,1") == gpu


def test_a_message_is_said_again_while_it_holds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    clock = iter([0.0, 0.0, 500.0, 700.0, 700.0, 800.0])
    monkeypatch.setattr(gpu_lock.time, "monotonic", lambda: next(clock))
    said: dict[str, float] = {}
    for _ in range(4):
        gpu_lock._say("waiting", said)
    assert len(caplog.records) == 2


def test_whose_a_process_is() -> None:
    assert gpu_lock._is_mine(str(os.getpid()))
    assert gpu_lock._is_mine("1") == (os.getuid() == 0)
    assert not gpu_lock._is_mine("999999999")


@pytest.mark.parametrize(
    "answer", ["No devices were found", "0, [Not Found]", "[Insufficient Permissions], 1"]
)
def test_an_nvidia_smi_that_does_not_help(smi: FakeSmi, claim: Claim, answer: str) -> None:
    smi("", answer)
    assert claim(["0"]) == "0"


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_gpu_that_a_scheduler_assigned_is_not_second_guessed(
    scheduler: str, smi: FakeSmi, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A lock is held on it, and another user computes on it: neither matters.
    assert claim(["0"]) == "0"
    monkeypatch.setattr(gpu_lock, "_is_mine", lambda pid: False)
    smi(TWO_GPUS, "GPU-aa, 100\n")
    monkeypatch.setenv(scheduler, "77.server")
    if scheduler == "JOB_ID":
        monkeypatch.setenv("SGE_TASK_ID", "undefined")
    assert claim(visible="0") is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_several_that_a_scheduler_assigned_are_shared_out_within_the_job(
    smi: FakeSmi, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_lock, "_is_mine", lambda pid: False)
    smi(TWO_GPUS, "GPU-aa, 100\n")
    for job_id in ("1", "2"):  # in each, devices may be counted from 0
        monkeypatch.setenv("SLURM_JOB_ID", job_id)
        assert [claim(visible="0,1"), claim(visible="0,1")] == ["0", "1"]


def test_where_a_scheduler_assigned_none_jobs_keep_clear_of_each_other(
    smi: FakeSmi, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenPBS without the cgroups hook.
    smi(TWO_GPUS, "")
    claimed = []
    for job_id in ("35.vm", "36.vm"):
        monkeypatch.setenv("PBS_JOBID", job_id)
        claimed.append(claim())
    assert claimed == ["GPU-aa", "GPU-bb"]


def test_a_folder_of_somebody_else_is_refused(workstation: Path, tmp_path: Path, claim: Claim) -> None:
    (tmp_path / "theirs").mkdir()
    (workstation / f"stronglens-gpu-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(InputError, match="locks of GPUs"):
        claim(["0"])


def test_torch_is_not_imported() -> None:
    code = "import sys, stronglens.running.gpu_lock; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
