"""Settings of a network."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from stronglens.settings.base import Settings

REMOVED = {"learnt_softening": None, "band_mask": False}
"""Options that lost in each measurement (docs/EXPERIMENTS.md). Files of before name them with these values
where they were off."""


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
    timm: dict[str, Any] = Field({}, examples=["{patch_size: 2}"])
    """Further keywords for `timm.create_model`, such as `patch_size` of the stem."""

    @model_validator(mode="before")
    @classmethod
    def _without_removed(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        asked = [key for key, off in REMOVED.items() if values.get(key, off) != off]
        if asked:
            raise ValueError(
                f"{' and '.join(asked)}: removed after version 0.2, since each measurement was worse with it "
                "(docs/EXPERIMENTS.md); leave it out"
            )
        return {key: value for key, value in values.items() if key not in REMOVED}

    @field_validator("timm")
    @classmethod
    def _no_keyword_twice(cls, keywords: dict[str, Any]) -> dict[str, Any]:
        taken = {"in_chans", "num_classes", "drop_path_rate", "head_init_scale", "pretrained"} & set(keywords)
        if taken:
            raise ValueError(f"set elsewhere: {', '.join(sorted(taken))}; here only other keywords of timm")
        return keywords
