"""A residual network for images of some 40 pixels, under a name that timm knows: `cutout_resnet`.

Networks of timm are made for images of 224 pixels: their first layers divide the side by four, so that the
blocks of a ResNet or a ConvNeXt see a cutout of 41 pixels as 10 or 11. Here the stem divides it by two, and
each stage after the first by two again: 21, 11 and 6 pixels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from timm.layers import DropPath  # type: ignore[attr-defined] # in its documentation
from timm.models import register_model
from timm.models.resnet import BasicBlock
from torch import Tensor, nn


class CutoutResNet(nn.Module):
    """A stem, stages of residual blocks, the mean over all pixels, and a linear layer.

    Parameters
    ----------
    in_chans : int
        Channels of an image.
    num_classes : int
        Outputs.
    widths : sequence of int
        Channels of each stage. Between stages the side is halved, rounded up.
    depths : sequence of int
        Blocks of each stage, as many numbers as widths.
    stem_stride : int
        What the stem, a convolution of 5 x 5 pixels, divides the side by.
    drop_path_rate : float
        Chance that a block is skipped in training, rising from 0 to this with depth.

    Notes
    -----
    The blocks are those of ResNet-18 (He et al. 2016, CVPR, 770), with batch normalisation, as timm has them;
    shortcuts between stages average before they convolve (He et al. 2019, CVPR, 558). Initial weights are
    PyTorch's: with kernels of Kaiming's size, and blocks that begin as the identity, it learnt more slowly
    (docs/EXPERIMENTS.md).
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        widths: Sequence[int] = (32, 64, 128),
        depths: Sequence[int] = (2, 2, 2),
        stem_stride: int = 2,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths) or not widths or min(*widths, *depths, stem_stride) < 1:
            raise ValueError(
                "expected widths and depths of as many stages, and a stem_stride, all 1 or more, found "
                f"widths={[*widths]}, depths={[*depths]}, stem_stride={stem_stride}"
            )
        width = widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, width, 5, stem_stride, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        rates = torch.linspace(0, drop_path_rate, sum(depths)).tolist()
        stages = []
        for number, (planes, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for index in range(depth):
                stride = 2 if number and not index else 1
                rate = rates[sum(depths[:number]) + index]
                blocks.append(_block(width, planes, stride, rate))
                width = planes
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """From images, shape (n, in_chans, y, x), to outputs, shape (n, num_classes)."""
        outputs: Tensor = self.head(self.stages(self.stem(images)).mean(dim=(2, 3)))
        return outputs

    def get_classifier(self) -> nn.Linear:
        """The last layer, as timm's networks name it."""
        return self.head

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """What belongs to which layer, in the form that timm asks for."""
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)" if coarse else r"^stages\.(\d+)\.(\d+)"}


def _block(in_planes: int, planes: int, stride: int, drop_path_rate: float) -> BasicBlock:
    shortcut: nn.Module | None = None
    if stride > 1 or in_planes != planes:
        average = (
            nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
        )
        shortcut = nn.Sequential(average, nn.Conv2d(in_planes, planes, 1, bias=False), nn.BatchNorm2d(planes))
    drop_path = DropPath(drop_path_rate) if drop_path_rate > 0 else None
    return BasicBlock(in_planes, planes, stride, shortcut, drop_path=drop_path)


@register_model
def cutout_resnet(pretrained: bool = False, **keywords: Any) -> CutoutResNet:
    """The network for small cutouts; keywords are those of `CutoutResNet`."""
    if pretrained:
        raise RuntimeError("cutout_resnet has no published weights")
    for of_pretrained in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        keywords.pop(of_pretrained, None)
    return CutoutResNet(**keywords)
