"""Settings of a network."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from stronglens.settings.base import Settings

REMOVED = {"learnt_softening": None, "band_mask": False}
"""Options that lost in each measurement (docs/EXPERIMENTS.md). Files of before name them with these values
where they were off."""
HUB = r"hf[-_]hub:[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?"
"""Pattern of what names a repository of the Hugging Face hub."""


class NetworkSettings(Settings):
    """A timm network whose first output is the logit of being a lens. `network: NAME` for short."""

    name: str = Field("convnextv2_atto", pattern=rf"^({HUB}|[a-z0-9_.]+)$", examples=["convnextv2_nano"])
    """Name of a network in timm: `convnextv2_atto`, `convnextv2_nano`, `convnextv2_tiny`, or any other that
    takes images of this size; or `cutout_resnet`, ours for small images (docs/five_bands.md).
    `hf_hub:OWNER/NAME`, or `hf_hub:OWNER/NAME@REVISION`: the network of that repository of the Hugging Face
    hub, with its weights, which training downloads; see docs/encoders.md."""
    # Not in records where they are off: a member without is the same, byte for byte, as before there were
    # any.
    weights: str | None = Field(
        None, min_length=1, examples=["/data/zoobot_nano"], exclude_if=lambda value: value is None
    )
    """Start from weights that others have trained for the network `name`, all but the last layer: a file of
    safetensors, a folder with `model.safetensors` and `config.json` as timm saves them, or
    `hf_hub:OWNER/NAME`."""
    weights_sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", exclude_if=lambda value: value is None
    )
    """SHA-256 that the file of these weights must have; `null` takes any. Records hold what it was."""
    weights_licence: str | None = Field(
        None, min_length=1, examples=["CC-BY-4.0"], exclude_if=lambda value: value is None
    )
    """Licence of these weights, for records and capsules; `null`: what their folder or repository states."""
    drop_path: float = Field(0.0, ge=0, lt=1, examples=[0.05])
    """Chance that a residual branch is skipped in training (stochastic depth), rising to this with depth."""
    head_init_scale: float = Field(1.0, gt=0, examples=[1.0])
    """Factor on the initial weights of the last layer."""
    pretrained: bool = False
    """Start from weights that timm downloads. The published weights of ConvNeXt V2 may be used for
    non-commercial purposes only (CC BY-NC 4.0)."""
    timm: dict[str, Any] = Field({}, examples=["{patch_size: 2}"])
    """Further keywords for `timm.create_model`, such as `patch_size` of the stem; none that names a file."""

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
        # timm would open them, older versions with pickle: a capsule from elsewhere could run code.
        files = {"checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"} & set(keywords)
        if files:
            raise ValueError(
                f"found {', '.join(sorted(files))}: no file is named here; give weights, or init_from"
            )
        return keywords

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        starts = {
            "name": self.is_on_hub,
            "weights": self.weights is not None,
            "pretrained": self.pretrained,
        }
        given = [key for key, on in starts.items() if on]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: each names weights to start from; give one of them")
        if not given and (self.weights_sha256 or self.weights_licence):
            raise ValueError("weights_sha256 and weights_licence are of weights, and none are named")
        return self

    @property
    def is_on_hub(self) -> bool:
        """Whether the name is that of a repository, which says what network it holds."""
        return ":" in self.name
