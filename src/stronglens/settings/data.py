"""Settings of the data: where the cutouts lie, and what they must look like."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from stronglens.settings.base import Settings

BUCKETS = ("slsim_lenses", "slsim_nonlenses", "hsc_lenses", "hsc_nonlenses")
"""The four folders of the challenge, in the order in which they are packed."""


def located(path: str) -> Path:
    """Where a path of the config leads: `~` is the home folder of whoever runs this.

    Settings keep the `~`, so that results that are copied to another home are still those of their settings.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises where no user has that name


class LabelledSettings(Settings):
    """The four labelled buckets: each a folder of FITS files, or a list file with one path a line."""

    slsim_lenses: str = Field(min_length=1, examples=["/data/slsim_lenses"])
    """Simulated lenses."""
    slsim_nonlenses: str = Field(min_length=1, examples=["/data/slsim_nonlenses"])
    """Simulated galaxies that are no lenses."""
    hsc_lenses: str = Field(min_length=1, examples=["/data/hsc_lenses"])
    """Lenses painted on HSC images."""
    hsc_nonlenses: str = Field(min_length=1, examples=["/data/hsc_nonlenses"])
    """Galaxies of HSC that are no lenses."""


class CutoutSettings(Settings):
    """What every cutout of a data set must be, and how many may fail to be."""

    size_px: int = Field(41, ge=8, le=1024, examples=[41])
    """Side of a cutout in pixels."""
    bands: list[str] = Field(["g", "r", "i", "z", "y"], min_length=1, examples=["[g, r, i, z, y]"])
    """Bands, in the order in which they are packed; a file name ends in `_{band}`."""
    max_rejected: float = Field(0.01, ge=0, le=1, examples=[0.01])
    """Share of a data set's files that may be unreadable before packing fails."""

    non_finite: Literal["reject", "fill"] = Field("reject", examples=["reject"])
    """What becomes of a cutout with pixels that are NaN or infinite: `reject` lists its file in
    `rejected.csv`, as one that cannot be read; `fill` gives such pixels the median of the cutout's others, if
    these are more than half, and counts pixels and cutouts in `summary.json`."""

    @field_validator("bands")
    @classmethod
    def _bands_are_suffixes(cls, bands: list[str]) -> list[str]:
        wrong = [band for band in bands if not (band.isascii() and band.isalnum())]
        if wrong or len(set(bands)) < len(bands):
            raise ValueError(f"bands must be different words of letters and digits, found {bands}")
        return bands


class DataSettings(CutoutSettings):
    """The labelled data, and what every cutout (of test sets too) must be."""

    labelled: LabelledSettings
    """Where the labelled cutouts lie."""


class TestSetSettings(Settings):
    """A set to be scored: one folder or list file (`path`), or four of them (`buckets`)."""

    __test__ = False  # not a test, whatever pytest thinks of its name

    path: str | None = Field(None, min_length=1, examples=["/data/test_dataset_updated"])
    """A folder of FITS files, or a list file with one path a line."""
    buckets: LabelledSettings | None = None
    """Four folders or list files, as for labelled data; names mean nothing unless `labelled` is true."""
    labelled: bool = False
    """Whether the buckets' names are the truth, so that the result can be scored."""
    parts: int = Field(1, ge=1, le=100_000, examples=[1])
    """Number of parts in which the set is packed and predicted, one job each. Changes no result."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.buckets is None):
            raise ValueError("give either path or buckets; for example path: /data/test_dataset_updated")
        if self.labelled and self.buckets is None:
            raise ValueError("labelled is true, but only buckets carry labels; give buckets instead of path")
        return self


class PackSettings(CutoutSettings):
    """A data set to be packed: where it lies, and what its cutouts must be.

    Exactly one of `labelled`, `path` and `buckets` is given.
    """

    dataset: str = Field("labelled", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", examples=["challenge"])
    """Name of the data set, for the records."""
    labelled: LabelledSettings | None = None
    """Four buckets whose names are the truth; each a folder or a list file."""
    path: str | None = Field(None, min_length=1, examples=["/data/test_dataset_updated"])
    """A set without labels: a folder of FITS files, or a list file with one path a line."""
    buckets: LabelledSettings | None = None
    """A set without labels in four folders or list files, whose names mean nothing."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.labelled, self.path, self.buckets)) != 1:
            raise ValueError(
                "give exactly one of labelled, path and buckets; for example path: /data/test_dataset_updated"
            )
        return self

    @property
    def paths(self) -> list[str]:
        """The folders and list files, as they were given."""
        buckets = self.labelled or self.buckets
        return [getattr(buckets, bucket) for bucket in BUCKETS] if buckets else [str(self.path)]

    def with_paths(self, change: Callable[[str], str]) -> Self:
        """The same settings with each path changed."""
        given = self.model_dump(include={"labelled", "path", "buckets"}, exclude_none=True)
        changed = {
            key: change(value)
            if isinstance(value, str)
            else {name: change(path) for name, path in value.items()}
            for key, value in given.items()
        }
        return self.model_validate(self.model_dump() | changed)

    @classmethod
    def of_labelled(cls, data: DataSettings) -> Self:
        """The labelled data of a config."""
        return cls(**data.model_dump())

    @classmethod
    def of_testset(cls, name: str, testset: TestSetSettings, data: CutoutSettings) -> Self:
        """A test set of a config; its cutouts are like those of the labelled data."""
        cutouts = {key: getattr(data, key) for key in CutoutSettings.model_fields}
        place = {"labelled": testset.buckets} if testset.labelled else {"buckets": testset.buckets}
        return cls(**cutouts, dataset=name, path=testset.path, **place)


class SplitSettings(Settings):
    """Shares of the labelled objects for training, validation and test, and the seed that draws them."""

    train: float = Field(0.70, gt=0, lt=1, examples=[0.70])
    """Share for training."""
    val: float = Field(0.15, gt=0, lt=1, examples=[0.15])
    """Share for validation: early stopping and the threshold t*."""
    test: float = Field(0.15, gt=0, lt=1, examples=[0.15])
    """Share held out: an honest score before submitting."""
    seed: int = Field(42, ge=0, le=2**32 - 1, examples=[42])
    """Seed of the split, the same for all members."""

    @model_validator(mode="after")
    def _shares_make_one(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(
                f"train + val + test must be 1, found {total:g}; "
                "for example train: 0.70, val: 0.15, test: 0.15"
            )
        return self
