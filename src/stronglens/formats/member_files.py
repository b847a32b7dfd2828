"""The folder of a member: weights that open without running code, and what they are."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from stronglens.formats.artefact import check_sha256, sha256_of, write_aside
from stronglens.formats.sidecar import Part, Sidecar
from stronglens.running.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, LAST_WEIGHTS, DESCRIPTION, RESULTS = "best.pt", "last.pt", "best.json", "results.json"
"""Names of a member's files in its folder."""


class UnlabelledSet(Part):
    """A test set without labels whose objects were learnt from."""

    teacher_sha256: str
    """SHA-256 of the table with the ensemble's probabilities of them."""
    cutouts_sha256: list[str]
    index_sha256: list[str]
    """SHA-256 of the cutouts and of the index of each part of the set."""
    n_objects: int
    n_samples: int
    """Objects and samples that were learnt from."""


class _Trained(Sidecar):
    """What was trained, with what, on what."""

    model: str
    """Name of the model."""
    seed: int
    settings: dict[str, Any]
    """Of `stronglens.settings.member.MemberSettings`, with all that was measured on the training samples."""
    cutouts_sha256: str | None = None
    index_sha256: str | None = None
    objects_sha256: str | None = None
    """SHA-256 of the cutouts, the index and the table of splits that were learnt from; None where the weights
    come from elsewhere."""
    parameters_sha256: str | None = None
    """That of the parameters of lenses, where some are estimated."""
    teacher_sha256: str | None = None
    """That of the table of the ensemble whose probabilities were learnt, where they were."""
    unlabelled: dict[str, UnlabelledSet] | None = None
    """Test sets without labels that were learnt from too, by name."""
    device: str | None = None
    """What was computed on, in words."""
    torch: str | None = None
    """Version of PyTorch."""
    precision: str | None = None
    """Type of number that was computed in."""
    same_bytes_again: bool | None = None
    """Whether the same training on the same machine gives the same bytes."""
    way: str | None = None
    """How steps were taken: eager, compiled, …"""


class MemberDescription(_Trained):
    """What `best.json` says of weights."""

    KIND: ClassVar[str] = "the description of a member"

    weights_sha256: str
    """SHA-256 of `best.pt`."""
    size_px: int
    """Side of the cutouts before padding, in pixels."""
    in_chans: int
    """Channels of the network's input."""
    best_epoch: int | None = None
    """The epoch, from 1, that the weights are of."""
    val_auc: float | None = None
    """AUC of its validation samples."""
    lens_parameters: dict[str, Any] | None = None
    """Of `stronglens.networks.lens_scaling.LensScaling`: units of the estimates."""
    imported: bool = False
    """Whether the weights were trained elsewhere."""
    source: str | None = None
    source_sha256: str | None = None
    """The checkpoint that they come from, then."""


class BestEpoch(Part):
    """Figures of the epoch whose weights are kept: mean binary cross-entropies, accuracies at 0.5."""

    epoch: int
    """From 1."""
    val_auc: float | None
    train_loss: float | None = None
    train_acc: float | None = None
    val_loss: float | None = None
    val_acc: float | None = None
    lr: float | None = None
    """Learning rate."""


class SampleScores(Part):
    """Figures of a network on samples; None where undefined."""

    auc: float | None
    acc: float | None = None
    """Accuracy at probability 0.5."""
    loss: float | None = None
    """Mean binary cross-entropy."""


class TrainingResults(_Trained):
    """What `results.json` says of a training."""

    KIND: ClassVar[str] = "the results of a training"

    best: BestEpoch
    test: SampleScores
    """Of the test split."""
    n_epochs: int
    """Epochs that were trained."""
    n_samples: dict[str, int] = Field(default_factory=dict)
    """Samples by split."""
    lens_parameters: dict[str, Any] | None = None
    """Losses, and errors by split, of estimates of lens parameters."""


def write_weights(path: Path, state_dict: "Mapping[str, Tensor]") -> None:
    """Write tensors so that `torch.load(path, weights_only=True)` reads them; equal tensors give equal bytes.

    Parameters
    ----------
    path : Path
        The file.
    state_dict : mapping of str to Tensor
        On any device and in any memory format; stored on the CPU, contiguous, in the mapping's order.
    """
    import torch  # noqa: PLC0415 - those who read descriptions alone need not wait for it

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


def write_member(folder: Path, state_dict: "Mapping[str, Tensor]", description: Mapping[str, Any]) -> None:
    """Write `best.pt` and, beside it, `best.json`, which states its sha256.

    Parameters
    ----------
    folder : Path
        The member's folder, made if need be.
    state_dict : mapping of str to Tensor
        The weights, with timm's names.
    description : mapping of str to JSON values
        What the weights are: the fields of `MemberDescription` but for `weights_sha256`, which is added.
    """
    write_weights(folder / WEIGHTS, state_dict)
    stated = {**description, "weights_sha256": sha256_of(folder / WEIGHTS)}
    MemberDescription.model_validate(stated).write(folder / DESCRIPTION)


def read_member(folder: Path) -> "tuple[MemberDescription, dict[str, Tensor]]":
    """Read a member: what it is, and its weights.

    Parameters
    ----------
    folder : Path
        A folder that `write_member` filled.

    Returns
    -------
    description : MemberDescription
        What `best.json` says.
    state_dict : dict of str to Tensor
        The weights, on the CPU.

    Raises
    ------
    InputError
        A file is missing, `best.json` is damaged or of a newer format, or `best.pt` is not the file it
        states, holds anything but tensors, or weights that are not finite.
    """
    import torch  # noqa: PLC0415 - those who read descriptions alone need not wait for it

    description = MemberDescription.read(folder / DESCRIPTION)
    check_sha256(folder / WEIGHTS, description.weights_sha256, folder / DESCRIPTION)
    try:
        state_dict: dict[str, Tensor] = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for what it does not know
        raise InputError(
            f"{folder / WEIGHTS}: refused: expected tensors in plain containers, found something else "
            f"({type(error).__name__}); a pickle that would run code is never opened"
        ) from error
    refuse_non_finite(folder / WEIGHTS, state_dict)
    return description, state_dict


def refuse_non_finite(path: Path, weights: "Mapping[str, Tensor]") -> None:
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
    import torch  # noqa: PLC0415 - those who read descriptions alone need not wait for it

    bad = [str(name) for name, tensor in weights.items() if not tensor.to(torch.float32).isfinite().all()]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise InputError(
            f"{path}: expected finite weights, found NaN, infinity or numbers too large for float32 in "
            f"{', '.join(bad[:3])}{more} of {len(weights)} tensors; the training diverged or the file is "
            "damaged: take another checkpoint"
        )
