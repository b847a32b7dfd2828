"""Settings that make a member: a network, what it sees, and how it is trained."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from stronglens.settings.base import Settings
from stronglens.settings.domains import Domain
from stronglens.settings.network import NetworkSettings
from stronglens.settings.preprocess import PreprocessSettings
from stronglens.settings.train import TrainSettings


class MemberSettings(Settings):
    """All that decides a member's weights but its seed and its data."""

    network: NetworkSettings = Field(NetworkSettings(), examples=["convnextv2_nano"])
    """The network: a name in timm, or a block with `name`, `drop_path`, …."""
    bands: Literal["each"] | list[str] = Field("each", examples=["[g, r, i, z, y]"])
    """`each`: every cutout is a sample of one channel. A list such as `[g, r, i, z, y]`: the object is the
    sample, its bands are channels in this order, and a missing band is 0 after normalisation. See
    `network.band_mask`, `train.band_dropout` and `train.skip_incomplete` for what else can be done about
    missing bands."""
    domains: list[Domain] | None = Field(None, min_length=1, examples=["[slsim]"])
    """Domains of the objects that are learnt from, and whose validation objects decide on the best epoch;
    `null` takes all."""
    preprocess: PreprocessSettings = PreprocessSettings()
    """From raw pixels to what the network sees."""
    train: TrainSettings = TrainSettings()
    """Training."""

    @field_validator("network", mode="before", json_schema_input_type=str | NetworkSettings)
    @classmethod
    def _name_for_short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("bands")
    @classmethod
    def _bands_differ(cls, bands: str | list[str]) -> str | list[str]:
        if bands == ["each"]:  # a command line makes a list of any word
            return "each"
        if not bands or len(set(bands)) < len(bands):
            raise ValueError("found no band, or one twice; for example bands: [g, r, i, z, y]")
        return bands

    @model_validator(mode="after")
    def _stacks_where_needed(self) -> Self:
        asked = {
            "network.band_mask": self.network.band_mask,
            "train.band_dropout": self.train.band_dropout > 0,
            "train.skip_incomplete": self.train.skip_incomplete,
        }
        if self.in_chans == 1 and any(asked.values()):
            keys = " and ".join(key for key, on in asked.items() if on)
            raise ValueError(f"{keys}: expected a stack of bands; for example bands: [g, r, i, z, y]")
        return self

    @property
    def in_chans(self) -> int:
        """Channels of the network's input: one for single cutouts, else the number of bands."""
        return 1 if isinstance(self.bands, str) else len(self.bands)
