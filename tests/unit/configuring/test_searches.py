"""What a search may vary: every value is one that its key takes."""

from typing import Any

import pytest

from made_searches import LR, search_of
from small_configs import only_problem, problems, small
from stronglens.configuring.config import check_config
from stronglens.settings.search import Dimension


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
