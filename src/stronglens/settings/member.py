"""Settings that make a member, and of its application: a network, what it sees, how it is trained."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from stronglens.settings.base import Settings
from stronglens.settings.domains import Domain
from stronglens.settings.lens_parameters import LensParameterSettings
from stronglens.settings.network import NetworkSettings
from stronglens.settings.preprocess import PreprocessSettings
from stronglens.settings.train import TrainSettings


class StartSettings(Settings):
    """A trained network from which training begins. `init_from: PATH` for short."""

    path: str = Field(min_length=1, examples=["/data/nano.capsule"])
    """A capsule, or a checkpoint such as `best.pt`, of the same network and the same bands."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 that the file must have; `null` takes any. Records hold what it was."""
    member: str | None = Field(None, min_length=1, examples=["nano seed 42"])
    """Which network of a capsule; `null`: the one with the same seed if it fits, else one that fits, chosen
    by the seed. Records hold which it was."""


class MemberSettings(Settings):
    """All that decides a member's weights but its seed and its data."""

    network: NetworkSettings = Field(NetworkSettings(), examples=["convnextv2_nano"])
    """The network: a name in timm, or a block with `name`, `drop_path`, …."""
    bands: Literal["each"] | list[str] = Field("each", examples=["[g, r, i, z, y]"])
    """`each`: every cutout is a sample of one channel. A list such as `[g, r, i, z, y]`: the object is the
    sample, its bands are channels in this order, and a missing band is 0 after normalisation. See
    `train.band_dropout` and `train.skip_incomplete` for what else can be done about missing bands."""
    domains: list[Domain] | None = Field(None, min_length=1, examples=["[slsim]"])
    """Domains of the objects that are learnt from, and whose validation objects decide on the best epoch;
    `null` takes all."""
    preprocess: PreprocessSettings = PreprocessSettings()
    """From raw pixels to what the network sees."""
    train: TrainSettings = TrainSettings()
    """Training."""
    # Not in records where it is off: a member without is the same, byte for byte, as before there was any.
    lens_parameters: LensParameterSettings | None = Field(None, exclude_if=lambda value: value is None)
    """Estimates of physical parameters of lenses beside the probability, such as the Einstein radius; `null`,
    the default: none."""

    init_from: StartSettings | None = Field(
        None, examples=["/data/nano.capsule"], exclude_if=lambda value: value is None
    )
    """Start from all weights of a trained network, a file; `null`: from what `network` says. A file that was
    changed trains the member again."""

    distil_from: str | None = Field(
        None, min_length=1, examples=["nano"], exclude_if=lambda value: value is None
    )
    """Learn the probabilities that this ensemble of the config, the teacher, gives the training objects, not
    their labels: one network in place of many. Validation and held-out objects keep their labels; see
    docs/capsules.md. `null`: learn the labels."""

    distil_on: list[Annotated[str, Field(min_length=1)]] = Field(
        [], examples=["[challenge]"], exclude_if=lambda value: not value
    )
    """With `distil_from`, learn the teacher's probabilities of the objects of these test sets too. Only sets
    without labels: a network cannot be scored on what it has learnt. `[]`, the default: of the training
    objects alone."""

    @field_validator("init_from", mode="before", json_schema_input_type=str | StartSettings | None)
    @classmethod
    def _path_for_short(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

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
            "train.band_dropout": self.train.band_dropout > 0,
            "train.skip_incomplete": self.train.skip_incomplete,
        }
        if self.in_chans == 1 and any(asked.values()):
            keys = " and ".join(key for key, on in asked.items() if on)
            raise ValueError(f"{keys}: expected a stack of bands; for example bands: [g, r, i, z, y]")
        return self

    @model_validator(mode="after")
    def _images_have_what_is_learnt(self) -> Self:
        mixed = [key for key in ("mixup_alpha", "cutmix_alpha") if getattr(self.train, key) > 0]
        learnt = {
            "lens_parameters": ("Einstein radius", self.lens_parameters is not None),
            "train.domain_weight": ("domain", self.train.domain_weight > 0),
        }
        for key, (what, asked) in learnt.items():
            if asked and mixed:
                raise ValueError(
                    f"{key}: an image mixed of two has no one {what}; remove {key}, "
                    f"or {' and '.join(f'train.{one}' for one in mixed)}"
                )
        if self.train.domain_weight > 0 and self.domains is not None and len(set(self.domains)) == 1:
            raise ValueError(
                "train.domain_weight: expected two domains or more to tell apart, found "
                f"{self.domains[0]} alone"
            )
        return self

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        network = self.network
        if self.init_from is not None and (network.is_on_hub or network.weights or network.pretrained):
            raise ValueError("init_from and network both name weights to start from; give one of them")
        return self

    @model_validator(mode="after")
    def _sets_have_a_teacher(self) -> Self:
        if self.distil_on and self.distil_from is None:
            raise ValueError(
                "distil_on: found test sets, but no teacher whose probabilities of them are to be learnt; "
                "for example distil_from: nano"
            )
        if len(set(self.distil_on)) < len(self.distil_on):
            raise ValueError(f"distil_on: found a test set twice: {', '.join(self.distil_on)}")
        return self

    @property
    def n_outputs(self) -> int:
        """Outputs of the network: the logit, an estimate of each lens parameter, and then, with
        `lens_parameters.uncertainties`, a width of each.
        """
        if self.lens_parameters is None:
            return 1
        return 1 + len(self.lens_parameters.targets) * (2 if self.has_uncertainties else 1)

    @property
    def has_uncertainties(self) -> bool:
        """Whether it estimates lens parameters with their standard deviations."""
        return self.lens_parameters is not None and self.lens_parameters.uncertainties

    @property
    def in_chans(self) -> int:
        """Channels of the network's input: one for single cutouts, else the number of bands."""
        return 1 if isinstance(self.bands, str) else len(self.bands)


class PredictSettings(Settings):
    """How trained members are applied: to change it trains nothing again."""

    test_time_augmentation: bool = False
    """Show the network each sample in the eight symmetries of the square and take the mean of the eight
    probabilities, for validation, held-out and test objects alike. Prediction takes eight times as long."""
