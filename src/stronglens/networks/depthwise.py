"""Depthwise convolutions whose kernels are larger than what they are laid over."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

FEW_PIXELS = 4
"""Maps of so many pixels are not worth a convolution.

Measured: H100, 128 maps of 320 channels and 2 x 2 pixels, 7 x 7 kernels, bfloat16, channels last: 217 us,
where 80 channels of 10 x 10 pixels take 22 us. One core of a shared CPU, batches of 128, medians of 10:
learning is 8 to 150 times as fast as with convolutions of these maps, 1.3 times for all of convnextv2_atto,
because their gradients are slow; without gradients convolutions are 1.3 to 20 times as fast, and stay.
"""


class FittedConv2d(nn.Conv2d):
    """A depthwise convolution of odd kernels that keeps the size of its map; the same results in less time.

    Weights that would only ever meet padding are left out, and maps of a few pixels are not convolved at all
    but multiplied: each pixel of the result is a sum over all pixels of the map. Shapes and names of the
    weights are those of `torch.nn.Conv2d`.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Shape (n, n_channels, height, width), as the input."""
        height, width = images.shape[2:]
        if height * width <= FEW_PIXELS and (images.is_cuda or torch.is_grad_enabled()):
            return self._multiplied(images)
        rows, columns = (_reached(self.kernel_size[axis], images.shape[2 + axis]) for axis in (0, 1))
        if rows == columns == slice(None):
            return super().forward(images)
        weight = self.weight[:, :, rows, columns]
        padding = weight.shape[2] // 2, weight.shape[3] // 2
        return conv2d(images, weight, self.bias, padding=padding, groups=self.groups)

    def _multiplied(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        middle_y, middle_x = (size // 2 for size in self.kernel_size)
        dtype = images.dtype
        if torch.is_autocast_enabled(images.device.type):
            dtype = torch.get_autocast_dtype(images.device.type)
        # As convolutions do: numbers of that type, sums in float32.
        weight, shown = self.weight.to(dtype).float(), images.to(dtype).float()
        of_pixel = [
            weight[:, 0, middle_y - y : middle_y - y + height, middle_x - x : middle_x - x + width]
            for y in range(height)
            for x in range(width)
        ]
        # Axes (sample, pixel of the result, channel, y, x): channels last, as the layers after it want them.
        result = (shown[:, None] * torch.stack(of_pixel)).sum(dim=(3, 4))
        if self.bias is not None:
            result = result + self.bias.to(dtype).float()
        return result.to(dtype).permute(0, 2, 1).reshape(len(images), -1, height, width)


def fit_kernels(network: nn.Module) -> None:
    """Let the depthwise convolutions of a network leave out what only meets padding; in place."""
    for module in network.modules():
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and _is_depthwise(child):
                with torch.device("meta"):
                    fitted = FittedConv2d(
                        child.in_channels,
                        child.out_channels,
                        child.kernel_size,  # type: ignore[arg-type]
                        padding=child.padding,  # type: ignore[arg-type]
                        groups=child.groups,
                        bias=child.bias is not None,
                    )
                fitted.weight, fitted.bias = child.weight, child.bias
                fitted.train(child.training)
                setattr(module, name, fitted)


def _is_depthwise(layer: nn.Conv2d) -> bool:
    """Whether it is a depthwise convolution that `FittedConv2d` can replace."""
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and all(size % 2 for size in layer.kernel_size)
        and layer.padding == tuple(size // 2 for size in layer.kernel_size)
    )


def _reached(kernel: int, length: int) -> slice:
    """The weights along an axis that meet any of so many pixels."""
    cut = kernel // 2 - (length - 1)
    return slice(cut, kernel - cut) if cut > 0 else slice(None)
