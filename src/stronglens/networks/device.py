"""The device a network runs on. A job that has a GPU uses it, or says why it cannot: it never falls back."""

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from stronglens.running.errors import InputError
from stronglens.running.gpu_lock import own_device_files

log = logging.getLogger(__name__)

_FIRST_DRIVERS = {13: 580, 12: 525, 11: 450}
"""First driver branch for each major version of CUDA.

https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
"""
_OLDER_CUDA = "12.6"
_OLDER_KERNELS = ("sm_50", "sm_60", "sm_70", "sm_80", "sm_90")
"""A build of PyTorch 2.11 and 2.14 for older drivers and cards: `torch.cuda.PYTORCH_RELEASES_CODE_CC`."""
_TESTED_CUDA = "13.0"
_TESTED = "this pipeline is tested with torch 2.14.1 on CPUs and torch 2.11.0 for CUDA 13.0 on an H100"
_ASSIGNMENTS = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", "PBS_GPUFILE")
"""Variables in which Slurm and Torque say which GPUs, or how many, or in which file."""


@dataclass(frozen=True)
class Card:
    """A GPU that PyTorch sees, and its compute capability."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True)
class Gpus:
    """What a process can know of GPUs without computing on one.

    Attributes
    ----------
    cards : sequence of Card
        Those that PyTorch sees.
    files : sequence of str
        Device files that this process may open.
    models : sequence of str
        Cards that the driver knows.
    driver : str, optional
        Version of NVIDIA's kernel module; None where it is not loaded.
    assigned : str
        Variable and value with which a scheduler, or the lock of `claim_gpu`, gave this job a GPU; empty if
        none did.
    visible : str, optional
        CUDA_VISIBLE_DEVICES.
    torch_version, cuda_version : str, str or None
        Version of PyTorch, and of the CUDA it was built for.
    kernels : sequence of str
        What its kernels were compiled for: "sm_90", "compute_120".
    """

    cards: Sequence[Card] = ()
    files: Sequence[str] = ()
    models: Sequence[str] = ()
    driver: str | None = None
    assigned: str = ""
    visible: str | None = None
    torch_version: str = str(torch.__version__)
    cuda_version: str | None = torch.version.cuda
    kernels: Sequence[str] = ()

    @property
    def hidden(self) -> bool:
        """Whether CUDA_VISIBLE_DEVICES keeps all GPUs from this process."""
        return self.visible is not None and self.visible.split(",")[0].strip() in ("", "-1", "NoDevFiles")

    def in_words(self) -> str:
        """Cards, driver and PyTorch, as an error needs them."""
        names = [card.name for card in self.cards] or self.models or self.files
        return (
            f"{', '.join(names) or 'no device file'}, NVIDIA driver {self.driver or 'not loaded'}, "
            f"torch {self.torch_version} for CUDA {self.cuda_version or '(none: a build for CPUs)'}"
        )


def look_for_gpus(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Gpus:
    """Ask PyTorch, the kernel's files below `root` and the environment; nvidia-smi is not needed."""
    # Looks at the driver first, which PyTorch only warns of if it is too old.
    n_cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    version = _text_of(root / "proc/driver/nvidia/version")
    found = re.search(r"Kernel Module\b.*?\s(\d+(?:\.\d+)+)\s", version)
    models = [
        line.partition(":")[2].strip()
        for path in sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
        for line in _text_of(path).splitlines()
        if line.startswith("Model:")
    ]
    return Gpus(
        cards=[
            Card(torch.cuda.get_device_name(number), torch.cuda.get_device_capability(number))
            for number in range(n_cards)
        ],
        files=[str(path) for path in own_device_files(root / "dev")],
        models=models,
        driver=found.group(1) if found else None,
        assigned=_assigned(environment),
        visible=environment.get("CUDA_VISIBLE_DEVICES"),
        kernels=torch.cuda.get_arch_list(),
    )


def choose_device(name: str, gpus: Gpus | None = None) -> torch.device:
    """The device of that name.

    Parameters
    ----------
    name : str
        "auto" (the GPU of this job, or the CPU if it has none), "cpu", "cuda", "cuda:1", ….
    gpus : Gpus, optional
        What there is; looked up if not given.

    Raises
    ------
    InputError
        The name is unknown; or a GPU is demanded, or this job has one (a scheduler assigned it,
        CUDA_VISIBLE_DEVICES names it, or its device file can be opened), and PyTorch cannot compute on it.
    """
    if name == "cpu":
        return torch.device("cpu")
    try:
        device = torch.device("cuda" if name == "auto" else name)
    except RuntimeError as error:
        raise InputError(f"device: found {name!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type != "cuda":
        return device
    gpus = look_for_gpus() if gpus is None else gpus
    if name == "auto" and not gpus.cards:
        if gpus.hidden and not gpus.assigned:
            log.info("CUDA_VISIBLE_DEVICES=%r hides all GPUs: computing on the CPU", gpus.visible)
            return torch.device("cpu")
        if not (gpus.files or gpus.assigned or gpus.visible):
            return torch.device("cpu")
    if (device.index or 0) >= len(gpus.cards):
        raise InputError(_why_none(name, device.index or 0, gpus))
    card = gpus.cards[device.index or 0]
    if not runs_on(gpus.kernels, card.capability):
        raise InputError(_no_kernels(card, gpus))
    return device


def runs_on(kernels: Sequence[str], capability: tuple[int, int]) -> bool:
    """Whether code compiled for these architectures runs on a card of this compute capability.

    Machine code ("sm_86") runs on later minor versions of its major one; "sm_90a" on that version alone;
    intermediate code ("compute_120") on all later ones. Of other names (AMD's) nothing is known: true.
    """
    found = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", kernel) for kernel in kernels]
    known = [match.groups() for match in found if match]
    if not known:
        return True
    return any(
        (int(major), int(minor)) <= capability
        and (kind == "compute" or int(major) == capability[0])
        and (not exact or (int(major), int(minor)) == capability)
        for kind, major, minor, exact in known
    )


def _why_none(name: str, index: int, gpus: Gpus) -> str:
    """The error where PyTorch sees no GPU, or not so many."""
    demanded = f"{name} is demanded" if name != "auto" else f"this job has a GPU ({_sign_of(gpus)})"
    begin = f"device: {demanded}, but PyTorch sees {len(gpus.cards)} CUDA devices here ({gpus.in_words()})"
    if gpus.cards:
        return f"{begin}; expected cuda:N with N below {len(gpus.cards)}, found {index}"
    if gpus.cuda_version is None:
        new = gpus.driver is not None and _major(gpus.driver) >= _FIRST_DRIVERS[_major(_TESTED_CUDA)]
        todo = f"install {_install(gpus, _TESTED_CUDA if new else _OLDER_CUDA)}"
    elif gpus.hidden:
        todo = f"CUDA_VISIBLE_DEVICES={gpus.visible!r} hides them: unset it, or let it name one"
    elif gpus.driver is None:
        todo = "NVIDIA's driver is not loaded on this node, or this container does not show it (--nv, --gpus)"
    elif _major(gpus.driver) < (needed := _FIRST_DRIVERS.get(_major(gpus.cuda_version), 0)):
        older = _FIRST_DRIVERS[_major(_OLDER_CUDA)]
        instead = f", or install {_install(gpus, _OLDER_CUDA)}" if _major(gpus.driver) >= older else ""
        todo = f"CUDA {gpus.cuda_version} needs driver {needed} or newer: ask for one{instead}"
    elif gpus.visible:
        todo = f"CUDA_VISIBLE_DEVICES={gpus.visible!r} may name a GPU that is not here: `nvidia-smi -L` lists"
    else:
        todo = "the GPU may be broken or kept by another process: see `nvidia-smi` and `dmesg`"
    return f"{begin}; {todo}; or compute on the CPU, with --device cpu"


def _no_kernels(card: Card, gpus: Gpus) -> str:
    capability = f"{card.capability[0]}.{card.capability[1]}"
    older = runs_on(_OLDER_KERNELS, card.capability)
    todo = f"install {_install(gpus, _OLDER_CUDA)}" if older else "install a PyTorch that has some for it"
    return (
        f"device: {card.name} has compute capability {capability}, but this PyTorch holds kernels for "
        f"{', '.join(gpus.kernels)} alone ({gpus.in_words()}); take another card, or {todo}; or compute on "
        "the CPU, with --device cpu"
    )


def _install(gpus: Gpus, cuda: str) -> str:
    """How to install this PyTorch for another CUDA, and what is known of it."""
    release, index = gpus.torch_version.partition("+")[0], cuda.replace(".", "")
    return (
        f"`pip install torch=={release} torchvision --index-url https://download.pytorch.org/whl/cu{index}` "
        f"(driver {_FIRST_DRIVERS[_major(cuda)]} or newer; {_TESTED})"
    )


def _sign_of(gpus: Gpus) -> str:
    if gpus.assigned:
        return gpus.assigned
    return f"CUDA_VISIBLE_DEVICES={gpus.visible}" if gpus.visible else ", ".join(gpus.files)


def _assigned(environment: Mapping[str, str]) -> str:
    for name in _ASSIGNMENTS:
        value = environment.get(name, "")
        given = _text_of(Path(value)).strip() if name == "PBS_GPUFILE" and value else value
        if given not in ("", "0" if name == "SLURM_GPUS_ON_NODE" else ""):
            return f"{name}={value}"
    return ""


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _text_of(path: Path) -> str:
    """What a file holds; nothing if there is none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


class LostDeviceError(InputError):
    """The GPU refuses all further work of this process; another process can go on."""


def check_after(error: Exception, device: torch.device, probe: Callable[[torch.device], None]) -> None:
    """Raise if an error has left the device useless, as an illegal access or a failed assertion does.

    CUDA repeats such an error for whatever it is asked next: to go on, with another way to compute, would
    only fail later. After other errors, of compiling or of recording a graph, the device works as before.

    Parameters
    ----------
    error : Exception
        What was caught.
    device : torch.device
        What was computed on.
    probe : callable
        Computes a little on a device, as `compute_a_little` does.

    Raises
    ------
    LostDeviceError
        The device computes no more.
    """
    try:
        probe(device)
    except torch.OutOfMemoryError:  # full, and well
        return
    except Exception as lost:  # noqa: BLE001 - whatever it is, nothing can be computed
        raise LostDeviceError(
            f"{device}: expected a working device, found: {first_line(lost)} (first: {first_line(error)}); "
            "this process cannot use it any more: the same command goes on from the last saved state"
        ) from error


def compute_a_little(device: torch.device) -> None:
    """Compute on a device, and wait for it."""
    torch.ones(8, device=device).sum().item()


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, or its kind."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on the device; for a GPU, without waiting for what it has still to do."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
