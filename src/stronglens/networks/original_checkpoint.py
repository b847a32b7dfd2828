"""Checkpoints trained elsewhere: what surrounds their weights, and the names of the paper's own code."""

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from stronglens.formats.member_files import refuse_non_finite
from stronglens.running.errors import InputError

WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Keys under which training scripts store weights beside other things."""

MOST_WRAPPED = 4
"""Wrappers inside one another."""

SHELLS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What compiling and sharding put into names, at any depth; `module`, of data-parallel training and averaged
weights, stands at their beginning alone."""

NAMES = (
    (r"^downsample_layers\.0\.", "stem."),
    (r"^downsample_layers\.(\d+)\.", r"stages.\1.downsample."),
    (r"^stages\.(\d+)\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"\.pwconv(\d)\.", r".mlp.fc\1."),
    (r"\.grn\.gamma$", ".mlp.grn.weight"),
    (r"\.grn\.beta$", ".mlp.grn.bias"),
    (r"^norm\.", "head.norm."),
    (r"^head\.(weight|bias)$", r"head.fc.\1"),
)
"""Patterns of the paper's names and what stands there in timm's."""


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint without running code that it may hold.

    Parameters
    ----------
    path : Path
        A state dict, or a dict that holds one under `model`, `state_dict` or `model_state_dict`, or a dict
        with one of these that does.

    Returns
    -------
    dict of str to Tensor
        On the CPU, finite; names without the `module.` of data-parallel training and the `_orig_mod.` of a
        compiled network.

    Raises
    ------
    InputError
        The file is missing, is no checkpoint, holds code, or holds no weights; or two of them have the same
        name, or some are not finite.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected a checkpoint, found no file") from error
    except UnpicklingError as error:
        raise InputError(
            f"{path}: refused: expected tensors in plain containers, found a pickle that would run code "
            "or is damaged; save the state dict alone, with torch.save(model.state_dict(), path)"
        ) from error
    except Exception as error:
        raise InputError(
            f"{path}: expected a checkpoint of PyTorch, found something else ({error})"
        ) from error
    for _ in range(MOST_WRAPPED):
        if isinstance(content, Mapping):
            inside = (content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping))
            content = next(inside, content)
    if not isinstance(content, Mapping) or not content:
        found = "an empty dict" if isinstance(content, Mapping) else type(content).__name__
        raise InputError(f"{path}: expected a state dict, found {found}")
    wrong = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if wrong:
        raise InputError(
            f"{path}: expected a state dict of tensors, found {type(content[wrong[0]]).__name__} "
            f"under {wrong[0]!r}"
        )
    refuse_non_finite(path, content)
    weights: dict[str, Tensor] = {}
    for name, value in content.items():
        plain = _plain_name(str(name))
        if plain in weights:
            raise InputError(
                f"{path}: expected one tensor named {plain!r}, found two; one of them is {name!r}"
            )
        weights[plain] = value
    return weights


def _plain_name(name: str) -> str:
    *around, last = name.split(".")
    around = [part for part in around if part not in SHELLS]
    while around and around[0] == "module":
        around.pop(0)
    return ".".join([*around, last])


def to_timm_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights the names and shapes that timm's ConvNeXt V2 has.

    Parameters
    ----------
    state : mapping of str to Tensor
        Names as in the paper's code (github.com/facebookresearch/ConvNeXt-V2), or as in timm.

    Returns
    -------
    dict of str to Tensor
        The same tensors, in the same order; those with timm's names are left as they are. Scale and
        shift of the global response normalisation, (1, 1, 1, n_channels) in the paper's code, become
        (n_channels,).
    """
    if not any(name.startswith("downsample_layers.") for name in state):
        return dict(state)
    return {_timm_name(name): value.flatten() if ".grn." in name else value for name, value in state.items()}


def _timm_name(name: str) -> str:
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name, count=1)
    return name
