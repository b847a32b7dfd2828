"""ConvNeXt V2 atto as its paper describes it, written down without timm.

Woo et al. 2023, arXiv:2301.00808; names of the weights as in github.com/facebookresearch/ConvNeXt-V2.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, gelu, layer_norm, linear

ATTO_DEPTHS, ATTO_WIDTHS = (2, 2, 6, 2), (40, 80, 160, 320)
"""Blocks in each stage of the atto network, and their channels."""


def paper_weights(in_chans: int = 1) -> dict[str, Tensor]:
    """Random weights of an atto network with the paper's names; none of them is neutral."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {}

    def add(name: str, *weight: int, n_outputs: int) -> None:
        shapes[f"{name}.weight"] = weight
        shapes[f"{name}.bias"] = (n_outputs,)

    add("downsample_layers.0.0", ATTO_WIDTHS[0], in_chans, 4, 4, n_outputs=ATTO_WIDTHS[0])
    add("downsample_layers.0.1", ATTO_WIDTHS[0], n_outputs=ATTO_WIDTHS[0])
    for stage in (1, 2, 3):
        before, after = ATTO_WIDTHS[stage - 1], ATTO_WIDTHS[stage]
        add(f"downsample_layers.{stage}.0", before, n_outputs=before)
        add(f"downsample_layers.{stage}.1", after, before, 2, 2, n_outputs=after)
    for stage, (depth, width) in enumerate(zip(ATTO_DEPTHS, ATTO_WIDTHS, strict=True)):
        for number in range(depth):
            block = f"stages.{stage}.{number}"
            add(f"{block}.dwconv", width, 1, 7, 7, n_outputs=width)
            add(f"{block}.norm", width, n_outputs=width)
            add(f"{block}.pwconv1", 4 * width, width, n_outputs=4 * width)
            shapes[f"{block}.grn.gamma"] = shapes[f"{block}.grn.beta"] = (1, 1, 1, 4 * width)
            add(f"{block}.pwconv2", width, 4 * width, n_outputs=width)
    add("norm", ATTO_WIDTHS[-1], n_outputs=ATTO_WIDTHS[-1])
    add("head", 1, ATTO_WIDTHS[-1], n_outputs=1)
    weights = {}
    for name, shape in shapes.items():
        is_matrix = len(shape) > 1 and ".grn." not in name
        # The signal keeps its size through the layers, else the logits would hardly depend on the image.
        spread = 1 / math.sqrt(math.prod(shape[1:])) if is_matrix else 0.1 if name.endswith("bias") else 1.0
        weights[name] = spread * torch.randn(shape, generator=generator)
    return weights


def paper_forward(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """Logits of shape (n, 1), from weights alone; the global response normalisation as in algorithm 1."""

    def pair(name: str) -> tuple[Tensor, Tensor]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        return layer_norm(x, x.shape[-1:], *pair(name), eps=1e-6)

    def convolve(x: Tensor, name: str, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
        return conv2d(x.permute(0, 3, 1, 2), *pair(name), stride, padding, groups=groups).permute(0, 2, 3, 1)

    x = images.permute(0, 2, 3, 1)  # axes (sample, y, x, channel) from here on
    x = norm(convolve(x, "downsample_layers.0.0", stride=4), "downsample_layers.0.1")
    for stage, depth in enumerate(ATTO_DEPTHS):
        if stage:
            x = norm(x, f"downsample_layers.{stage}.0")
            x = convolve(x, f"downsample_layers.{stage}.1", stride=2)
        for number in range(depth):
            block = f"stages.{stage}.{number}"
            y = convolve(x, f"{block}.dwconv", padding=3, groups=x.shape[-1])
            y = gelu(linear(norm(y, f"{block}.norm"), *pair(f"{block}.pwconv1")))
            total = y.square().sum(dim=(1, 2), keepdim=True).sqrt()
            response = total / (total.mean(dim=-1, keepdim=True) + 1e-6)
            y = weights[f"{block}.grn.gamma"] * (y * response) + weights[f"{block}.grn.beta"] + y
            x = x + linear(y, *pair(f"{block}.pwconv2"))
    return linear(norm(x.mean(dim=(1, 2)), "norm"), *pair("head"))
