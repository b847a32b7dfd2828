"""What `precision: auto` takes, on a CPU with pretended candidates and times: when, which, kept for whom."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from small_trainings import die_once_kept, small_network, train, with_train
from stronglens.networks import precision as precisions
from stronglens.networks.compiled import Compile
from stronglens.networks.device import LostDeviceError
from stronglens.networks.ways import Choice, ChoiceFile, Measured
from stronglens.settings.train import Precision, TrainSettings
from stronglens.training import precision_choice, train_member, trainer
from stronglens.training.precision_choice import with_chosen_precision
from stronglens.training.resume import begun_in, save_state
from stronglens.training.trainer import Trainer

CPU = torch.device("cpu")
SETTINGS = TrainSettings(epochs=100, batch_size=16)
MANY = 50_000

Steps = dict[tuple[Precision, str], float | Exception]
"""Seconds of a step, or what happens, in a precision and a way."""


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> tuple[Precision, Precision]:
    """Two precisions come into question."""
    both: tuple[Precision, Precision] = ("float32", "bf16")
    monkeypatch.setattr(precision_choice, "candidates_for_auto", lambda device: both)
    return both


def pretend(monkeypatch: pytest.MonkeyPatch, steps: Steps) -> list[tuple[Precision, str]]:
    """Give these times for real ones; all that is tried is listed."""
    tried: list[tuple[Precision, str]] = []

    def measure(self: Trainer, way: str) -> tuple[Measured, None]:
        tried.append((self.settings.precision, way))
        found = steps[tried[-1]]
        if isinstance(found, Exception):
            raise found
        return Measured(1.0, found, (0.7,)), None

    monkeypatch.setattr(Trainer, "measure", measure)
    return tried


def choose(
    folder: Path | None,
    settings: TrainSettings = SETTINGS,
    n_samples: int = MANY,
    *,
    build: Callable[[], nn.Module] = small_network,
    way: Compile = "auto",
    begun_in: Precision | None = None,
) -> Precision:
    about = {"network": "small"}
    found = with_chosen_precision(settings, build, (1, 9, 9), n_samples, CPU, folder, about, way, begun_in)
    assert found.model_copy(update={"precision": settings.precision}) == settings
    return found.precision


@pytest.mark.parametrize("whole_s", [0.03, 0.005])
def test_the_precision_with_the_fastest_way_is_taken(
    whole_s: float, candidates: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not the one whose eager steps are fastest: casts cost launches, which a recorded step does not pay."""
    steps: Steps = {("float32", "eager"): 0.02, ("float32", "whole"): 0.01, ("bf16", "eager"): 0.03}
    pretend(monkeypatch, steps | {("bf16", "whole"): whole_s})
    assert choose(tmp_path) == ("bf16" if whole_s < 0.01 else "float32")


def test_all_jobs_take_what_the_first_has_found(
    candidates: object,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    steps: Steps = {(name, way): 0.01 for name in ("float32", "bf16") for way in ("eager", "whole")}
    tried = pretend(monkeypatch, steps | {("bf16", "whole"): 0.001})
    assert choose(tmp_path) == "bf16"
    assert [
        len(tried),
        caplog.messages[-1].startswith("precision: taken: bf16 whole; measured: float32 eager 1,600"),
    ] == [4, True]
    tried = pretend(monkeypatch, {})
    assert choose(tmp_path) == "bf16"
    assert (tried, caplog.messages[-1]) == (
        [],
        "precision: taken as other jobs have found to be fastest here: bf16 whole",
    )
    # Of other work it says nothing.
    tried = pretend(monkeypatch, steps)
    assert choose(tmp_path, SETTINGS.model_copy(update={"batch_size": 32}), 2 * MANY) == "float32"
    assert tried


@pytest.mark.parametrize(
    ("change", "n_samples", "kept"),
    [
        ({"deterministic": True}, MANY, True),
        ({}, 100, True),
        ({}, MANY, False),
        ({"precision": "bf16"}, MANY, True),
        ({"precision": "fp16"}, MANY, True),
    ],
    ids=["equal bytes", "few steps", "nowhere to keep it", "bf16 is demanded", "fp16 is demanded"],
)
def test_nothing_is_measured_where_it_decides_nothing(
    change: dict[str, Any],
    n_samples: int,
    kept: bool,
    candidates: object,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    tried = pretend(monkeypatch, {})
    expected = change.get("precision", "float32")
    assert choose(tmp_path if kept else None, SETTINGS.model_copy(update=change), n_samples) == expected
    assert not tried
    assert not list(tmp_path.iterdir())


def test_a_cpu_computes_in_float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tried = pretend(monkeypatch, {})
    assert choose(tmp_path) == "float32"
    assert not tried


def test_what_does_not_work_is_not_taken(
    candidates: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = RuntimeError("no kernel for it")
    steps: Steps = {(name, way): broken for name in ("float32", "bf16") for way in ("eager", "whole")}
    pretend(monkeypatch, steps | {("bf16", "eager"): 0.01})
    assert choose(tmp_path / "one") == "bf16"
    pretend(monkeypatch, steps | {("float32", "whole"): 0.01})
    assert choose(tmp_path / "other") == "float32"


def test_where_nothing_works_nothing_is_kept(
    candidates: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What failed may work for the next job."""

    def build() -> nn.Module:
        raise RuntimeError("the weights cannot be fetched")

    steps: Steps = {(name, way): 0.01 for name in ("float32", "bf16") for way in ("eager", "whole")}
    tried = pretend(monkeypatch, steps | {("bf16", "whole"): 0.001})
    assert choose(tmp_path, build=build) == "float32"
    assert (tried, list(tmp_path.iterdir())) == ([], [])
    assert choose(tmp_path) == "bf16"


def test_a_device_that_is_lost_before_the_first_step_is_not_gone_on_with(
    candidates: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def is_lost(*_: object) -> None:
        raise LostDeviceError("lost")

    def build() -> nn.Module:
        raise RuntimeError("an error of the device")

    monkeypatch.setattr(precision_choice, "check_after", is_lost)
    with pytest.raises(LostDeviceError):
        choose(tmp_path, build=build)


def test_only_the_eager_way_counts_where_nothing_else_is_allowed(
    candidates: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps: Steps = {("float32", "eager"): 0.02, ("float32", "whole"): 0.01, ("bf16", "eager"): 0.03}
    tried = pretend(monkeypatch, steps | {("bf16", "whole"): 0.001})
    assert choose(tmp_path, way="never") == "float32"
    assert tried == [("float32", "eager"), ("bf16", "eager")]
    assert choose(tmp_path) == "bf16"  # not that of the other jobs


@pytest.mark.parametrize(("begun_in", "chosen"), [("bf16", "bf16"), ("float32", "float32"), ("fp16", "bf16")])
def test_a_training_that_has_begun_goes_on_in_its_precision(
    begun_in: Precision, chosen: str, candidates: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On another card, too; where that has no such thing, it begins anew in another."""
    steps: Steps = {(name, way): 0.01 for name in ("float32", "bf16") for way in ("eager", "whole")}
    pretend(monkeypatch, steps | {("bf16", "whole"): 0.001})
    assert choose(tmp_path, begun_in=begun_in) == chosen
    assert choose(tmp_path, SETTINGS.model_copy(update={"precision": "fp16"}), begun_in=begun_in) == "fp16"


def test_another_job_that_was_first_decides(
    candidates: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    keep = ChoiceFile.keep

    def keep_after_another(self: ChoiceFile, choice: Choice) -> str:
        keep(self, replace(choice, name="bf16 whole"))
        return keep(self, choice)

    steps: Steps = {(name, way): 0.01 for name in ("float32", "bf16") for way in ("eager", "whole")}
    pretend(monkeypatch, steps)
    monkeypatch.setattr(ChoiceFile, "keep", keep_after_another)
    assert choose(tmp_path) == "bf16"
    assert caplog.messages[-1] == "taken as another job has found meanwhile: bf16 whole"


def test_where_the_device_was_lost_the_next_try_leaves_that_out(
    candidates: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lost = LostDeviceError("lost")
    steps: Steps = {(name, "eager"): 0.01 for name in ("float32", "bf16")}
    steps |= {("float32", "whole"): lost, ("bf16", "whole"): lost}
    tried = pretend(monkeypatch, steps)
    for n_tried in (2, 5):
        with pytest.raises(LostDeviceError):
            choose(tmp_path)
        assert len(tried) == n_tried
    assert choose(tmp_path) == "float32"
    assert tried[5:] == [("float32", "eager"), ("bf16", "eager")]


def test_measuring_itself(
    candidates: tuple[Precision, Precision], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In both precisions, eager and in whole steps; of generators nothing is seen afterwards."""
    monkeypatch.setattr(trainer, "N_TIMED", 8)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    found = choose(tmp_path)
    assert torch.equal(torch.rand(3), expected)
    (kept,) = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    tried = {f"{precision} {way}" for precision in candidates for way in ("eager", "whole")}
    assert (set(kept["measured"]), kept["refused"]) == (tried, {})
    assert kept["way"] == min(tried, key=lambda name: kept["measured"][name]["step_s"])
    assert kept["way"].startswith(found)
    float32, bf16 = (kept["measured"][f"{name} eager"]["losses"] for name in candidates)
    # Alike in all but rounding: of float32, bfloat16 keeps 8 bits.
    assert 0 < max(abs(one - other) for one, other in zip(float32, bf16, strict=True)) < 1e-2


@pytest.mark.parametrize("chosen", ["tf32", "bf16"])
def test_members_are_computed_in_it_and_say_so(
    chosen: Precision, data: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Their settings still say `auto`: they can be predicted on another device."""
    seen = set[tuple[torch.dtype | None, bool]]()
    whole = train_member.score

    def with_chosen(settings: TrainSettings, *_: Any) -> TrainSettings:
        return settings.model_copy(update={"precision": chosen})

    def score(network: Any, samples: Any, precision: Precision, *more: Any) -> Any:
        seen.add((precisions.autocast_dtype(CPU, precision), torch.backends.cuda.matmul.allow_tf32))
        return whole(network, samples, precision, *more)

    monkeypatch.setattr(train_member, "with_chosen_precision", with_chosen)
    monkeypatch.setattr(precisions, "resolved", lambda device, precision: precision)  # a CPU has no TF32
    for module in (train_member, trainer):
        monkeypatch.setattr(module, "score", score)
    assert train(data, tmp_path, with_train(epochs=1)) == 0
    described = json.loads((tmp_path / "best.json").read_text())
    assert (described["precision"], described["settings"]["train"]["precision"]) == (chosen, "auto")
    assert seen == {(torch.bfloat16, False) if chosen == "bf16" else (None, True)}


def test_a_retry_goes_on_in_the_precision_of_its_state(
    candidates: object, data: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(precision_choice, "resolved", lambda device, precision: "bf16")
        die_once_kept(patch, 1)
        train(data, tmp_path, with_train(epochs=2))
    assert train(data, tmp_path, with_train(epochs=2)) == 0
    assert json.loads((tmp_path / "best.json").read_text())["precision"] == "bf16"
    assert not (tmp_path / "resume.stale").exists()


@pytest.mark.parametrize("change", [{}, {"seed": 2}])
def test_only_a_state_of_this_training_decides(change: dict[str, int], tmp_path: Path) -> None:
    identity = {"settings": {"epochs": 2}, "seed": 1}
    assert begun_in(tmp_path, identity) is None
    save_state(tmp_path, identity | change | {"precision": "bf16"}, {})
    assert begun_in(tmp_path, identity) == (None if change else "bf16")
    (tmp_path / "state.pt").write_bytes(b"nothing")
    assert begun_in(tmp_path, identity) is None
