"""What numbers a network computes with: exactly those that `precision` names, and which algorithms."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from stronglens.settings.member import MemberSettings
from stronglens.settings.train import Precision, TrainSettings

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_FIRST_WITH_BF16_AND_TF32 = (8, 0)
"""Compute capability. PyTorch says that older cards support bfloat16 too, but they emulate it."""


def resolved(device: torch.device, precision: Precision) -> Precision:
    """What is computed in on this device: `tf32` only where there is such a thing, `auto` by the device.

    That is `candidates_for_auto`'s first. What training has found to be faster, it says before it comes here
    (`stronglens.training.precision_choice`).

    Notes
    -----
    Largest differences of probabilities from a CPU's float32, measured on an H100 with torch 2.11, nano and
    atto: float32 6e-7 and 4e-7, tf32 3.2e-4 and 1.7e-4, fp16 4.8e-4 and 3.2e-4, bf16 4.7e-3 and 2.5e-3.
    """
    if precision == "auto":
        return candidates_for_auto(device)[0]
    return "float32" if precision == "tf32" and not _has_bf16_and_tf32(device) else precision


def candidates_for_auto(device: torch.device) -> tuple[Precision, ...]:
    """What `auto` can be on this device; the first where nothing is measured.

    On a GPU that has bfloat16, that or TF32; on an older one float32 or float16. On a CPU float32: without
    hardware for it, bfloat16 was ten times slower there (measured: two AVX2 cores).
    """
    if device.type != "cuda":
        return ("float32",)
    return ("bf16", "tf32") if _has_bf16_and_tf32(device) else ("float32", "fp16")


def _has_bf16_and_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= _FIRST_WITH_BF16_AND_TF32


def as_trained(device: torch.device, settings: MemberSettings, trained_in: str | None) -> MemberSettings:
    """Settings to predict with: `auto` is what the member was trained in, where that was chosen by measuring.

    `trained_in` is what `best.json` holds. float32 may be that of a CPU: a GPU has faster ones.
    """
    chosen = chosen_by_measuring(settings, trained_in)
    if chosen is None or device.type != "cuda":
        return settings
    return settings.model_copy(update={"train": settings.train.model_copy(update={"precision": chosen})})


def chosen_by_measuring(settings: MemberSettings, trained_in: str | None) -> str | None:
    """What a member was trained in if `auto` is that on a GPU only where it was measured, else None."""
    return trained_in if settings.train.precision == "auto" and trained_in in ("tf32", "fp16") else None


def autocast_dtype(device: torch.device, precision: Precision) -> torch.dtype | None:
    """The type that autocast computes in on this device; None for float32 and tf32, which need none."""
    return _AUTOCAST.get(resolved(device, precision))


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """The context in which a network computes in `dtype`; no context at all for None."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def gradient_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler:
    """Keeps small gradients from becoming 0 in float16; with any other type, does nothing."""
    return torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)


@contextmanager
def algorithms(settings: TrainSettings) -> Iterator[None]:
    """For the block, PyTorch multiplies float32 as `precision` says, and repeatably if that is asked for.

    Everything on a GPU belongs inside, from the first product on. TF32 is used for `tf32` alone: by itself
    PyTorch takes it for convolutions. With `deterministic`, an operation for which there is no algorithm that
    gives the same bytes each time raises RuntimeError.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()
    # These names, not fp32_precision: once that is set, torch 2.11 and 2.14 raise where these are read, as
    # `torch.backends.cudnn.flags` and Inductor do.
    matmul.allow_tf32 = cudnn.allow_tf32 = settings.precision == "tf32"
    if settings.deterministic:
        # cuBLAS reads it once, and without it takes turns with its workspaces.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before[:2]
        torch.use_deterministic_algorithms(before[2])


def computed_on(device: torch.device, settings: TrainSettings) -> dict[str, str | bool]:
    """What decides on the last bits of a training, for records.

    Returns
    -------
    dict
        `device` and `torch`; `precision`, as it was chosen if it was left to us; `same_bytes_again`, whether
        the same training on the same machine, with as many threads, gives the same bytes: always on a CPU,
        on a GPU with `deterministic`.
    """
    return {
        "device": device_in_words(device),
        "torch": str(torch.__version__),
        "precision": resolved(device, settings.precision),
        "same_bytes_again": device.type == "cpu" or settings.deterministic,
    }


def device_in_words(device: torch.device) -> str:
    """What a device is, for logs and records."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
