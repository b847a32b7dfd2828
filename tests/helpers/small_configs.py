"""A small config, and what is wrong with another."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from stronglens.configuring.config import check_config
from stronglens.running.errors import InputError

SMALL = """
data:
  labelled: {slsim_lenses: a, slsim_nonlenses: b, hsc_lenses: c, hsc_nonlenses: d}
testsets:
  challenge: {path: t}
models:
  nano:
    network: {name: convnextv2_nano, drop_path: 0.05}
    seeds: [42, 101]
    train: {lr: 3.5e-4, epochs: 80}
  stack: {network: convnextv2_atto, bands: [g, r], seeds: [7]}
ensembles:
  nano: {models: [nano]}
  hybrid: {models: [stack, nano]}
submission: {ensemble: nano}
"""


def small(*changes: tuple[str, Any]) -> dict[str, Any]:
    """The small config with changes: the place of a key, and its new value."""
    config: dict[str, Any] = yaml.safe_load(SMALL)
    for place, value in changes:
        block = config
        *outer, last = place.split(".")
        for key in outer:
            block = block.setdefault(key, {})
        block[last] = copy.deepcopy(value)
    return config


def problems(raw: Any) -> list[str]:
    """The lines of the error that a config gives."""
    with pytest.raises(InputError) as caught:
        check_config(raw, "my.yaml")
    lines = str(caught.value).split("\n")
    assert all(line.startswith("my.yaml: ") for line in lines)
    return [line.removeprefix("my.yaml: ") for line in lines]


def only_problem(raw: Any) -> str:
    (line,) = problems(raw)
    return line


CONFIG_FOLDER = Path(__file__).parents[2] / "config"
