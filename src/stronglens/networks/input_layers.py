"""What stands between images and a network of timm: a learnt stretch, and masks of missing bands."""

import torch
from torch import Tensor, nn


class InputLayers(nn.Module):
    """A network with layers before it that prepare its input.

    Parameters
    ----------
    network : Module
        Takes `in_chans` channels, or twice as many with masks; gives outputs of shape (n, n_outputs).
    in_chans : int
        Channels of an image.
    softening : float or None
        Begin with asinh(x / s), one s for each channel, learnt from this value on; None: no such layer.
    masks : bool
        Append a channel for each channel: 1 where an image has it, 0 where it is 0 everywhere.

    Notes
    -----
    What is learnt is ln(s / softening), which begins at 0: s stays positive, and weight decay draws it to
    where it began. The stretch is that of Lupton et al. (2004), PASP 116, 133, for each band by itself.
    """

    def __init__(self, network: nn.Module, in_chans: int, softening: float | None, *, masks: bool) -> None:
        super().__init__()
        self.softening, self.masks = softening, masks
        self.log_ratio = None if softening is None else nn.Parameter(torch.zeros(in_chans, 1, 1))
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Outputs, shape (n, n_outputs), of images of shape (n, in_chans, height, width)."""
        shown = images
        if self.log_ratio is not None and self.softening is not None:
            shown = torch.asinh(images / (self.softening * self.log_ratio.exp()))
        if self.masks:
            shown = torch.cat([shown, present(images).to(shown.dtype).expand_as(shown)], dim=1)
        outputs: Tensor = self.network(shown)
        return outputs


def present(images: Tensor) -> Tensor:
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
