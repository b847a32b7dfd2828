"""What is concluded of a search."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from drawn_figures import is_picture
from made_searches import LR, SPACE, conclude, draw, made_up, results, search_of
from stronglens.configuring.config import check_config
from stronglens.formats.trial_files import best_of
from stronglens.running.errors import InputError
from stronglens.searching.conclusion import trials_table


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


def test_trials_of_two_studies_are_concluded_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trials = [trial | {"params": {"train.lr": 1e-3}} for trial in made_up(9)]
    trials[7]["study"] = "lr-other"
    assert conclude(tmp_path, trials, json.dumps({"space": {"train.lr": LR}})) == 0
    assert "trials are of 2 studies" in caplog.text
