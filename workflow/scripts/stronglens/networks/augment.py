"""Random changes of training images that leave what they show the same."""

import torch
from torch import Tensor

from stronglens.settings.train import TrainSettings


def augment(images: Tensor, settings: TrainSettings, generator: torch.Generator) -> Tensor:
    """Turn and mirror, change the contrast, add noise: each if the settings say so, for each image anew.

    Parameters
    ----------
    images : Tensor of float32, shape (n, n_channels, size_px, size_px)
        Axes (sample, channel, y, x), normalised. Channels of a sample are changed alike, but for the noise.
        A channel that is 0 everywhere is a missing band and stays so.
    settings : TrainSettings
        `augment`, `augment_gamma`, `augment_noise`.
    generator : torch.Generator
        On the images' device.

    Returns
    -------
    Tensor of float32, same shape
        The input itself where nothing is to be done.
    """
    if settings.augment:
        images = turn_and_mirror(images, generator)
    if settings.augment_gamma > 0:
        images = _change_contrast(images, settings.augment_gamma, generator)
    if settings.augment_noise > 0:
        images = _add_noise(images, settings.augment_noise, generator)
    return images


def turn_and_mirror(images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply to each image one of the eight symmetries of the square, all equally likely.

    Parameters
    ----------
    images : Tensor, shape (n, n_channels, size_px, size_px)
        Axes (sample, channel, y, x).
    generator : torch.Generator
        On the images' device.
    """
    n, device = len(images), images.device
    swap, flip_y, flip_x = torch.randint(0, 2, (3, n, 1, 1, 1), generator=generator, device=device).bool()
    # The result has the memory layout of the first choice; the network is not made for the transposed one.
    images = torch.where(~swap, images, images.transpose(2, 3))
    images = torch.where(flip_y, images.flip(2), images)
    return torch.where(flip_x, images.flip(3), images)


def _change_contrast(images: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    """Replace x by sign(x) |x|^g, g between 1 - spread and 1 + spread: both signs survive."""
    gamma = torch.empty(len(images), 1, 1, 1, device=images.device)
    gamma.uniform_(1 - spread, 1 + spread, generator=generator)
    return images.sign() * images.abs().pow(gamma)


def _add_noise(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    present = images.any(dim=3, keepdim=True).any(dim=2, keepdim=True)
    return torch.where(present, images + sigma * noise, images)
