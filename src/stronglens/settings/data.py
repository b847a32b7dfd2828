"""Settings of the data: where the cutouts lie, and what they must look like."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from stronglens.settings.base import Settings
from stronglens.settings.domains import Domain
from stronglens.settings.reading import ReadSettings
from stronglens.settings.tiles import TilesSettings, with_catalogue_as_path

_FILTERS = re.compile("[ugrizyjhk]{2,}")

Label = Literal["lens", "nonlens"]
LABELS: dict[str, int] = {"lens": 1, "nonlens": 0}
"""Labels as numbers, as in tables."""


def located(path: str) -> Path:
    """Where a path of the config leads: `~` is the home folder of whoever runs this.

    Settings keep the `~`, so that results that are copied to another home are still those of their settings.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises where no user has that name


CHALLENGE: dict[str, dict[str, str]] = {
    "slsim_lenses": {"label": "lens", "domain": "slsim"},
    "slsim_nonlenses": {"label": "nonlens", "domain": "slsim"},
    "hsc_lenses": {"label": "lens", "domain": "hsc"},
    "hsc_nonlenses": {"label": "nonlens", "domain": "hsc"},
}
"""The four folders of the challenge, in the order in which they are packed: label and domain, which their
names imply. Nothing else in the code knows these names."""

NO_LISTS = (
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tar.xz",
    ".zip",
    ".h5",
    ".hdf5",
    ".npy",
    ".npz",
    ".parquet",
)
"""Endings of files that hold images, and may be large."""

BUCKETS = tuple(CHALLENGE)
"""Their names."""


class BucketSettings(ReadSettings):
    """Where the cutouts of a bucket are, what they are, and what of their reading differs from `data`."""

    path: str = Field(min_length=1, examples=["/data/lenses"])
    """A folder of FITS files, a list file with one path a line, a table, an archive or a stack of images: see
    docs/own_survey.md. With `tiles` a catalogue."""
    label: Label | None = Field(None, examples=["lens"])
    """What its objects are: `lens` or `nonlens`."""
    domain: Domain | None = Field(None, examples=["hsc"])
    """Where its objects come from: a name of your choice. Scores are given by domain, and members can be
    restricted to some."""

    _catalogue_is_path = model_validator(mode="before")(with_catalogue_as_path)


def _spelt_out(value: Any, info: ValidationInfo) -> Any:
    """Buckets as blocks, `NAME: PATH` too, with what a name of the challenge implies."""
    if not isinstance(value, Mapping):
        return value
    return {name: _block_of(name, bucket, info.data.get("columns")) for name, bucket in value.items()}


def _block_of(name: Any, bucket: Any, columns: Any = None) -> Any:
    """A bucket as a block; `columns` are those that all buckets have."""
    implied = CHALLENGE.get(name, {})
    if isinstance(bucket, str):
        return {"path": bucket, **implied}
    if not isinstance(bucket, Mapping):
        return bucket
    # What a column of its table says is not implied.
    in_rows = [one for one in (columns, bucket.get("columns")) if isinstance(one, Mapping)]
    said = {key for keys in (bucket, *in_rows) for key in keys}
    return {**bucket, **{key: text for key, text in implied.items() if key not in said}}


def _written_short(buckets: dict[str, BucketSettings]) -> dict[str, Any]:
    """As `_spelt_out` found them: a config in the short form has the parameters that it always had."""
    short = {name: _block_of(name, bucket.path) for name, bucket in buckets.items()}
    return {
        name: bucket.path if bucket == BucketSettings(**short[name]) else bucket.model_dump(mode="json")
        for name, bucket in buckets.items()
    }


BucketName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Buckets = Annotated[
    dict[BucketName, BucketSettings],
    Field(min_length=1),
    BeforeValidator(_spelt_out, json_schema_input_type=dict[BucketName, str | BucketSettings]),
    PlainSerializer(_written_short),
]
"""Buckets by name. `NAME: PATH` for short, where label and domain follow from a name of the challenge."""


def in_order(buckets: Mapping[str, BucketSettings]) -> dict[str, BucketSettings]:
    """Buckets as they are packed, whatever the order of keys: the challenge's first, then others by name."""
    known = [name for name in CHALLENGE if name in buckets]
    return {name: buckets[name] for name in [*known, *sorted(set(buckets) - set(known))]}


def _refuse_unsaid(buckets: dict[str, BucketSettings], columns: Mapping[Any, str] | None) -> None:
    """Refuse labelled buckets that do not say what they are, themselves or in a column that is named."""
    for name, bucket in buckets.items():
        in_rows: set[str] = {*(columns or {}), *(bucket.columns or {})}
        lacking = [key for key in ("label", "domain") if getattr(bucket, key) is None and key not in in_rows]
        if lacking:
            raise ValueError(
                f"bucket {name} has no {' and no '.join(lacking)}, and is none of the challenge's names "
                f"({', '.join(CHALLENGE)}), which need none; for example "
                f"{name}: {{path: {bucket.path}, label: lens, domain: hsc}}"
            )


class CutoutSettings(ReadSettings):
    """What every cutout of a data set must be, and how many may fail to be."""

    size_px: int = Field(41, ge=8, le=1024, examples=[41])
    """Side of a cutout in pixels."""
    bands: list[str] = Field(["g", "r", "i", "z", "y"], min_length=1, examples=["[g, r, i, z, y]"])
    """Bands, in the order in which they are packed; a file name ends in `_{band}`."""
    max_rejected: float = Field(0.01, ge=0, le=1, examples=[0.01])
    """Share of a data set's files that may be unreadable before packing fails."""

    non_finite: Literal["reject", "fill"] = Field("reject", examples=["reject"])
    """What becomes of a cutout with pixels that are NaN or infinite: `reject` lists its file in
    `rejected.csv`, as one that cannot be read; `fill` gives such pixels the median of the rest of the cutout,
    if that is more than half of it, and counts pixels and cutouts in `summary.json`."""

    @field_validator("tiles")
    @classmethod
    def _tiles_have_catalogues(cls, tiles: TilesSettings | None) -> TilesSettings | None:
        if tiles is not None and tiles.catalogue is not None:
            raise ValueError("a catalogue belongs to one bucket or test set: write it there, as its path")
        return tiles

    @field_validator("bands", mode="before")
    @classmethod
    def _bands_are_several(cls, bands: Any) -> Any:
        """Refuse several bands in one name: no file would have it, or all files would be of one band."""
        names = re.findall(r"\w+", bands) if isinstance(bands, str) else bands
        if not names or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return bands
        letters = [letter for name in names for letter in (name if _FILTERS.fullmatch(name) else [name])]
        # In [g, r, riz] the last is one image of three bands, as some surveys have it.
        if len(letters) == len(set(letters)) and (len(letters) > len(names) or isinstance(bands, str)):
            last = f"; if one image in all of them is meant, in capitals: [{names[0].upper()}]"
            raise ValueError(
                f"expected a list with a name for each band, found {bands!r}; write "
                f"bands: [{', '.join(letters)}]" + (last if len(names) == 1 < len(letters) else "")
            )
        return bands

    @field_validator("bands")
    @classmethod
    def _bands_are_suffixes(cls, bands: list[str]) -> list[str]:
        wrong = [band for band in bands if not (band.isascii() and band.isalnum())]
        if wrong or len(set(bands)) < len(bands):
            raise ValueError(f"bands must be different words of letters and digits, found {bands}")
        return bands


class DataSettings(CutoutSettings):
    """The labelled data, and what every cutout (of test sets too) must be."""

    labelled: Buckets = Field(examples=["{my_lenses: {path: /data/lenses, label: lens, domain: hsc}}"])
    """Where the labelled cutouts are: buckets by name, of any number, each `NAME: {path, label, domain}`. The
    four names of the challenge (`slsim_lenses`, `slsim_nonlenses`, `hsc_lenses`, `hsc_nonlenses`) need no
    more than a path: label and domain follow from these names."""

    @model_validator(mode="after")
    def _both_labels(self) -> Self:
        _refuse_unsaid(self.labelled, self.columns)
        found = {bucket.label for bucket in self.labelled.values()}
        for label in LABELS:
            if not {label, None} & found:
                raise ValueError(
                    f"labelled: expected buckets of lenses and of non-lenses, found none with label {label}; "
                    f"for example {label}es: {{path: /data/{label}es, label: {label}, domain: hsc}}"
                )
        return self


class TestSetSettings(ReadSettings):
    """A set to be scored: one source (`path`), or several (`buckets`)."""

    __test__ = False  # not a test, whatever pytest thinks of its name

    path: str | None = Field(None, min_length=1, examples=["/data/test_dataset_updated"])
    """A folder of FITS files, a list file with one path a line, a table, an archive or a stack of images: see
    docs/own_survey.md. With `tiles` a catalogue."""
    buckets: Buckets | None = None
    """Several sources, as for labelled data; labels and domains, and the names of the challenge
    that imply them, mean nothing unless `labelled` is true."""
    labelled: bool = False
    """Whether the buckets' labels and domains are the truth, so that the result can be scored."""
    parts: int = Field(1, ge=1, le=100_000, examples=[1])
    """Number of parts in which the set is packed and predicted, one job each. Changes no result."""

    _catalogue_is_path = model_validator(mode="before")(with_catalogue_as_path)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.buckets is None):
            raise ValueError("give either path or buckets; for example path: /data/test_dataset_updated")
        if self.labelled and self.buckets is None:
            raise ValueError("labelled is true, but only buckets carry labels; give buckets instead of path")
        if self.labelled and self.buckets is not None:
            _refuse_unsaid(self.buckets, self.columns)
        return self


class PackSettings(CutoutSettings):
    """A data set to be packed: where it lies, and what its cutouts must be.

    Exactly one of `labelled`, `path` and `buckets` is given.
    """

    dataset: str = Field("labelled", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", examples=["challenge"])
    """Name of the data set, for the records."""
    labelled: Buckets | None = None
    """Buckets whose labels and domains are the truth."""
    path: str | None = Field(None, min_length=1, examples=["/data/test_dataset_updated"])
    """A set without labels: one source."""
    buckets: Buckets | None = None
    """A set without labels in several sources, whose names mean nothing."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(given is not None for given in (self.labelled, self.path, self.buckets)) != 1:
            raise ValueError(
                "give exactly one of labelled, path and buckets; for example path: /data/test_dataset_updated"
            )
        return self

    @property
    def sources(self) -> dict[str, BucketSettings]:
        """The sources of the set, in the order in which they are packed, by their buckets ("" for `path`).

        What a source says of how it is read stands before what the set says.
        """
        if self.path is not None:
            return {"": BucketSettings(path=self.path, **self.reading)}
        buckets = in_order(self.labelled or self.buckets or {}).items()
        return {name: one.model_copy(update=one.within(self)) for name, one in buckets}

    @property
    def paths(self) -> list[str]:
        """Where the sources lie, as it was given."""
        return [source.path for source in self.sources.values()]

    @property
    def list_paths(self) -> list[str]:
        """Those of the sources that are a list or a table, if they are files: small, and read at every start.

        Archives and stacks are not, and folders neither: what changes in them is not noticed by itself.
        """
        return [path for path in self.paths if not path.lower().endswith(NO_LISTS)]

    def with_paths(self, change: Callable[[str], str]) -> Self:
        """The same settings with each path changed."""

        def relocated(buckets: dict[str, BucketSettings] | None) -> dict[str, BucketSettings] | None:
            if buckets is None:
                return None
            return {
                name: bucket.model_copy(update={"path": change(bucket.path)})
                for name, bucket in buckets.items()
            }

        path = None if self.path is None else change(self.path)
        update = {"path": path, "labelled": relocated(self.labelled), "buckets": relocated(self.buckets)}
        return self.model_copy(update=update)

    @classmethod
    def of_labelled(cls, data: DataSettings) -> Self:
        """The labelled data of a config."""
        return cls(**data.model_dump())

    @classmethod
    def of_testset(cls, name: str, testset: TestSetSettings, data: CutoutSettings) -> Self:
        """A test set of a config; its cutouts are like those of the labelled data."""
        cutouts = {key: getattr(data, key) for key in CutoutSettings.model_fields}
        cutouts |= dict.fromkeys(ReadSettings.model_fields) | testset.within(data)
        buckets = {"labelled": testset.buckets} if testset.labelled else {"buckets": testset.buckets}
        return cls(**cutouts, dataset=name, path=testset.path, **buckets)


class SplitSettings(Settings):
    """Shares of the labelled objects for training, validation and test, and the seed that draws them."""

    train: float = Field(0.70, gt=0, lt=1, examples=[0.70])
    """Share for training."""
    val: float = Field(0.15, gt=0, lt=1, examples=[0.15])
    """Share for validation: early stopping and the threshold t*."""
    test: float = Field(0.15, gt=0, lt=1, examples=[0.15])
    """Share of held-out objects: an honest score before submitting."""
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


class SimulateSettings(Settings):
    """A small data set in the challenge's format, so that the pipeline runs without data of the user's."""

    objects_per_bucket: int = Field(400, ge=1, le=1_000_000, examples=[400])
    """Objects in each of the four labelled buckets; each has one file a band."""
    test_objects: int = Field(200, ge=1, le=1_000_000, examples=[200])
    """Objects in the unlabelled test folder."""
    seed: int = Field(1, ge=0, le=2**32 - 1, examples=[1])
    """Seed of the simulator."""
