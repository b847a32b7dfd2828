"""Settings of a network."""

from typing import Any

from pydantic import Field, field_validator

from stronglens.settings.base import Settings


class NetworkSettings(Settings):
    """A timm network whose first output is the logit of being a lens. `network: NAME` for short."""

    name: str = Field("convnextv2_atto", pattern=r"^[a-z0-9_.]+$", examples=["convnextv2_nano"])
    """Name of a network in timm: `convnextv2_atto`, `convnextv2_nano`, `convnextv2_tiny`, or any other that
    takes images of this size."""
    drop_path: float = Field(0.0, ge=0, lt=1, examples=[0.05])
    """Chance that a residual branch is skipped in training (stochastic depth), rising to this with depth."""
    head_init_scale: float = Field(1.0, gt=0, examples=[1.0])
    """Factor on the initial weights of the last layer."""
    pretrained: bool = False
    """Start from weights that timm downloads. The published weights of ConvNeXt V2 may be used for
    non-commercial purposes only (CC BY-NC 4.0)."""
    learnt_softening: float | None = Field(None, gt=0, le=1e6, examples=[1.0])
    """Begin with a layer asinh(x / s) that learns a softening s for each channel, from this value on, in
    units of the preprocessed image; counts where `normalise` is false. `null`, the default: no such layer.
    What it gained: docs/EXPERIMENTS.md."""
    band_mask: bool = False
    """Give the network one more channel for each band: 1 where the object has the band, 0 where it is
    missing, that is, where the band's channel is 0 everywhere. Needs a stack of bands. Off by default; what
    it gained: docs/EXPERIMENTS.md."""
    timm: dict[str, Any] = Field({}, examples=["{patch_size: 2}"])
    """Further keywords for `timm.create_model`, such as `patch_size` of the stem."""

    @field_validator("timm")
    @classmethod
    def _no_keyword_twice(cls, keywords: dict[str, Any]) -> dict[str, Any]:
        taken = {"in_chans", "num_classes", "drop_path_rate", "head_init_scale", "pretrained"} & set(keywords)
        if taken:
            raise ValueError(f"set elsewhere: {', '.join(sorted(taken))}; here only other keywords of timm")
        return keywords
