"""The folder of a member: weights that open without running code, and what they are."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stronglens.formats.artefact import check_sha256, read_json, sha256_of, write_aside, write_json
from stronglens.running.errors import InputError

WEIGHTS, DESCRIPTION = "best.pt", "best.json"
"""Names of a member's files in its folder."""

FORMAT = 1


def write_weights(path: Path, state_dict: Mapping[str, Tensor]) -> None:
    """Write tensors so that `torch.load(path, weights_only=True)` reads them; equal tensors give equal bytes.

    Parameters
    ----------
    path : Path
        The file.
    state_dict : mapping of str to Tensor
        On any device and in any memory format; stored on the CPU, contiguous, in the mapping's order.
    """
    # Clones drop what does not belong to the values: strides, storage shared with others, autograd.
    # Written to memory first because torch puts a file's own name into its content.
    plain = {
        name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        for name, tensor in state_dict.items()
    }
    content = io.BytesIO()
    torch.save(plain, content)
    with write_aside(path) as aside:
        aside.write_bytes(content.getbuffer())


def write_member(folder: Path, state_dict: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write `best.pt` and, beside it, `best.json`, which states its sha256.

    Parameters
    ----------
    folder : Path
        The member's folder, made if need be.
    state_dict : mapping of str to Tensor
        The weights, with timm's names.
    description : mapping of str to JSON values
        What the weights are: model, seed, settings (of `MemberSettings`), size_px, in_chans, cutouts_sha256,
        objects_sha256, and more if there is more to say. `format` and `weights_sha256` are added.
    """
    write_weights(folder / WEIGHTS, state_dict)
    stated = {"format": FORMAT, "weights_sha256": sha256_of(folder / WEIGHTS)}
    write_json(folder / DESCRIPTION, {**description, **stated})


def read_member(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a member: what it is, and its weights.

    Parameters
    ----------
    folder : Path
        A folder that `write_member` filled.

    Returns
    -------
    description : dict
        What `best.json` says.
    state_dict : dict of str to Tensor
        The weights, on the CPU.

    Raises
    ------
    InputError
        A file is missing, `best.json` has another format, or `best.pt` is not the file it states, holds
        anything but tensors, or weights that are not finite.
    """
    description = read_json(folder / DESCRIPTION)
    if description.get("format") != FORMAT or "weights_sha256" not in description:
        raise InputError(
            f"{folder / DESCRIPTION}: expected the description of a member with format {FORMAT} and "
            f"weights_sha256, found format {description.get('format')} and keys {sorted(description)}"
        )
    check_sha256(folder / WEIGHTS, description["weights_sha256"], folder / DESCRIPTION)
    try:
        state_dict: dict[str, Tensor] = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for what it does not know
        raise InputError(
            f"{folder / WEIGHTS}: refused: expected tensors in plain containers, found something else "
            f"({type(error).__name__}); a pickle that would run code is never opened"
        ) from error
    refuse_non_finite(folder / WEIGHTS, state_dict)
    return description, state_dict


def refuse_non_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that would make every probability NaN.

    Parameters
    ----------
    path : Path
        Their file, for the message.
    weights : mapping of str to Tensor
        On the CPU.

    Raises
    ------
    InputError
        A weight is NaN, infinite, or too large for float32, in which networks compute.
    """
    bad = [str(name) for name, tensor in weights.items() if not tensor.to(torch.float32).isfinite().all()]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise InputError(
            f"{path}: expected finite weights, found NaN, infinity or numbers too large for float32 in "
            f"{', '.join(bad[:3])}{more} of {len(weights)} tensors; the training diverged or the file is "
            "damaged: take another checkpoint"
        )
