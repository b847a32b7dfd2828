"""Searches: trials that are asked, pruned, killed, gone on with, failed and told; and what is concluded."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import conclude_search
import plot_search
import run_trial
from drawn_figures import is_picture
from packed_files import write_packed, write_splits
from small_configs import only_problem, problems, small
from stronglens.configuring.config import check_config
from stronglens.formats.trial_files import TrialResult, best_of
from stronglens.running.errors import InputError
from stronglens.searching import study as studies
from stronglens.searching.conclusion import trials_table
from stronglens.searching.distributions import distribution_of
from stronglens.searching.search_plots import draw_curves, draw_history, draw_importance, importance
from stronglens.searching.space import read, written
from stronglens.settings.search import Dimension, TrialSettings
from stronglens.training import resume, trainer

SCRIPTS = Path(__file__).parents[3] / "workflow" / "scripts"
TINY = {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}
MEMBER = {
    "network": {"name": "convnextv2_atto", "timm": TINY},
    "train": {"epochs": 4, "batch_size": 32, "train_fraction": 0.5},
}
LR = {"low": 1e-4, "high": 1e-2, "log": True}
SETTINGS: dict[str, Any] = {
    "space": {"train.lr": LR, "train.schedule": {"choices": ["cosine", "constant"]}},
    "pruner": {"n_startup_trials": 1, "n_warmup_epochs": 1},
    "member": MEMBER,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("data")
    packed = write_packed(root / "packed", bands="gi")
    return packed, write_splits(root / "splits", packed)


def call(data: tuple[Path, Path], folder: Path, trial: int, settings: Any = SETTINGS, *more: str) -> int:
    options = {"packed": data[0], "splits": data[1], "out": folder / f"trial_{trial}.json", "trial": trial}
    argv = [f"--{name}={value}" for name, value in options.items()]
    argv += ["--search=lr", "--device=cpu", "--threads=1", f"--settings={json.dumps(settings)}", *more]
    return run_trial.main(argv)


def told(folder: Path, trial: int) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / f"trial_{trial}.json").read_text())
    return described


@pytest.fixture
def aucs(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Lets validation give these figures, epoch by epoch."""

    def give(values: list[float]) -> None:
        left = iter(values)
        monkeypatch.setattr(trainer, "score", lambda *given: trainer.Scores(0.5, 0.5, next(left)))

    return give


# What may be searched


def search_of(space: Any, **more: Any) -> dict[str, Any]:
    return small(("searches.lr", {"model": "nano", "space": space} | more))


def test_a_search_is_of_a_model_and_its_first_seed() -> None:
    raw = search_of({"train.lr": {"low": "1e-5", "high": "1e-3", "log": True}})
    raw["models"]["nano"]["seed_overrides"] = {42: {"train": {"lr": 0.1}}}
    config = check_config(raw, "my.yaml")
    settings = config.trial_settings("lr")
    assert settings.space["train.lr"] == Dimension(low=1e-5, high=1e-3, log=True)
    assert settings.member_seed == 42
    assert settings.member == config.models["nano"].shared
    assert settings.member.train.lr == 3.5e-4
    assert check_config(small(), "my.yaml").searches == {}


def test_values_are_kept_as_their_keys_take_them() -> None:
    choices = {
        "train.weight_decay": ["1e-4", 0],
        "train.clip_grad_norm": [None, "1"],
        "train.augment": ["no"],
    }
    space = {key: {"choices": values} for key, values in choices.items()}
    found = check_config(search_of(space), "my.yaml").trial_settings("lr").space
    assert {key: dimension.choices for key, dimension in found.items()} == {
        "train.weight_decay": [1e-4, 0.0],
        "train.clip_grad_norm": [None, 1.0],
        "train.augment": [False],
    }


@pytest.mark.parametrize(
    ("key", "dimension", "line"),
    [
        (
            "train.lr",
            {"low": 0, "high": 1},
            "train.lr.low: found 0.0, expected greater than 0; for example lr: 0.00035",
        ),
        (
            "train.lr",
            {"low": 1e-3, "high": 30},
            "train.lr.high: found 30.0, expected less than or equal to 10; for example lr: 0.00035",
        ),
        (
            "train.schedule",
            {"choices": ["cosine", "exp"]},
            "train.schedule.choices.1: found \"exp\", expected 'constant', 'cosine', 'step', 'exponential' "
            "or 'plateau'; for example schedule: exponential",
        ),
        (
            "train.lr_flor",
            {"choices": [1]},
            "train.lr_flor: unknown key of a model block; did you mean train.lr_floor?",
        ),
        ("drop_path", LR, "drop_path: unknown key of a model block; did you mean network.drop_path?"),
        (
            "network",
            {"choices": ["convnextv2_atto"]},
            "network: is a block, expected a key in it; for example network.name",
        ),
        (
            "train.monitor",
            {"low": 1, "high": 2},
            "train.monitor: found a range, but it takes no numbers; for example choices: [auc]",
        ),
        (
            "train.epochs",
            {"low": 2, "high": 9, "step": 0.5},
            "train.epochs.step: found 0.5, but it takes integers; for example step: 1",
        ),
        (
            "preprocess.pad_to_px",
            {"choices": [None, 40]},
            "preprocess.pad_to_px.choices.1: found 40, expected data.size_px (41) or more",
        ),
        ("train.lr", {"choices": [0.1, "1e-1"]}, "train.lr.choices.1: found 0.1 a second time"),
        (
            "bands",
            {"choices": ["each"]},
            "bands: cannot be searched: validation scores of single cutouts and of objects cannot be "
            "compared; make it a key of a model of its own",
        ),
        (
            "train.lr",
            {"low": 1e-3},
            "train.lr: give either low and high, or choices; "
            "for example {low: 1.0e-5, high: 1.0e-3, log: true}",
        ),
        (
            "train.lr",
            {"choices": [1e-3], "log": True},
            "train.lr: log and step are of ranges; remove them, or give low and high for choices; "
            "for example space: {train.lr: {low: 1.0e-5, high: 1.0e-3, log: true}}",
        ),
    ],
)
def test_a_wrong_dimension_is_explained(key: str, dimension: Any, line: str) -> None:
    assert only_problem(search_of({key: dimension})) == f"searches.lr.space.{line}"


def test_keys_that_never_go_together_are_told_before_anything_runs() -> None:
    line = only_problem(search_of({"train.band_dropout": {"low": 0.1, "high": 0.2}}))
    assert line.startswith("searches.lr.space: of 64 settings none goes together: ")
    assert "train.band_dropout: expected a stack of bands" in line
    check_config(search_of({"train.band_dropout": {"low": 0, "high": 0.2}}), "my.yaml")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"model": "nan"}, "model: found nan, expected the name of a model; did you mean nano?"),
        ({"storage": "db.example.org"}, "storage: expected sqlite, journal or the URL of a database; "),
        ({"storage": "sqlite:///:memory:"}, "storage: trials do not share a memory; "),
        ({"storage": "postgresql://me:SECRET@host/db"}, "storage: found a password in the URL; "),
        ({"storage": "mysql://me@host/db?password=SECRET"}, "storage: found a password in the URL; "),
        ({"n_trials": 0}, "n_trials: found 0, expected greater than or equal to 1; for example n_trials: 20"),
        ({"pruner": {"method": "mean"}}, "pruner.method: found \"mean\", expected 'median', 'halving', "),
    ],
)
def test_a_wrong_search_is_explained(more: dict[str, Any], line: str) -> None:
    found = only_problem(search_of({"train.lr": LR}, **more))
    assert found.startswith(f"searches.lr.{line}")
    assert "SECRET" not in found


def test_a_search_of_ready_members_is_refused() -> None:
    raw = search_of({"train.lr": LR}, model="old")
    raw["models"]["old"] = {"checkpoints": {42: "a.pt"}}
    assert problems(raw) == [
        "searches.lr.model: found old, whose members are trained already; give a model with seeds"
    ]


def test_what_a_study_keeps_of_a_value_comes_back() -> None:
    choices = [True, 1, 1.0, "1", None, [1, 2], {"patch_size": 3}, {}]
    dimension = Dimension(choices=choices)
    for choice in choices:
        back = read(dimension, written(choice))
        assert (type(back), back) == (type(choice), choice)
    epochs = distribution_of("train.epochs", Dimension(low=5, high=22, step=5))
    assert (epochs.low, epochs.high, epochs.step) == (5, 20, 5)


# Trials


def test_trials_are_trained_given_up_or_fail_and_are_told(
    data: tuple[Path, Path], tmp_path: Path, aucs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    aucs([0.7, 0.9, 0.8, 0.85])
    assert call(data, tmp_path, 0) == 0
    first = told(tmp_path, 0)
    assert (first["state"], first["best_epoch"], first["best_val_auc"]) == ("complete", 2, 0.9)
    assert first["val_auc"] == [0.7, 0.9, 0.8, 0.85]
    assert set(first["params"]) == set(SETTINGS["space"])
    assert first["settings"]["train"]["lr"] == first["params"]["train.lr"]
    assert first["seconds"] > 0
    aucs([0.6, 0.6])  # worse after the second epoch, the first being given to all
    assert call(data, tmp_path, 1) == 0
    second = told(tmp_path, 1)
    assert (second["state"], second["val_auc"], second["best_val_auc"]) == ("pruned", [0.6, 0.6], 0.6)
    assert second["params"]["train.lr"] != first["params"]["train.lr"]
    assert first["study"] == second["study"]
    assert "given up" in caplog.text
    assert "test samples" not in caplog.text  # the held-out objects are never looked at
    # The study, its trials, and nothing else: no weights, no state.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.db", "trial_0.json", "trial_1.json"]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"train.warmup_epochs": {"choices": [9.0]}}, "warmup_epochs (9.0) must be less than epochs (4)"),
        ({"network.name": {"choices": ["convnextv2_ato"]}}, "has no network 'convnextv2_ato'"),
        ({"train.lr": {"choices": [1e-3]}}, "training has diverged"),
    ],
)
def test_a_setting_that_does_not_work_is_a_trial_that_failed(
    data: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    aucs: Any,
    space: Any,
    message: str,
) -> None:
    aucs([0.8, math.nan])
    scored = trainer.score

    def score(*given: Any) -> trainer.Scores:
        auc = scored(*given).auc
        return trainer.Scores(auc, 0.5, auc)  # the loss is NaN too

    monkeypatch.setattr(trainer, "score", score)
    assert call(data, tmp_path, 0, SETTINGS | {"space": space}) == 0
    found = told(tmp_path, 0)
    assert (found["state"], found["best_val_auc"]) == ("failed", None)
    assert message in found["message"]


def test_data_that_are_wrong_fail_the_job_and_not_the_trial(
    data: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packed = write_packed(tmp_path / "packed", bands="gi")
    splits = write_splits(tmp_path / "splits", packed)
    pixels = np.load(packed / "cutouts.npy", mmap_mode="r+")
    pixels[3, 2, 1] += 1
    pixels.flush()
    assert call((packed, splits), tmp_path / "search", 0) == 1
    assert "cutouts.npy: expected sha256" in caplog.text
    assert not (tmp_path / "search/trial_0.json").exists()


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_a_killed_trial_goes_on_with_the_same_setting_from_its_last_epoch(
    data: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    settings = SETTINGS | {"storage": storage}
    assert call(data, tmp_path / "whole", 0, settings) == 0

    def save_then_die(keeper: Any, state: Any) -> None:
        resume.save_state(keeper._folder, keeper._identity, state())
        if len(state()["records"]) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(resume.StateKeeper, "offer", save_then_die)
        call(data, tmp_path / "cut", 0, settings)
    assert not (tmp_path / "cut/trial_0.json").exists()
    epochs = []
    run_epoch = trainer.Trainer._epoch

    def counted(one: trainer.Trainer, *given: Any) -> None:
        epochs.append(len(one.records))
        run_epoch(one, *given)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_epoch", counted)
        assert call(data, tmp_path / "cut", 0, settings) == 0
    assert epochs == [2, 3]
    cut, whole = told(tmp_path / "cut", 0), told(tmp_path / "whole", 0)
    assert cut.pop("seconds") > 0 and whole.pop("seconds") > 0
    assert cut == whole
    # Lost after it was told: told again, and not trained again.
    (tmp_path / "cut/trial_0.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_epoch", None)
        assert call(data, tmp_path / "cut", 0, settings) == 0
    assert told(tmp_path / "cut", 0)["val_auc"] == whole["val_auc"]


def test_other_settings_or_data_are_another_study_and_another_place_is_not(
    data: tuple[Path, Path], tmp_path: Path, aucs: Any
) -> None:
    other = write_packed(tmp_path / "packed", bands="gi", seed=1)
    cases = {
        "first": (data, SETTINGS),
        "place": (data, SETTINGS | {"storage": "journal"}),
        "seed": (data, SETTINGS | {"member_seed": 43}),
        "data": ((other, write_splits(tmp_path / "splits", other)), SETTINGS),
    }
    for name, (of, settings) in cases.items():
        aucs([0.7, 0.8, 0.9, 0.9])
        assert call(of, tmp_path / "out", 0, settings) == 0
        cases[name] = told(tmp_path / "out", 0)["study"]
    assert cases["place"] == cases["first"]
    assert len(set(cases.values())) == 3


def test_a_search_is_the_same_again_where_trials_come_one_by_one(tmp_path: Path) -> None:
    settings = TrialSettings.model_validate(SETTINGS | {"n_startup_trials": 2})

    def tried(folder: Path) -> list[dict[str, Any]]:
        values = []
        for number in range(5):
            study, storage = studies.open_study(folder, "lr", settings, number, {})
            trial = studies.take_trial(study, storage, number)
            values.append(studies.suggest(trial, settings.space))
            study.tell(trial, values[-1]["train.lr"])
        return values

    once = tried(tmp_path / "a")
    assert once == tried(tmp_path / "b")
    assert len({one["train.lr"] for one in once}) == 5


TRIAL = """
import json, sys
from pathlib import Path
from stronglens.searching import study as studies
from stronglens.settings.search import TrialSettings
number = int(sys.argv[2])
settings = TrialSettings.model_validate(json.loads(sys.argv[3]))
for number in (number, number + 10):
    study, storage = studies.open_study(Path(sys.argv[1]), "lr", settings, number, {})
    trial = studies.take_trial(study, storage, number)
    studies.suggest(trial, settings.space)
    for epoch in range(1, 6):
        studies.patiently(lambda: trial.report(0.1, epoch))
        studies.patiently(trial.should_prune)
    studies.patiently(lambda: study.tell(trial, 0.5))
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_many_trials_share_a_study_that_all_make_at_once(tmp_path: Path, storage: str) -> None:
    settings = json.dumps(SETTINGS | {"storage": storage})
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRIAL, str(tmp_path), str(number), settings],
            cwd=SCRIPTS,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        _, error = process.communicate(timeout=100)
        assert process.returncode == 0, error
    study, _ = studies.open_study(tmp_path, "lr", TrialSettings.model_validate_json(settings), 0, {})
    assert sorted(trial.user_attrs["trial"] for trial in study.trials) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o600, "expected a storage that can be opened"), (0o644, "only you can read")]
)
def test_a_password_comes_from_a_file_and_is_told_to_nobody(
    data: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, expected: str
) -> None:
    (tmp_path / "password").write_text("SECRET\n")
    (tmp_path / "password").chmod(mode)
    more = {"storage": "nosuchdatabase://me@localhost/db", "password_file": str(tmp_path / "password")}
    assert call(data, tmp_path / "search", 0, SETTINGS | more) == 1
    assert expected in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("method", ["median", "halving", "hyperband", "none"])
def test_every_pruner_can_be_asked(tmp_path: Path, method: str) -> None:
    pruner = {"method": method, "n_warmup_epochs": 9}
    settings = TrialSettings.model_validate(SETTINGS | {"pruner": pruner, "storage": "journal"})
    for number in range(2):
        study, storage = studies.open_study(tmp_path, "lr", settings, number, {})
        trial = studies.take_trial(study, storage, number)
        trial.report(0.5, 1)
        assert not trial.should_prune()  # epochs that are given to all
        study.tell(trial, 0.5)


# The conclusion

SPACE = {
    "train.lr": LR,
    "train.weight_decay": {"low": 1e-6, "high": 1e-1, "log": True},
    "network.drop_path": {"low": 0.0, "high": 0.3},
    "train.schedule": {"choices": ["cosine", "exponential", "step", "plateau"]},
    "network.name": {"choices": ["convnextv2_atto", "convnextv2_nano", "convnextv2_tiny"]},
    "train.batch_size": {"choices": [64, 128, 256]},
    "network.timm": {"choices": [{}, {"patch_size": 3}]},
}


def made_up(n_trials: int, seed: int = 0) -> list[dict[str, Any]]:
    """Trials that know the best learning rate, 1e-3, better and better."""
    rng = np.random.default_rng(seed)
    trials = []
    for number in range(n_trials):
        spread = 2.5 * np.exp(-number / 15) + 0.2
        lr = float(np.clip(10 ** rng.normal(-3, spread / 2), 1e-4, 1e-2))
        params = {
            "train.lr": lr,
            "train.weight_decay": float(10 ** rng.uniform(-6, -1)),
            "network.drop_path": float(rng.uniform(0, 0.3)),
            **{
                key: dimension["choices"][rng.integers(len(dimension["choices"]))]
                for key, dimension in SPACE.items()
                if "choices" in dimension
            },
        }
        top = (
            0.97 - 0.05 * (np.log10(lr) + 3) ** 2 + 0.005 * len(params["network.timm"]) + rng.normal(0, 0.003)
        )
        if number == 3:
            top = 0.52
        curve = top - 0.25 * np.exp(-np.arange(1, 21) / 3) * rng.uniform(0.6, 1.4) + rng.normal(0, 0.003, 20)
        state = "complete" if number in (3, 7) or top > 0.955 else "pruned"
        state = "failed" if number == 5 else state
        n_epochs = {"complete": 20, "pruned": int(rng.integers(4, 12)), "failed": 1}[state]
        aucs = [float(np.clip(auc, 0.4, 0.9999)) for auc in curve[:n_epochs]]
        best = None if state == "failed" else max(aucs)
        trials.append(
            {
                "trial": number,
                "study": "lr-0123456789ab",
                "state": state,
                "message": "diverged" if state == "failed" else None,
                "params": params,
                "val_auc": aucs,
                "best_val_auc": best,
                "best_epoch": None if best is None else aucs.index(best) + 1,
                "seconds": 60.0,
            }
        )
    return trials


def results(trials: list[dict[str, Any]]) -> list[TrialResult]:
    return [TrialResult.model_validate(trial) for trial in trials]


def conclude(folder: Path, trials: list[dict[str, Any]], settings: str) -> int:
    folder.mkdir(exist_ok=True)
    for trial in trials:
        (folder / f"trial_{trial['trial']}.json").write_text(json.dumps(trial))
    paths = [f"--trials={folder}/trial_{trial['trial']}.json" for trial in trials]
    return conclude_search.main([*paths, "--search=lr", f"--settings={settings}", f"--out-dir={folder}"])


def draw(folder: Path, space: dict[str, Any]) -> int:
    """Draw the trials that lie in a folder."""
    paths = [f"--trials={path}" for path in sorted(folder.glob("trial_*.json"))]
    return plot_search.main([*paths, f"--space={json.dumps(space)}", f"--out-dir={folder}"])


@pytest.fixture
def raw_config() -> dict[str, Any]:
    raw = search_of(SPACE)
    raw["models"]["nano"] |= {
        "preprocess": {"smoothing": "gaussian"},
        "predict": {"test_time_augmentation": True},
        "bands": ["g", "r"],
        "lens_parameters": {"targets": ["Rein"], "weight": 0.3},
    }
    raw["models"]["nano"]["seed_overrides"] = {101: {"train": {"lr": 1e-4}}}
    return raw


def test_the_best_setting_is_a_block_of_the_config(tmp_path: Path, raw_config: dict[str, Any]) -> None:
    settings = check_config(raw_config, "my.yaml").conclusion_settings("lr").model_dump_json()
    trials = made_up(40)
    assert conclude(tmp_path, trials, settings) == 0
    text = (tmp_path / "best.yaml").read_text()
    best = best_of(results(trials))
    assert f"trial {best.trial} of 40" in text and "held-out" in text
    pasted = check_config(raw_config | {"models": raw_config["models"] | yaml.safe_load(text)["models"]}, "x")
    nano = pasted.models["nano"]
    assert (nano.seeds, nano.seed_overrides) == ([42, 101], {})
    assert nano.train.epochs == 80 and nano.preprocess.smoothing == "gaussian"
    assert nano.predict.test_time_augmentation
    assert nano.lens_parameters is not None and nano.lens_parameters.weight == 0.3
    for key, value in best.params.items():
        block, name = key.split(".")
        assert getattr(getattr(nano, block), name) == value
    table = pd.read_csv(tmp_path / "trials.csv")
    assert list(table["trial"]) == list(range(40))
    assert table.loc[best.trial, "best_val_auc"] == best.best_val_auc
    assert set(SPACE) < set(table)
    assert table.loc[5, "state"] == "failed" and table.loc[5, "message"] == "diverged"
    assert not list(tmp_path.glob("*.p*"))
    assert draw(tmp_path, SPACE) == 0
    for name in ("history", "slices", "learning_curves", "importance"):
        assert is_picture(tmp_path / f"{name}.png"), name


def test_the_best_is_trained_to_its_end_and_of_equals_the_first() -> None:
    trials = made_up(6)
    for trial, state, auc in zip(
        trials, ["pruned", *["complete"] * 4, "failed"], [0.99, 0.8, 0.9, 0.9, 0.7, None], strict=True
    ):
        trial.update(state=state, best_val_auc=auc)
    assert best_of(results(trials)).trial == 2
    assert list(trials_table(results(trials))["state"]) == [trial["state"] for trial in trials]
    with pytest.raises(InputError, match="none of 1 trials was trained to its end: diverged"):
        best_of(results([trials[5] | {"message": "diverged"}]))


def test_importance_finds_what_matters_and_says_nothing_of_few_trials() -> None:
    trials = results(made_up(40))
    space = {key: Dimension.model_validate(value) for key, value in SPACE.items()}
    shares = importance(trials, space)
    assert next(iter(shares)) == "train.lr"
    assert sum(shares.values()) == pytest.approx(1)
    few = trials[:8]
    assert importance(few, space) == {}
    assert "10 trials" in draw_importance(few, space).texts[0].get_text()


def test_figures_of_one_trial_and_of_none_but_failures(tmp_path: Path) -> None:
    settings = json.dumps({"model": "nano", "space": {"train.lr": LR}})
    one = [trial | {"params": {"train.lr": 1e-3}} for trial in made_up(8)]
    for name, trials, code in (("one", one[7:], 0), ("none", one[5:6], 1)):
        assert conclude(tmp_path / name, trials, settings) == code
        assert draw(tmp_path / name, {"train.lr": LR}) == code
    assert not {path.name for path in (tmp_path / "none").iterdir()} - {"trial_5.json"}
    read = results(one)
    figure = draw_history(read, best_of(read))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "failed (1)" in labels and "best so far" in labels
    curves = draw_curves(read, best_of(read)).axes[0].lines
    assert max(len(line.get_ydata()) for line in curves) == 20


def test_trials_of_two_studies_are_concluded_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trials = [trial | {"params": {"train.lr": 1e-3}} for trial in made_up(9)]
    trials[7]["study"] = "lr-other"
    assert conclude(tmp_path, trials, json.dumps({"space": {"train.lr": LR}})) == 0
    assert "trials are of 2 studies" in caplog.text
