"""Settings of a search for a model's best settings, and of its conclusion."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from stronglens.settings.base import Settings
from stronglens.settings.member import MemberSettings

STORAGES = ("sqlite", "journal")
"""Storages that are files beside the results; anything else is the URL of a database."""

_PASSWORD = re.compile(r"//[^/@]*:[^/@]*@|[?&](password|passwd|pwd)=", re.IGNORECASE)


class Dimension(Settings):
    """Values of one key that are tried: a range of numbers, `low` and `high`, or a list, `choices`."""

    low: float | None = Field(None, examples=["1.0e-5"])
    """Lowest value of a range."""
    high: float | None = Field(None, examples=["1.0e-3"])
    """Highest value of a range."""
    log: bool = Field(False, examples=[True])
    """Whether orders of magnitude are equally likely at first, instead of values."""
    step: float | None = Field(None, gt=0, examples=[0.05])
    """Only `low` plus multiples of this are tried. Keys that take integers are tried in steps of 1 anyway."""
    choices: list[Any] | None = Field(None, min_length=1, examples=["[cosine, exponential, step]"])
    """The values, of any kind that the key takes. A single one sets the key for all trials."""

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if (self.low is None) != (self.high is None) or (self.low is None) == (self.choices is None):
            raise ValueError(
                "give either low and high, or choices; for example {low: 1.0e-5, high: 1.0e-3, log: true}"
            )
        if self.choices is not None and (self.log or self.step is not None):
            raise ValueError("log and step are of ranges; remove them, or give low and high for choices")
        if self.low is None or self.high is None:
            return self
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) must not be more than high ({self.high:g})")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError("with log, low must be more than 0, and there is no step")
        return self


class PrunerSettings(Settings):
    """When a trial is given up before its last epoch, by its learning curve."""

    method: Literal["median", "halving", "hyperband", "none"] = Field("median", examples=["median"])
    """`median`: where the best validation AUC so far is below the median of the other trials at the same
    epoch. `halving`: only the best share 1 / `reduction_factor` of the trials goes on after
    `n_warmup_epochs`, after `reduction_factor` times as many, and so on (Li et al. 2020, ASHA). `hyperband`:
    several such races that begin at different epochs (Li et al. 2018). `none`: every trial is trained to its
    end."""
    n_startup_trials: int = Field(5, ge=0, examples=[5])
    """Trials that must have been trained to their end before `median` gives one up."""
    n_warmup_epochs: int = Field(3, ge=0, examples=[3])
    """Epochs that every trial is given."""
    reduction_factor: int = Field(3, ge=2, le=100, examples=[3])
    """One trial in so many goes on, in `halving` and `hyperband`."""


class StrategySettings(Settings):
    """What decides on the setting of a trial, and on its end."""

    seed: int = Field(1, ge=0, le=2**32 - 1, examples=[1])
    """Seed of the choice of settings. Networks are trained with the first seed of the model."""
    sampler: Literal["tpe", "random"] = Field("tpe", examples=["tpe"])
    """`tpe`: settings near those that did well (tree-structured Parzen estimator, Bergstra et al. 2011);
    `random`: any, whatever the other trials found."""
    n_startup_trials: int = Field(10, ge=1, examples=[10])
    """Trials with settings at random before `tpe` begins to learn from them."""
    space: dict[str, Dimension] = Field(
        min_length=1, examples=["{train.lr: {low: 1.0e-5, high: 1.0e-3, log: true}}"]
    )
    """What is tried: keys of a model block such as `train.lr`, `train.schedule`, `network.name` or
    `network.drop_path`, each with a range or choices. Keys that change what validation scores mean cannot be
    searched: `bands`, `domains`, `train.val_fraction`, `train.test_fraction`."""
    pruner: PrunerSettings = PrunerSettings()
    """When a trial is given up early."""
    storage: Annotated[str, Field(min_length=1)] = Field(
        "sqlite", examples=["postgresql://me@database.example.org/lenses"]
    )
    """Where the trials find one another: `sqlite`, a file `results/search/NAME/study.db`; `journal`, a file
    `study.journal` there, for network file systems on which SQLite's locks do not work; or the URL of a
    database, without a password."""
    password_file: str | None = Field(None, min_length=1, examples=["~/.stronglens-password"])
    """File with the password of the database, where it needs one; only you should be able to read it. The
    password itself is never in a config, since configs are copied into results and logs."""

    @field_validator("storage")
    @classmethod
    def _is_a_storage(cls, storage: str) -> str:
        if storage not in STORAGES and "://" not in storage:
            raise ValueError("expected sqlite, journal or the URL of a database; for example storage: sqlite")
        if storage == "sqlite://" or ":memory:" in storage:
            raise ValueError("trials do not share a memory; for example storage: sqlite")
        return storage

    @field_validator("storage")
    @classmethod
    def _holds_no_password(cls, storage: str) -> str:
        # The message does not repeat what was found.
        if _PASSWORD.search(storage):
            raise ValueError(
                "found a password in the URL; write it into a file that only you can read, "
                "for example password_file: ~/.stronglens-password"
            )
        return storage


class ExtentSettings(Settings):
    """On which model, and how much."""

    model: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", examples=["nano"])
    """Name of the model whose settings are the ones that trials start from."""
    n_trials: int = Field(20, ge=1, le=10_000, examples=[20])
    """How many settings are tried. Raising it runs the new trials alone."""
    n_parallel: int = Field(4, ge=1, le=1_000, examples=[4])
    """Trials that run at the same time, at most. The fewer, the more each can learn from the others. Changing
    it runs nothing again."""


class SearchSettings(StrategySettings, ExtentSettings):
    """A search for the best settings of a model. Nothing runs it but `snakemake search_NAME`."""


class TrialSettings(StrategySettings):
    """What a trial is given: all that decides the settings it tries and what they score."""

    # Empty by default, since a command line is merged into the default.
    space: dict[str, Dimension] = Field(
        default_factory=dict, examples=["{train.lr: {low: 1.0e-5, high: 1.0e-3, log: true}}"]
    )
    """What is tried: keys of `member`, each with a range or choices; none tries `member` as it is."""
    member: MemberSettings = MemberSettings()
    """Settings of the model: what is not searched."""
    member_seed: int = Field(42, ge=0, le=2**32 - 1, examples=[42])
    """Seed of the training."""


class ConclusionSettings(Settings):
    """What the conclusion of a search must know beside its trials."""

    model: str = "by_hand"
    """Name of the model."""
    block: dict[str, Any] = Field(default_factory=dict)
    """The block of the model in the config, without settings of single seeds."""
    space: dict[str, Dimension] = Field(default_factory=dict)
    """What was tried."""
