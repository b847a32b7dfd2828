"""Trainings that take a second: by the step's command line on rings, or of a network of three layers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import train as step
from stronglens.networks.resident import ResidentSamples
from stronglens.settings.train import TrainSettings
from stronglens.training import resume

SETTINGS: dict[str, Any] = {
    "network": {
        "name": "convnextv2_atto",
        "drop_path": 0.1,
        "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]},
    },
    "train": {"epochs": 3, "batch_size": 16, "lr": 2e-3, "schedule": "cosine"},
}
STACK = SETTINGS | {"bands": ["g", "i", "z"]}
PRODUCTS = ("best.pt", "last.pt", "best.json", "training_log.csv", "results.json")


def train(
    data: tuple[Path, Path], out_dir: Path, settings: dict[str, Any] = SETTINGS, seed: int = 42, *more: str
) -> int:
    """Run the step on a packed set and its split; give its exit code."""
    packed, splits = data
    arguments = ["--packed", str(packed), "--splits", str(splits), "--out-dir", str(out_dir)]
    arguments += [
        "--seed",
        str(seed),
        "--settings",
        json.dumps(settings),
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    return step.main([*arguments, *more])


def with_train(**changes: Any) -> dict[str, Any]:
    """The settings with other ones of training."""
    return SETTINGS | {"train": SETTINGS["train"] | changes}


def die_once_kept(patch: pytest.MonkeyPatch, n_epochs: int, n_steps: int = 0) -> None:
    """Let a training die when a state with so many epochs, and steps of the next, has been kept."""

    def keep(keeper: resume.StateKeeper, state: dict[str, Any]) -> None:
        resume.save_state(keeper._folder, keeper._identity, state)
        if (len(state["records"]), state["step"]) == (n_epochs, n_steps):
            raise KeyboardInterrupt

    patch.setattr(resume.StateKeeper, "keep", keep)
    patch.setattr(resume.StateKeeper, "offer", lambda keeper, state: keep(keeper, state()))


OF_STEPS = {
    "plain": TrainSettings(epochs=2, batch_size=16),
    "fp16": TrainSettings(epochs=2, batch_size=16, precision="fp16", clip_grad_norm=0.5),
    "muon": TrainSettings(epochs=2, batch_size=16, optimiser="muon"),
    "crop": TrainSettings(epochs=2, batch_size=16, crop_px=8, mixup_alpha=0.4),
    "all": TrainSettings(
        epochs=2,
        batch_size=16,
        ema_decay=0.9,
        mixup_alpha=0.4,
        cutmix_alpha=1.0,
        label_smoothing=0.1,
        clip_grad_norm=0.5,
        augment_noise=0.1,
        augment_gamma=0.1,
        augment_any_angle=True,
        augment_shift_px=1.0,
        warmup_epochs=1,
    ),
}
"""Settings for `small_network`: nothing that can be left out, or all of it."""


def small_samples() -> ResidentSamples:
    """90 images of noise, every other one a lens."""
    images = torch.randn(90, 9, 9, generator=torch.Generator().manual_seed(1))
    rows = torch.arange(90)
    return ResidentSamples(images, rows[:, None], (rows % 2).float(), has_gaps=False)


class SmallNetwork(nn.Sequential):
    """Layers in turn, the last of which is what timm's networks call their classifier."""

    def get_classifier(self) -> nn.Module:
        return self[-1]


def small_network() -> nn.Module:
    """A network for them, the same each time, with what has a state or draws."""
    torch.manual_seed(1)
    return SmallNetwork(
        *(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.3)),
        *(nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(4 * 49, 1)),  # 7 x 7 already, where they are whole
    )
