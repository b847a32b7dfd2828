"""The trainer: cut anywhere it goes on to the same bytes, whatever is asked of it, and says how far it is."""

import copy
import json
import math
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from small_trainings import (
    OF_STEPS,
    PRODUCTS,
    STACK,
    die_once_kept,
    small_network,
    small_samples,
    train,
    with_train,
)
from stronglens.formats.train_progress import read_progress
from stronglens.networks.compiled import _Compiled
from stronglens.networks.resident import ResidentSamples
from stronglens.networks.ways import Measured
from stronglens.running.errors import InputError, StoppedError
from stronglens.settings.train import TrainSettings
from stronglens.training import resume, step, train_member, trainer, validation
from stronglens.training.schedule import Watch
from stronglens.training.trainer import WAYS, Trainer


@pytest.mark.parametrize("n_epochs", [1, 2, 3])
def test_training_that_was_cut_short_gives_the_same_bytes(data, tmp_path, monkeypatch, n_epochs):
    settings = with_train(schedule="plateau", plateau_patience=0)
    assert train(data, tmp_path / "whole", settings) == 0
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_once_kept(patch, n_epochs)
        train(data, tmp_path / "cut", settings)
    assert not (tmp_path / "cut/best.pt").exists()
    seen = []
    with monkeypatch.context() as patch:
        run_epoch = trainer.Trainer._epoch
        patch.setattr(trainer.Trainer, "_epoch", lambda *given: seen.append(given) or run_epoch(*given))
        assert train(data, tmp_path / "cut", settings) == 0
    assert len(seen) == 3 - n_epochs
    for name in PRODUCTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("n_steps", [1, 11, 16, 24])  # 8 steps an epoch: the last ones count too
def test_after_sigterm_within_an_epoch_training_goes_on_to_the_same_bytes(
    data, tmp_path, monkeypatch, caplog, n_steps
):
    seen = []

    def augment_then_stop(images, settings, generator):
        seen.append(len(images))
        if len(seen) == n_steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return images.flip(3) if torch.rand((), generator=generator) < 0.5 else images

    def augment_plainly(images, settings, generator):
        seen.append(len(images))
        return images.flip(3) if torch.rand((), generator=generator) < 0.5 else images

    monkeypatch.setattr(step, "augment", augment_plainly)
    assert train(data, tmp_path / "whole") == 0
    assert len(seen) == 24
    seen.clear()
    handler = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(step, "augment", augment_then_stop)
        assert train(data, tmp_path / "cut") == 143
    assert signal.getsignal(signal.SIGTERM) == handler
    assert "stopped by SIGTERM" in caplog.text
    assert not (tmp_path / "cut/best.pt").exists()
    assert train(data, tmp_path / "cut") == 0
    assert len(seen) == 24
    for name in PRODUCTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("n_epochs", [1, 3])
def test_after_sigterm_in_validation_training_goes_on_to_the_same_bytes(
    data, tmp_path, monkeypatch, caplog, n_epochs
):
    monkeypatch.setattr(validation, "SCORING_BATCH_SIZE", 16)
    assert train(data, tmp_path / "whole") == 0
    n_scored, batches = [], []

    def score_until_told(network, samples, precision, forward, room):
        n_scored.append(len(samples))

        def forward_until_told(images):
            batches.append(len(images))
            if len(n_scored) == n_epochs and len(batches) % 4 == 2:  # 60 samples are 4 batches
                os.kill(os.getpid(), signal.SIGTERM)
            return forward(images)

        return score(network, samples, precision, forward_until_told, room)

    with monkeypatch.context() as patch:
        score = trainer.score
        patch.setattr(trainer, "score", score_until_told)
        assert train(data, tmp_path / "cut") == 143
    assert len(batches) == 4 * (n_epochs - 1) + 2  # the others were not waited for
    assert f"stopped by SIGTERM after all steps of epoch {n_epochs};" in caplog.text
    steps = []
    with monkeypatch.context() as patch:
        augment = step.augment
        patch.setattr(step, "augment", lambda *given: steps.append(given) or augment(*given))
        assert train(data, tmp_path / "cut") == 0
    assert len(steps) == 8 * (3 - n_epochs)  # none is done again
    for name in PRODUCTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


OPTIONS = {
    "fp16": {"precision": "fp16"},
    "muon": {"optimiser": "muon"},
    "moves": {"augment_any_angle": True, "augment_shift_px": 1.0},
    "ema_decay": {"ema_decay": 0.9},
    "label_smoothing": {"label_smoothing": 0.1},
    "mixup": {"mixup_alpha": 0.4},
    "cutmix": {"cutmix_alpha": 1.0},
    "clip_grad_norm": {"clip_grad_norm": 0.05},
    "balance": {"balance": "bucket"},
    "band_dropout": {"band_dropout": 0.3},
    "skip_incomplete": {"skip_incomplete": True, "train_fraction": 1.0},
    "preprocess.object": {},
    "preprocess.asinh": {},
}


SHORT = {"epochs": 2, "train_fraction": 0.8}  # of all objects every bucket has as many


def with_option(name):
    settings = STACK | {"train": STACK["train"] | SHORT | OPTIONS[name]}
    block, _, key = name.partition(".")
    if block == "preprocess":
        settings["preprocess"] = {"normalisation": key}
    return settings


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("plain")
    assert train(data, out_dir, STACK | {"train": STACK["train"] | SHORT}) == 0
    return out_dir


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_acts_and_goes_on_to_the_same_bytes(data, plain, tmp_path, monkeypatch, name):
    settings = with_option(name)
    assert train(data, tmp_path / "whole", settings) == 0
    assert (tmp_path / "whole/last.pt").read_bytes() != (plain / "last.pt").read_bytes()
    turns = []
    n_steps = math.ceil(json.loads((tmp_path / "whole/results.json").read_text())["n_samples"]["train"] / 16)

    def augment_then_stop(images, settings, generator):
        turns.append(len(images))
        if len(turns) == n_steps + 1:  # within the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return augment(images, settings, generator)

    with monkeypatch.context() as patch:
        augment = step.augment
        patch.setattr(step, "augment", augment_then_stop)
        assert train(data, tmp_path / "cut", settings) == 143
    assert train(data, tmp_path / "cut", settings, 42, "--resident", "never") == 0
    for product in PRODUCTS:
        assert (tmp_path / "cut" / product).read_bytes() == (tmp_path / "whole" / product).read_bytes()


def test_all_options_together_learn_rings(data, tmp_path):
    together = {"epochs": 12, "band_dropout": 0.1, "label_smoothing": 0.02, "clip_grad_norm": 1.0}
    more = {"ema_decay": 0.9, "balance": "bucket", "mixup_alpha": 0.1, "skip_incomplete": True}
    settings = STACK | {
        "train": STACK["train"] | together | more | {"lr": 4e-3},
        "preprocess": {"normalisation": "object"},
    }
    assert train(data, tmp_path, settings) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["n_samples"]["train"] == 23  # of 24 objects one has no z band
    assert results["test"]["auc"] > 0.95


def test_a_training_writes_how_far_it_is(data, tmp_path, monkeypatch):
    """Of tries that were cut too, and of those that start anew."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_once_kept(patch, 2)
        train(data, tmp_path)
    cut, _ = read_progress(tmp_path)
    assert (len(cut.epochs), cut.n_epochs, cut.step, cut.n_steps) == (2, 3, 0, 8)
    seen = []
    with monkeypatch.context() as patch:
        write = train_member.ProgressFile.write
        patch.setattr(
            train_member.ProgressFile,
            "write",
            lambda *given: seen.append(len(given[1].epochs)) or write(*given),
        )
        patch.setattr("stronglens.formats.train_progress.WRITE_EVERY_S", 0)
        assert train(data, tmp_path) == 0
    assert seen == [2] * 10 + [3]  # as it begins, as it goes on, after each of eight steps, after the epoch
    found, _ = read_progress(tmp_path)
    table = pd.read_csv(tmp_path / "training_log.csv")
    assert [one.val_auc for one in found.epochs] == list(table["val_auc"])
    assert found.epochs[:2] == cut.epochs
    assert all(one.seconds >= 0 for one in found.epochs)


@pytest.mark.parametrize("n_steps", [0, 3])
def test_a_state_within_an_epoch_is_kept_by_a_thread_and_goes_on_to_the_same_bytes(
    data, tmp_path, monkeypatch, n_steps
):
    assert train(data, tmp_path / "whole") == 0
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_once_kept(patch, 1, n_steps)
        train(data, tmp_path / "cut")
    monkeypatch.setattr(resume, "SAVE_EVERY_S", 0)  # and all of the rest as well
    assert train(data, tmp_path / "cut") == 0
    for name in PRODUCTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def graphs_compiled():
    """Counts of compiled graphs. PyTorch has no public ones; where it moves these, this test fails."""
    return torch._dynamo.utils.counters["stats"]


def test_compiled_training_agrees_compiles_twice_and_goes_on_to_the_same_bytes(data, tmp_path, monkeypatch):
    settings = with_train(epochs=2, batch_size=8)
    monkeypatch.setattr(validation, "SCORING_BATCH_SIZE", 8)
    torch.compiler.reset()  # what other tests have compiled counts towards a limit
    graphs_compiled().clear()
    assert train(data, tmp_path / "whole", settings, 42, "--compile", "always") == 0
    assert graphs_compiled()["unique_graphs"] == 2  # learning, scoring
    assert train(data, tmp_path / "eager", settings) == 0
    logs = [pd.read_csv(tmp_path / name / "training_log.csv") for name in ("whole", "eager")]
    assert np.allclose(logs[0], logs[1], rtol=0.01)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_once_kept(patch, 1)
        train(data, tmp_path / "cut", settings, 42, "--compile", "always")
    assert train(data, tmp_path / "cut", settings, 42, "--compile", "always") == 0
    for name in PRODUCTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_stops_early(data, tmp_path):
    assert train(data, tmp_path, with_train(epochs=40, patience=1, lr=1e-9, min_delta=0.2)) == 0
    assert len(pd.read_csv(tmp_path / "training_log.csv")) == 2


def test_divergence_is_an_error(data, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(trainer, "score", lambda *given: trainer.Scores(math.nan, 0.5, math.nan))
    assert train(data, tmp_path) == 1
    assert "training has diverged: a lower lr (now 0.002)" in caplog.text
    assert not list(tmp_path.glob("best*"))


@pytest.mark.parametrize("name", OF_STEPS)
def test_measuring_leaves_weights_optimiser_and_generators_as_they_were(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = Trainer(small_network(), small_samples(), small_samples(), OF_STEPS[name], 1).fit()
    measuring = Trainer(
        small_network(), small_samples(), small_samples(), OF_STEPS[name], 1, "auto", None, None, tmp_path
    )
    monkeypatch.setattr(trainer, "WAYS", WAYS[:2])
    monkeypatch.setattr(Trainer, "_chosen", Trainer._measured)
    drawn = torch.get_rng_state()
    found = measuring.fit()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert found.way in ("eager", "whole")
    assert found.records == expected.records
    for key, tensor in expected.last.items():
        assert torch.equal(tensor, found.last[key]), key
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("way", ["never", "whole", "auto"])
def test_the_first_epochs_see_the_centre_and_all_else_whole_images(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainSettings(epochs=5, batch_size=90, augment=False, crop_px=8, crop_share=0.5)
    samples, shown = small_samples(), list[Tensor]()
    network = small_network()
    network.register_forward_pre_hook(
        lambda module, given: shown.append(given[0]) if module.training else None
    )
    monkeypatch.setattr(trainer, "WAYS", WAYS[:2])
    monkeypatch.setattr(trainer, "N_COMPARED", 1)
    monkeypatch.setattr(trainer, "N_TIMED", 1)
    if way == "auto":  # as on a GPU
        monkeypatch.setattr(Trainer, "_chosen", Trainer._measured)
    Trainer(network, samples, samples, settings, 1, way).fit()
    seen = shown[-5:]
    assert [one.shape[2:] for one in seen] == [(8, 8)] * 2 + [(9, 9)] * 3
    # The last row and column are left out: 8 of 9 pixels, half a pixel towards the origin.
    assert {one.tobytes() for one in seen[0].numpy()} == {
        one.tobytes() for one in samples.images[:, None, :8, :8].contiguous().numpy()
    }


@pytest.mark.parametrize(("crop_px", "way"), [(None, "whole_compiled"), (8, "whole")])
def test_steps_that_are_set_up_twice_cost_their_set_up_twice(
    crop_px: int | None, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 500 steps: 50 and 30 s of steps; with 15 s of set-up once 45 s, twice 60.
    costs = {"eager": (0.0, 1.0), "whole": (0.0, 0.1), "whole_compiled": (15.0, 0.06)}

    def measure(self: Trainer, name: str) -> tuple[Measured, None]:
        return Measured(*costs[name], losses=(0.7,)), None

    monkeypatch.setattr(trainer, "WAYS", tuple(replace(one, setup_s=1.0) for one in WAYS[:3]))
    monkeypatch.setattr(Trainer, "measure", measure)
    settings = TrainSettings(epochs=500, batch_size=90, crop_px=crop_px)
    one = Trainer(small_network(), small_samples(), small_samples(), settings, 1)
    assert one._measured()[0] == way


@pytest.mark.parametrize(
    ("choice", "fails", "way"),
    [
        ("always", "at once", "eager"),
        ("whole_compiled", "at once", "whole"),
        ("always", "later", "compiled, then eager"),
        ("whole_compiled", "later", "whole_compiled, then whole"),
        ("whole_compiled", "never", "whole_compiled"),
    ],
)
def test_the_record_says_how_steps_were_taken_not_how_they_were_to_be(
    choice: Any, fails: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_calls = 0

    def compile_with(network: nn.Module, shape: Any, device: Any, *given: Any, **more: Any) -> Any:
        def fast(images: Tensor) -> Any:
            nonlocal n_calls
            n_calls += 1
            if fails == "later" and n_calls == 3:
                raise RuntimeError("no compiler any more")
            return network(images)

        return (
            network if fails == "at once" else _Compiled(fast, network, shape, device, False, lambda at: None)
        )

    monkeypatch.setattr(trainer, "compiled", compile_with)
    settings = TrainSettings(epochs=2, batch_size=30)
    assert Trainer(small_network(), small_samples(), small_samples(), settings, 1, choice).fit().way == way
    if fails == "later":
        n_calls = 0
        one = Trainer(small_network(), small_samples(), small_samples(), settings, 1)
        with pytest.raises(RuntimeError, match="steps were taken otherwise"):
            one.measure({"always": "compiled"}.get(choice, choice))


class Keeping:
    """Keeps the state in which a training is stopped."""

    state: Mapping[str, Any]

    def offer(self, state: Any) -> None:
        pass

    def keep(self, state: Mapping[str, Any]) -> None:
        self.state = copy.deepcopy(dict(state))


def test_no_step_is_taken_with_what_failed_for_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM ends the compiler as well, and without one steps are taken in another way."""
    settings = TrainSettings(epochs=2, batch_size=30, mixup_alpha=0.2)
    made, keeper = Trainer._made, Keeping()

    def make_and_end(self: Trainer, way: str, *, strict: bool = False) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return made(self, way, strict=strict)

    def new() -> Trainer:
        return Trainer(small_network(), small_samples(), small_samples(), settings, 1)

    expected = new().fit()
    with monkeypatch.context() as patch, pytest.raises(StoppedError, match="before step 1 of 3 of epoch 1"):
        patch.setattr(Trainer, "_made", make_and_end)
        new().fit(keeper)  # type: ignore[arg-type]
    assert keeper.state["step"] == 0
    again = new()
    again.load_state_dict(keeper.state)
    found = again.fit()
    assert found.records == expected.records
    for key, tensor in expected.last.items():
        assert torch.equal(tensor, found.last[key]), key


def test_a_signal_while_ways_are_measured_leaves_no_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail_and_end(self: Trainer, way: str) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("the compiler was killed")

    monkeypatch.setattr(Trainer, "_chosen", Trainer._measured)
    monkeypatch.setattr(Trainer, "measure", fail_and_end)
    settings = TrainSettings(epochs=2, batch_size=30)
    one = Trainer(
        small_network(), small_samples(), small_samples(), settings, 1, choices=tmp_path / "choices"
    )
    with pytest.raises(StoppedError, match="before the first step; the same command begins anew"):
        one.fit()
    assert not (tmp_path / "choices").exists()


@pytest.mark.parametrize(
    ("error", "n_kept"), [(torch.OutOfMemoryError("CUDA out of memory"), 0), (RuntimeError("never works"), 1)]
)
def test_a_choice_for_want_of_room_is_for_one_job_alone(
    error: Exception, n_kept: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measure(self: Trainer, name: str) -> tuple[Measured, None]:
        if name == "whole":
            raise error
        return Measured(0.0, 0.1, (0.7,)), None

    monkeypatch.setattr(trainer, "WAYS", WAYS[:2])
    monkeypatch.setattr(Trainer, "measure", measure)
    settings = TrainSettings(epochs=500, batch_size=90)
    one = Trainer(small_network(), small_samples(), small_samples(), settings, 1, choices=tmp_path)
    assert one._measured() == ("eager", None)
    assert len(list(tmp_path.iterdir())) == n_kept


def test_trainings_share_a_choice_where_their_steps_cost_the_same(tmp_path: Path) -> None:
    def choice(**more: Any) -> Path | None:
        settings = TrainSettings(**({"epochs": 80, "batch_size": 90} | more))
        one = Trainer(small_network(), small_samples(), small_samples(), settings, 1, choices=tmp_path)
        return one._choices.path

    plain = choice()
    assert choice(lr=1e-3, weight_decay=0.1, epochs=70) == plain
    others = (
        *({"epochs": 4}, {"ema_decay": 0.9}, {"mixup_alpha": 0.2}, {"clip_grad_norm": 1.0}, {"crop_px": 8}),
        *({"augment_noise": 0.1}, {"optimiser": "muon"}),
    )
    assert len({plain, *(choice(**more) for more in others)}) == len(others) + 1


def test_patience_begins_with_whole_images() -> None:
    settings = TrainSettings(epochs=10, patience=2, crop_px=8, crop_share=0.6)
    watch = Watch()
    over = []
    for epoch in range(1, 10):
        watch.observe(settings, epoch, 0.9 if epoch == 1 else 0.5)
        over.append(watch.patience_is_over(settings))
    assert over.index(True) + 1 == 8


def test_images_and_networks_that_cannot_be_cropped_so_are_refused(data, tmp_path, caplog):
    assert train(data, tmp_path, with_train(crop_px=33)) == 1
    assert "train.crop_px: expected less than the 33 pixels of an image, found 33" in caplog.text
    assert train(data, tmp_path, with_train(crop_px=31)) == 1
    assert "convnextv2_atto does not take images of 1 x 31 x 31" in caplog.text
    with pytest.raises(ValidationError, match="a crop need not hold the shares"):
        TrainSettings(crop_px=31, cutmix_alpha=1.0)
    with pytest.raises(ValidationError, match="nothing is cropped without crop_px"):
        TrainSettings(crop_share=0.5)


@pytest.mark.parametrize("name", ["all", "crop"])
def test_a_resumed_training_takes_its_way_and_measures_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Trainer(small_network(), small_samples(), small_samples(), OF_STEPS[name], 1, "whole")
    states: list[dict[str, object]] = []
    expected = first.fit(observe=lambda state: states.append(copy.deepcopy(dict(state))))
    monkeypatch.setattr(Trainer, "_chosen", None)
    again = Trainer(small_network(), small_samples(), small_samples(), OF_STEPS[name], 1, "never")
    again.load_state_dict(states[0])
    found = again.fit()
    assert (found.way, found.records) == ("whole", expected.records)
    for key, tensor in expected.last.items():
        assert torch.equal(tensor, found.last[key]), key


def labelled_noise(n_lenses: int) -> ResidentSamples:
    samples = small_samples()
    return ResidentSamples(
        samples.images, samples.rows, (torch.arange(90) < n_lenses).float(), has_gaps=False
    )


@pytest.mark.parametrize("n_lenses", [0, 90])
@pytest.mark.parametrize("split", ["training", "validation"])
def test_both_classes_must_be_there(split: str, n_lenses: int) -> None:
    sets = [labelled_noise(n_lenses if name == split else 40) for name in ("training", "validation")]
    said = (
        f"{split} split: expected lenses and non-lenses, found {n_lenses} samples of lenses "
        f"and {90 - n_lenses} of non-lenses"
    )
    with pytest.raises(InputError, match=said):
        Trainer(small_network(), *sets, OF_STEPS["plain"], 1)


def test_figures_of_an_epoch_are_means_over_samples() -> None:
    """Also where the last batch is smaller. So slow a training leaves the network as it was."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(81, 1))
    train_set, val_set = labelled_noise(30), labelled_noise(50)
    settings = TrainSettings(epochs=1, batch_size=16, lr=1e-12, augment=False)
    expected = {}
    with torch.no_grad():
        logits = network(train_set.take(torch.arange(90)))[:, 0].double()
    for name, samples in (("train", train_set), ("val", val_set)):
        expected[name] = (
            binary_cross_entropy_with_logits(logits, samples.labels.double()).item(),
            ((logits > 0) == (samples.labels > 0.5)).double().mean().item(),
        )
    (record,) = Trainer(network, train_set, val_set, settings, 1).fit().records
    assert (record.train_loss, record.train_acc) == pytest.approx(expected["train"], abs=1e-6)
    assert (record.val_loss, record.val_acc) == pytest.approx(expected["val"], abs=1e-6)
    assert record.val_auc == pytest.approx(roc_auc_score(val_set.labels.numpy(), logits.numpy()))


@pytest.mark.parametrize("monitor", ["auc", "loss"])
def test_the_best_weights_are_those_of_the_best_epoch(monkeypatch: pytest.MonkeyPatch, monitor: str) -> None:
    scores = iter([(0.5, 0.6), (0.2, 0.7), (0.4, 0.9), (0.3, 0.8)])  # loss, AUC

    def scored(*_: object) -> trainer.Scores:
        loss, auc = next(scores)
        return trainer.Scores(loss, 0.5, auc)

    monkeypatch.setattr(trainer, "score", scored)
    weights: list[torch.Tensor] = []
    settings = TrainSettings.model_validate({"epochs": 4, "batch_size": 16, "monitor": monitor})
    found = Trainer(small_network(), small_samples(), small_samples(), settings, 1).fit(
        observe=lambda state: weights.append(state["network"]["0.weight"].clone())
    )
    assert found.best_epoch == {"auc": 3, "loss": 2}[monitor]
    assert torch.equal(found.best["0.weight"], weights[found.best_epoch - 1])
    assert torch.equal(found.last["0.weight"], weights[3])
    assert not torch.equal(weights[3], weights[found.best_epoch - 1])
