"""Training images that are made of two: mixup and CutMix."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from stronglens.settings.train import TrainSettings


@dataclass(frozen=True)
class Mixing:
    """What is drawn for the images of some batches, on the CPU or a GPU; a batch has one of both kinds.

    Attributes
    ----------
    partners : Tensor of int64, shape (n,)
        Which image of its batch each one is mixed with.
    share : Tensor of float32, shape (n,), or None
        Mixup: share of the image itself. None where the settings know no mixup.
    corners : Tensor of int64, shape (n, 4), or None
        CutMix: first and end pixel along y, first and end along x, of the rectangle that comes from the
        other; they may lie outside the image. None where the settings know no CutMix.
    cut : Tensor of bool, scalar, or shape (n_batches,)
        Whether it is CutMix.
    """

    partners: Tensor
    share: Tensor | None
    corners: Tensor | None
    cut: Tensor


def mixes(settings: TrainSettings) -> bool:
    """Whether training images are mixed at all."""
    return settings.mixup_alpha > 0 or settings.cutmix_alpha > 0


def draw_mixing(
    sizes: Sequence[int], height: int, width: int, settings: TrainSettings, generator: np.random.Generator
) -> Mixing:
    """Draw pairs, shares and rectangles for the images of some batches.

    Parameters
    ----------
    sizes : sequence of int
        Images of each batch.
    height, width : int
        Size of an image in pixels.
    settings : TrainSettings
        `mixup_alpha` and `cutmix_alpha`, one of them above 0; of both each batch has one, with equal chances.
    generator : numpy.random.Generator
        What is drawn from.
    """
    n = sum(sizes)
    # All at once: batch by batch it took longer than a GPU takes for a tenth of the steps.
    rows = [np.tile(np.arange(size), (len(list(alike)), 1)) for size, alike in groupby(sizes)]
    partners = np.concatenate([generator.permuted(of_size, axis=1).ravel() for of_size in rows])
    share, corners = None, None
    if settings.mixup_alpha > 0:
        drawn = generator.beta(settings.mixup_alpha, settings.mixup_alpha, n)
        share = torch.from_numpy(drawn.astype(np.float32))
    if settings.cutmix_alpha > 0:
        side = np.sqrt(1 - generator.beta(settings.cutmix_alpha, settings.cutmix_alpha, n))
        lengths = []
        for length in (height, width):
            size = np.rint(side * length)
            first = generator.integers(0, length, n) - np.floor(size / 2)
            lengths += [first, first + size]
        corners = torch.from_numpy(np.stack(lengths, axis=1).astype(np.int64))
    cut = np.full(len(sizes), corners is not None)
    if share is not None and corners is not None:
        cut = generator.random(len(sizes)) < 0.5
    return Mixing(torch.from_numpy(partners), share, corners, torch.from_numpy(cut))


def mix(
    images: Tensor, targets: Tensor, weights: Tensor | None, mixing: Mixing
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mix each image of a batch with another one of it, by mixup or by CutMix.

    Nothing is read back from the device: which of both it is may be known there alone.

    Parameters
    ----------
    images : Tensor of float32, shape (n, n_channels, height, width)
        Axes (sample, channel, y, x).
    targets : Tensor of float32, shape (n,)
        Probability of being a lens that is to be learnt.
    weights : Tensor of float32, shape (n,), or None
        Weight of each image's loss; None: all alike.
    mixing : Mixing
        What was drawn, on the images' device.

    Returns
    -------
    images, targets, weights : Tensor
        As given, mixed. The loss of a mixed image is the sum of the losses of its two labels, times their
        shares and weights.

    Notes
    -----
    Mixup: Zhang et al. (2018), arXiv:1710.09412. CutMix: Yun et al. (2019), arXiv:1905.04899,
    equations 1 and 2; the label follows the area of the rectangle that lies inside the image. Here each image
    has a share of its own, not each batch.
    """
    rows, share = mixing.partners, mixing.share
    partners = images[rows]
    blended = images if share is None else torch.lerp(partners, images, share[:, None, None, None])
    if mixing.corners is not None:
        inside = _inside(mixing.corners, *images.shape[2:])
        pasted = torch.where(inside[:, None], partners, images)
        left = 1 - inside.float().mean(dim=(1, 2))
        blended = pasted if share is None else torch.where(mixing.cut, pasted, blended)
        share = left if share is None else torch.where(mixing.cut, left, share)
    if share is None:
        raise ValueError("expected shares or rectangles, found neither")
    if weights is None:
        return blended, torch.lerp(targets[rows], targets, share), None
    total = torch.lerp(weights[rows], weights, share)
    return blended, torch.lerp((weights * targets)[rows], weights * targets, share) / total, total


def _inside(corners: Tensor, height: int, width: int) -> Tensor:
    """Which pixels lie inside a rectangle, shape (n, height, width)."""
    y, x = (torch.arange(length, device=corners.device) for length in (height, width))
    first_y, end_y, first_x, end_x = (corner[:, None] for corner in corners.unbind(dim=1))
    along_y, along_x = (y >= first_y) & (y < end_y), (x >= first_x) & (x < end_x)
    return along_y[:, :, None] & along_x[:, None, :]
