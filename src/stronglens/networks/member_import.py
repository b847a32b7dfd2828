"""A checkpoint that was trained elsewhere becomes a member."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from stronglens.formats.artefact import sha256_of
from stronglens.formats.member_files import write_member
from stronglens.networks.network import build_to_load
from stronglens.networks.original_checkpoint import load_weights, to_timm_state_dict
from stronglens.running.errors import InputError
from stronglens.settings.member import MemberSettings


def import_member(
    checkpoint: Path, out_dir: Path, settings: MemberSettings, *, model: str, seed: int, size_px: int
) -> None:
    """Write `best.pt` and `best.json` of a member whose weights exist already.

    Parameters
    ----------
    checkpoint : Path
        Weights with timm's names or those of the ConvNeXt V2 paper's code (see
        `stronglens.networks.original_checkpoint.load_weights` for what may surround them).
    out_dir : Path
        The member's folder.
    settings : MemberSettings
        The network that the weights are for, and how its input was made.
    model : str
        Name of the member's model.
    seed : int
        Stands for the member within its model.
    size_px : int
        Side of the cutouts before padding, in pixels.

    Raises
    ------
    InputError
        The checkpoint cannot be read, or its weights are not finite or do not fit the network; lens
        parameters are asked for; or an asinh softening would have to be measured.
    """
    if settings.lens_parameters is not None:
        raise InputError(
            "lens_parameters: a checkpoint does not say in which units it estimates them; leave them out"
        )
    if settings.preprocess.needs_noise:
        raise InputError(
            "preprocess.asinh_softening: expected the softening in counts that the checkpoint was trained "
            "with, found none"
        )
    network = build_to_load(settings, size_px)
    found = to_timm_state_dict(load_weights(checkpoint))
    weights = fitted(
        found, network.state_dict(), f"{checkpoint}: expected weights of {settings.network.name}"
    )
    description = {
        "model": model,
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        "size_px": size_px,
        "in_chans": settings.in_chans,
        "imported": True,
        "source": str(checkpoint),
        "source_sha256": sha256_of(checkpoint),
        "cutouts_sha256": None,
        "index_sha256": None,
        "objects_sha256": None,
    }
    write_member(out_dir, weights, description)


def fitted(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], problem: str) -> dict[str, Tensor]:
    """The found weights in the order, shapes and types that the network has.

    Raises
    ------
    InputError
        One is missing, unknown, or of another shape.
    """
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    if missing or unknown:
        raise InputError(f"{problem}; missing are {_some(missing)}; not of this network are {_some(unknown)}")
    for name, tensor in expected.items():
        if _without_ones(tensor) != _without_ones(found[name]):
            raise InputError(
                f"{problem}, {name} of shape {tuple(tensor.shape)}, found shape {tuple(found[name].shape)}"
            )
    return {name: found[name].reshape(tensor.shape).to(tensor.dtype) for name, tensor in expected.items()}


def _without_ones(tensor: Tensor) -> tuple[int, ...]:
    """Shape without trailing ones: a linear layer and a convolution of 1 x 1 pixel are the same."""
    shape = tuple(tensor.shape)
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "none"
