"""The device that is chosen, with pretended cards: a job that has a GPU uses it, or says why it cannot."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stronglens.networks.device import (
    Card,
    Gpus,
    LostDeviceError,
    check_after,
    choose_device,
    compute_a_little,
    look_for_gpus,
    runs_on,
)
from stronglens.running.errors import InputError

KERNELS = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
H100 = Card("NVIDIA H100 80GB HBM3", (9, 0))
V100 = Card("Tesla V100-SXM2-32GB", (7, 0))
NONE = Gpus(torch_version="2.14.1+cu130", cuda_version="13.0")
NODE = replace(NONE, files=("/dev/nvidia0",), models=(H100.name,), driver="580.95.05")
WORKING = replace(NODE, cards=(H100,), kernels=KERNELS)
OLD_DRIVER = replace(NODE, driver="570.86.15")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
INSTALL = "`pip install torch==2.14.1 torchvision --index-url https://download.pytorch.org/whl/cu126`"


@pytest.mark.parametrize(
    ("name", "gpus", "device"),
    [
        ("auto", NONE, CPU),
        ("auto", WORKING, GPU),
        ("auto", replace(WORKING, assigned="SLURM_JOB_GPUS=0", visible="0"), GPU),
        ("cuda", WORKING, GPU),
        ("cuda:0", WORKING, torch.device("cuda:0")),
        ("cpu", WORKING, CPU),
        ("cpu", OLD_DRIVER, CPU),
        ("auto", replace(NODE, driver=None, files=()), CPU),
    ],
)
def test_chosen(name: str, gpus: Gpus, device: torch.device) -> None:
    assert choose_device(name, gpus) == device


@pytest.mark.parametrize("visible", ["", "-1", "-1,0", "NoDevFiles"])
def test_gpus_that_the_user_has_hidden_leave_the_cpu_and_a_message(
    visible: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert choose_device("auto", replace(NODE, visible=visible)) == CPU
    assert f"CUDA_VISIBLE_DEVICES={visible!r} hides all GPUs: computing on the CPU" in caplog.text


@pytest.mark.parametrize("name", ["auto", "cuda"])
@pytest.mark.parametrize(
    ("gpus", "told"),
    [
        pytest.param(
            OLD_DRIVER, f"driver 570.86.15.*needs driver 580.*{re.escape(INSTALL)}", id="old driver"
        ),
        pytest.param(replace(NODE, driver="470.5"), "needs driver 580 or newer: ask for one;", id="older"),
        pytest.param(replace(NODE, driver=None), "driver not loaded", id="no driver"),
        pytest.param(
            replace(NODE, cuda_version=None, torch_version="2.14.1+cpu"),
            r"a build for CPUs.*install torch==2\.14\.1 .*/cu130",
            id="torch for CPUs",
        ),
        pytest.param(
            replace(NODE, visible="", assigned="SLURM_JOB_GPUS=3"),
            "CUDA_VISIBLE_DEVICES='' hides them",
            id="hidden from a job that was assigned one",
        ),
        pytest.param(replace(NODE, visible="7"), "'7' may name a GPU that is not here", id="of another node"),
        pytest.param(replace(NONE, visible="0"), "driver not loaded", id="container without the driver"),
        pytest.param(replace(NONE, assigned="SLURM_GPUS_ON_NODE=1"), "driver not loaded", id="assigned"),
        pytest.param(NODE, "may be broken", id="broken"),
    ],
)
def test_a_job_that_holds_a_gpu_does_not_fall_back_to_the_cpu(name: str, gpus: Gpus, told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        choose_device(name, gpus)
    assert "with --device cpu" in str(raised.value)
    assert not gpus.models or H100.name in str(raised.value)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_card_that_the_kernels_do_not_fit_is_refused(name: str) -> None:
    """A V100: the wheel of CUDA 13 begins with compute capability 7.5."""
    told = f"Tesla V100-SXM2-32GB has compute capability 7.0, .*sm_75, .* or install {re.escape(INSTALL)}"
    with pytest.raises(InputError, match=told):
        choose_device(name, replace(WORKING, cards=(V100,)))
    for capability in ((3, 7), (13, 0)):
        with pytest.raises(InputError, match=r"install a PyTorch that has some for it"):
            choose_device(name, replace(WORKING, cards=(Card("Another", capability),)))


@pytest.mark.parametrize(
    ("capability", "runs"),
    [((7, 0), False), ((7, 5), True), ((8, 9), True), ((9, 0), True), ((10, 3), True), ((11, 0), False)],
)
def test_machine_code_runs_on_later_minor_versions(capability: tuple[int, int], runs: bool) -> None:
    assert runs_on(KERNELS, capability) == runs


def test_other_kinds_of_code() -> None:
    assert runs_on(["sm_80", "compute_80"], (13, 0))
    assert not runs_on(["sm_90a"], (9, 1))
    assert runs_on(["gfx942"], (9, 4))
    assert runs_on([], (7, 0))


def test_a_name_that_is_none() -> None:
    with pytest.raises(InputError, match=r"found 'gpu', expected auto, cpu, cuda or cuda:N"):
        choose_device("gpu", WORKING)
    with pytest.raises(InputError, match=r"PyTorch sees 1 CUDA devices.*N below 1, found 1"):
        choose_device("cuda:1", WORKING)


@pytest.mark.parametrize(
    "version",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 22:50:36 UTC 2025\nGCC 12\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (root)\n",
    ],
)
def test_driver_and_cards_are_read_without_nvidia_smi(version: str, tmp_path: Path) -> None:
    information = tmp_path / "proc/driver/nvidia/gpus/0000:17:00.0/information"
    information.parent.mkdir(parents=True)
    information.write_text("Model: \t\t Tesla V100-SXM2-32GB\nIRQ:   \t\t 36\n")
    (tmp_path / "proc/driver/nvidia/version").write_text(version)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    gpus = look_for_gpus(tmp_path, {"CUDA_VISIBLE_DEVICES": "0"})
    assert (gpus.driver, gpus.models, gpus.visible) == ("570.86.15", [V100.name], "0")
    assert gpus.files == [str(tmp_path / "dev/nvidia0")]


def test_what_schedulers_assign(tmp_path: Path) -> None:
    file = tmp_path / "gpus"
    file.write_text("")
    for environment in ({}, {"SLURM_GPUS_ON_NODE": "0"}, {"PBS_GPUFILE": str(file)}):
        assert look_for_gpus(tmp_path, environment).assigned == ""
    assert look_for_gpus(tmp_path, {"SLURM_JOB_GPUS": "0"}).assigned == "SLURM_JOB_GPUS=0"
    file.write_text("node-gpu1\n")
    assert look_for_gpus(tmp_path, {"PBS_GPUFILE": str(file)}).assigned == f"PBS_GPUFILE={file}"


def test_a_device_is_lost_only_where_it_computes_no_more() -> None:
    def full(device: torch.device) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def lost(device: torch.device) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    first = RuntimeError("of compiling")
    for works in (compute_a_little, full):
        check_after(first, CPU, works)
    with pytest.raises(
        LostDeviceError, match=r"illegal memory access was encountered \(first: of compiling\)"
    ):
        check_after(first, CPU, lost)
