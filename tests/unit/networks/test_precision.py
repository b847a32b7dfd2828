"""Networks compute in what the settings say, with pretended cards; products themselves: on a real GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from stronglens.networks.precision import (
    algorithms,
    as_trained,
    autocast,
    autocast_dtype,
    candidates_for_auto,
    computed_on,
    gradient_scaler,
    resolved,
)
from stronglens.settings.member import MemberSettings
from stronglens.settings.train import Precision, TrainSettings

SCRIPTS = Path(__file__).parents[3] / "workflow" / "scripts"
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def _pretend(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A card")


@pytest.mark.parametrize(
    ("capability", "chosen"),
    [((7, 0), "float32"), ((7, 5), "float32"), ((8, 0), "bf16"), ((9, 0), "bf16"), ((12, 0), "bf16")],
)
def test_auto_takes_bf16_only_of_gpus_that_have_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], chosen: str
) -> None:
    _pretend(monkeypatch, capability)
    assert resolved(GPU, "auto") == chosen
    assert candidates_for_auto(GPU) == (("bf16", "tf32") if chosen == "bf16" else ("float32", "fp16"))
    assert candidates_for_auto(CPU) == ("float32",)
    assert resolved(GPU, "tf32") == ("float32" if chosen == "float32" else "tf32")
    assert resolved(CPU, "auto") == resolved(CPU, "tf32") == "float32"


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", None), ("tf32", None), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_each_value_is_itself_on_any_device(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, dtype: torch.dtype | None
) -> None:
    _pretend(monkeypatch, (9, 0))
    assert autocast_dtype(GPU, precision) == autocast_dtype(CPU, precision) == dtype
    assert gradient_scaler(CPU, dtype).is_enabled() == (precision == "fp16")
    with autocast(CPU, dtype):
        assert torch.is_autocast_enabled("cpu") == (dtype is not None)


@pytest.mark.parametrize(
    ("given", "trained_in", "on_gpu"),
    [
        ("auto", "tf32", "tf32"),
        ("auto", "fp16", "fp16"),
        ("auto", "bf16", "bf16"),
        ("auto", "float32", "bf16"),  # on a CPU, it may be
        ("auto", None, "bf16"),  # imported
        ("bf16", "bf16", "bf16"),
        ("float32", "tf32", "float32"),
    ],
)
def test_a_gpu_predicts_in_what_training_has_chosen(
    given: Precision, trained_in: str | None, on_gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, (9, 0))
    settings = MemberSettings(train=TrainSettings(precision=given))
    assert resolved(GPU, as_trained(GPU, settings, trained_in).train.precision) == on_gpu
    assert as_trained(CPU, settings, trained_in) == settings
    _pretend(monkeypatch, (7, 5))  # which has no such thing
    assert resolved(GPU, as_trained(GPU, MemberSettings(), "tf32").train.precision) == "float32"


@pytest.mark.parametrize("precision", ["auto", "float32", "tf32", "bf16", "fp16"])
def test_tf32_is_taken_where_it_is_asked_for_alone(precision: Precision) -> None:
    """Of convolutions, too, for which PyTorch takes it by itself."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    assert before == (False, True)
    with algorithms(TrainSettings(precision=precision)):
        expected = precision == "tf32"
        assert (matmul.allow_tf32, cudnn.allow_tf32) == (expected, expected)
        # What kernels go by.
        assert (matmul.fp32_precision == "tf32", cudnn.conv.fp32_precision == "tf32") == (expected, expected)
        with torch.backends.cudnn.flags(enabled=True):  # raises where both ways to ask are mixed
            pass
    assert (matmul.allow_tf32, cudnn.allow_tf32) == before


def test_no_warning_of_settings() -> None:
    """In a process of its own: PyTorch warns once."""
    code = """
import torch
from stronglens.networks.precision import algorithms
from stronglens.settings.train import TrainSettings
for precision in ("float32", "tf32"):
    with algorithms(TrainSettings(precision=precision, deterministic=True)):
        print(torch.get_float32_matmul_precision())
"""
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=True
    )
    assert (done.stdout.split(), done.stderr) == (["highest", "high"], "")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "least", "most"), [("float32", 0, 5e-6), ("tf32", 1e-5, 1e-2)])
def test_products_on_a_gpu_have_the_digits_of_their_precision(
    precision: Precision, least: float, most: float
) -> None:
    torch.manual_seed(1)
    images, kernels = torch.randn(8, 64, 16, 16), torch.randn(64, 64, 3, 3)
    exact = torch.nn.functional.conv2d(images.double(), kernels.double())
    with algorithms(TrainSettings(precision=precision)):
        found = torch.nn.functional.conv2d(images.to(GPU), kernels.to(GPU)).cpu()
    assert least < float((found - exact).abs().max() / exact.abs().max()) < most


@pytest.mark.parametrize(("given", "kept"), [("bfloat16", "bf16"), ("float16", "fp16"), ("tf32", "tf32")])
def test_names_of_earlier_versions_are_understood(given: str, kept: str) -> None:
    assert TrainSettings.model_validate({"precision": given}).precision == kept


def test_other_names_are_refused() -> None:
    with pytest.raises(ValidationError, match="'auto', 'float32', 'tf32', 'bf16' or 'fp16'"):
        TrainSettings.model_validate({"precision": "half"})


def test_the_record_says_whether_bytes_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, (9, 0))
    plain, deterministic = TrainSettings(), TrainSettings(deterministic=True)
    assert computed_on(CPU, plain)["same_bytes_again"] is True
    assert computed_on(GPU, deterministic)["same_bytes_again"] is True
    assert computed_on(GPU, plain) == {
        "device": "A card",
        "torch": torch.__version__,
        "precision": "bf16",
        "same_bytes_again": False,
    }
