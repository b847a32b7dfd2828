"""Random changes of training images that leave what they show the same."""

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from stronglens.networks.symmetries import N_SYMMETRIES, dihedral
from stronglens.settings.train import TrainSettings


def augment(images: Tensor, settings: TrainSettings, generator: torch.Generator) -> Tensor:
    """Turn and mirror, change the contrast, add noise, drop bands: as the settings say, for each anew.

    Parameters
    ----------
    images : Tensor of float32, shape (n, n_channels, size_px, size_px)
        Axes (sample, channel, y, x), normalised. Channels of a sample are changed alike, but for the noise.
        A channel that is 0 everywhere is a missing band and stays so.
    settings : TrainSettings
        `augment`, `augment_any_angle`, `augment_shift_px`, `augment_gamma`, `augment_noise`, `band_dropout`.
    generator : torch.Generator
        On the images' device.

    Returns
    -------
    Tensor of float32, same shape
        The input itself where nothing is to be done.
    """
    if settings.augment:
        images = turn_and_mirror(images, generator)
    if settings.augment_any_angle or settings.augment_shift_px > 0:
        images = _turn_and_shift(images, settings, generator)
    if settings.augment_gamma > 0:
        images = _change_contrast(images, settings.augment_gamma, generator)
    if settings.augment_noise > 0:
        images = _add_noise(images, settings.augment_noise, generator)
    if settings.band_dropout > 0:
        images = _drop_bands(images, settings.band_dropout, generator)
    return images


def computes_on_pixels(settings: TrainSettings) -> bool:
    """Whether `augment` does more than move pixels and leave some out, so that its input should be exact."""
    interpolates = settings.augment_any_angle or settings.augment_shift_px > 0
    return interpolates or settings.augment_gamma > 0 or settings.augment_noise > 0


def centre(images: Tensor, side_px: int) -> Tensor:
    """The central square of images.

    Parameters
    ----------
    images : Tensor, shape (n, n_channels, height, width)
        Axes (sample, channel, y, x).
    side_px : int
        Its side, at most height and width. Where it differs from them by an odd number, it lies half a pixel
        towards the origin.

    Returns
    -------
    Tensor, shape (n, n_channels, side_px, side_px)
    """
    y, x = ((side - side_px) // 2 for side in images.shape[2:])
    return images[:, :, y : y + side_px, x : x + side_px].contiguous()


def turn_and_mirror(images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply to each image one of the eight symmetries of the square, all equally likely.

    Parameters
    ----------
    images : Tensor, shape (n, n_channels, size_px, size_px)
        Axes (sample, channel, y, x).
    generator : torch.Generator
        On the images' device.
    """
    swap, flip_y, flip_x = torch.randint(0, 2, (3, len(images)), generator=generator, device=images.device)
    sources = _sources(images.shape[2], images.device)[flip_x, flip_y, swap]
    # One pass over the pixels, where flips and choices between them would be seven.
    pixels = images.flatten(2).gather(2, sources[:, None, :].expand(-1, images.shape[1], -1))
    return pixels.view(images.shape)


@cache
def _sources(size_px: int, device: torch.device) -> Tensor:
    """For each symmetry, by the bits of its number, the pixel that every pixel is taken from: int64, shape
    (2, 2, 2, size_px ** 2).
    """
    pixels = torch.arange(size_px**2, device=device).view(1, 1, size_px, size_px)
    return torch.stack([dihedral(pixels, number) for number in range(N_SYMMETRIES)]).view(2, 2, 2, -1)


def _turn_and_shift(images: Tensor, settings: TrainSettings, generator: torch.Generator) -> Tensor:
    """Turn by any angle, where that is wanted, and shift along both axes.

    What comes in from outside is the image mirrored at its edge. Channels of an image move alike.
    """
    n, _, height, width = images.shape
    angle, shift_x, shift_y = torch.rand((3, n), generator=generator, device=images.device)
    angle = angle * (2 * torch.pi if settings.augment_any_angle else 0)
    cos, sin = angle.cos(), angle.sin()
    # In units of half a side, as PyTorch has them: where each pixel is taken from.
    largest = 2 * settings.augment_shift_px
    by_x, by_y = (2 * shift_x - 1) * largest / width, (2 * shift_y - 1) * largest / height
    rows = [torch.stack([cos, -sin, by_x], 1), torch.stack([sin, cos, by_y], 1)]
    grid = affine_grid(torch.stack(rows, 1), [n, 1, height, width], align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _change_contrast(images: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    """Replace x by sign(x) |x|^g, g between 1 - spread and 1 + spread: both signs survive."""
    gamma = torch.empty(len(images), 1, 1, 1, device=images.device)
    gamma.uniform_(1 - spread, 1 + spread, generator=generator)
    return images.sign() * images.abs().pow(gamma)


def _add_noise(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return torch.where(_present(images), images + sigma * noise, images)


def _drop_bands(images: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Set bands to 0, each with this chance, but never all that an image has."""
    draws = torch.rand(images.shape[:2], generator=generator, device=images.device)
    kept = draws >= chance
    # Of the bands that are there the one with the highest draw is dropped last, if at all.
    last = draws.masked_fill(~_present(images).flatten(1), -1).argmax(dim=1, keepdim=True)
    kept.scatter_(1, last, True)
    return images * kept[:, :, None, None]


def _present(images: Tensor) -> Tensor:
    """Which channels of which images are not missing, that is, not 0 everywhere.

    Parameters
    ----------
    images : Tensor, shape (n, n_channels, height, width)
        Axes (sample, channel, y, x).

    Returns
    -------
    Tensor of bool, shape (n, n_channels, 1, 1)
    """
    return images.any(dim=3, keepdim=True).any(dim=2, keepdim=True)
