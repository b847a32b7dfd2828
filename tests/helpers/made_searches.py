"""Searches: the step on tiny data, and trials that are made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np

import conclude_search
import plot_search
import run_trial
from small_configs import small
from stronglens.formats.trial_files import TrialResult

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


def call(data: tuple[Path, Path], folder: Path, trial: int, settings: Any = SETTINGS, *more: str) -> int:
    """Run the step for a trial of search lr; give its exit code."""
    options = {"packed": data[0], "splits": data[1], "out": folder / f"trial_{trial}.json", "trial": trial}
    argv = [f"--{name}={value}" for name, value in options.items()]
    argv += ["--search=lr", "--device=cpu", "--threads=1", f"--settings={json.dumps(settings)}", *more]
    return run_trial.main(argv)


def told(folder: Path, trial: int) -> dict[str, Any]:
    """What a trial wrote."""
    described: dict[str, Any] = json.loads((folder / f"trial_{trial}.json").read_text())
    return described


def search_of(space: Any, **more: Any) -> dict[str, Any]:
    """The small config with a search."""
    return small(("searches.lr", {"model": "nano", "space": space} | more))


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
    """The trials as they are read."""
    return [TrialResult.model_validate(trial) for trial in trials]


def conclude(folder: Path, trials: list[dict[str, Any]], settings: str) -> int:
    """Write the trials and conclude them; the exit code."""
    folder.mkdir(exist_ok=True)
    for trial in trials:
        (folder / f"trial_{trial['trial']}.json").write_text(json.dumps(trial))
    paths = [f"--trials={folder}/trial_{trial['trial']}.json" for trial in trials]
    return conclude_search.main([*paths, "--search=lr", f"--settings={settings}", f"--out-dir={folder}"])


def draw(folder: Path, space: dict[str, Any]) -> int:
    """Draw the trials that lie in a folder."""
    paths = [f"--trials={path}" for path in sorted(folder.glob("trial_*.json"))]
    return plot_search.main([*paths, f"--space={json.dumps(space)}", f"--out-dir={folder}"])
