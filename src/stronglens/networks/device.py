"""The device a network runs on, and the arithmetic it uses there."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from stronglens.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device of that name.

    Parameters
    ----------
    name : str
        "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ….

    Raises
    ------
    InputError
        The name is unknown, or a GPU is demanded and none can be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device: found {name!r}, expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= n_devices:
            raise InputError(f"device: {name} is demanded, but PyTorch sees {n_devices} CUDA devices here")
    return device


def arithmetic(device: torch.device, precision: str) -> torch.dtype | None:
    """The type that autocast computes in on this device; None for plain float32.

    `auto` means bfloat16 on a GPU that has it: compute capability 8.0 and up. PyTorch says that older ones
    support it, too, but they emulate it. On a CPU it means float32: without hardware for it, bfloat16 was ten
    times slower there (measured: two AVX2 cores).
    """
    if precision == "auto":
        has_it = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if has_it else None
    return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on the device; for a GPU, without waiting for what it has still to do."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@contextmanager
def algorithms(*, deterministic: bool) -> Iterator[None]:
    """For the block, take only algorithms that give the same bytes each time, if that is asked for.

    To be entered before the first product on a GPU. An operation for which there is no such algorithm raises
    RuntimeError.
    """
    before = torch.are_deterministic_algorithms_enabled()
    if deterministic:
        # cuBLAS reads it once, and without it takes turns with its workspaces.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """The context in which a network computes in `dtype`; no context at all for None."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
