"""Training images that are made of two: mixup and CutMix."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stronglens.networks.device import sent
from stronglens.settings.train import TrainSettings

_Whole = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


def mixes(settings: TrainSettings) -> bool:
    """Whether training images are mixed at all."""
    return settings.mixup_alpha > 0 or settings.cutmix_alpha > 0


def mix(
    images: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    settings: TrainSettings,
    generator: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mix each image of a batch with another one of it, by mixup or by CutMix.

    Parameters
    ----------
    images : Tensor of float32, shape (n, n_channels, height, width)
        Axes (sample, channel, y, x).
    targets : Tensor of float32, shape (n,)
        Probability of being a lens that is to be learnt.
    weights : Tensor of float32, shape (n,), or None
        Weight of each image's loss; None: all alike.
    settings : TrainSettings
        `mixup_alpha` and `cutmix_alpha`, one of them above 0; of both each batch has one, with equal chances.
    generator : numpy.random.Generator
        Decides on pairs, shares and rectangles.

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
    n, _, height, width = images.shape
    device = images.device
    others = sent(torch.from_numpy(generator.permutation(n)), device)
    if settings.cutmix_alpha > 0 and (settings.mixup_alpha == 0 or generator.random() < 0.5):
        inside = sent(
            torch.from_numpy(_rectangles(n, height, width, settings.cutmix_alpha, generator)), device
        )
        mixed = torch.where(inside[:, None], images[others], images)
        share = 1 - inside.float().mean(dim=(1, 2))
    else:
        drawn = generator.beta(settings.mixup_alpha, settings.mixup_alpha, n).astype(np.float32)
        share = sent(torch.from_numpy(drawn), device)
        mixed = torch.lerp(images[others], images, share[:, None, None, None])
    if weights is None:
        return mixed, torch.lerp(targets[others], targets, share), None
    total = torch.lerp(weights[others], weights, share)
    return mixed, torch.lerp((weights * targets)[others], weights * targets, share) / total, total


def _rectangles(n: int, height: int, width: int, alpha: float, generator: np.random.Generator) -> _Mask:
    """Whether pixels lie inside a rectangle, shape (n, height, width); centres are uniform over the image."""
    side = np.sqrt(1 - generator.beta(alpha, alpha, n))
    centre_y, centre_x = generator.integers(0, [[height], [width]], (2, n))

    def covered(centre: _Whole, length: int) -> _Mask:
        size = np.rint(side * length)
        pixels = np.arange(length) - (centre - np.floor(size / 2))[:, None]
        return np.asarray((pixels >= 0) & (pixels < size[:, None]))

    return np.asarray(covered(centre_y, height)[:, :, None] & covered(centre_x, width)[:, None, :])
