"""Which objects belong to which split: the table and what describes it; one that would leak is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from stronglens.formats.artefact import check_stated, sha256_of, write_aside
from stronglens.formats.packed import PackedSet, PackSummary
from stronglens.formats.sidecar import Part, Sidecar, naming
from stronglens.running.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

OBJECTS, DESCRIPTION = "objects.parquet", "objects.json"
SPLITS = ("train", "val", "test")


class SplitCounts(Part):
    """How the objects are divided."""

    n_objects: int = 0
    n_groups: int = 0
    n_grouped_objects: int = 0
    """Objects that share a group with another."""
    split: dict[str, int] = Field(default_factory=dict)
    """Objects by split."""
    bucket: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Objects by bucket and split."""


class SplitDescription(Sidecar):
    """What `objects.json` says of a split."""

    KIND: ClassVar[str] = "the description of a split"

    cutouts_sha256: str
    index_sha256: str
    """SHA-256 of the cutouts and of the index of the packed data that were divided."""
    sha256: Annotated[dict[str, str], naming(OBJECTS)]
    """SHA-256 of the table, by its name."""
    counts: SplitCounts = SplitCounts()
    settings: dict[str, Any] | None = None
    """Of `stronglens.settings.data.SplitSettings`."""

    @property
    def objects_sha256(self) -> str:
        """SHA-256 of the table, by which later steps know the split."""
        return self.sha256[OBJECTS]


class ComparedTestSets(Sidecar):
    """What `test_sets.json` says of labelled test sets: that they hold no object that networks learn from."""

    KIND: ClassVar[str] = "a comparison of test sets with the split"

    n_cutouts: dict[str, int]
    """Cutouts that were compared, by test set."""


@dataclass(frozen=True)
class SplitTable:
    """Objects and their splits.

    Attributes
    ----------
    objects : DataFrame
        A row per object: object, group, split, bucket, label.
    description : SplitDescription
        What `objects.json` says.
    """

    objects: "pd.DataFrame"
    description: SplitDescription

    def choose(self, index: "pd.DataFrame", split: str) -> npt.NDArray[np.bool_]:
        """The cutouts of a split, as a mask over the rows of a packed index; `all` is every split.

        Raises
        ------
        InputError
            The index holds objects that are in no split.
        """
        import pandas as pd  # noqa: PLC0415 - steps that read the description alone need not wait for it

        split_of = pd.Series(self.objects["split"].to_numpy(dtype=object), index=self.objects["object"])
        found = index["object"].map(split_of)
        lost = index["object"][found.isna()]
        if len(lost):
            raise InputError(
                f"{DESCRIPTION}: {lost.nunique()} packed objects are in no split, {lost.iloc[0]} first"
            )
        if split == "all":
            return np.ones(len(index), dtype=bool)
        return np.asarray(found == split)


def write_splits(
    folder: Path,
    objects: "pd.DataFrame",
    packed: PackSummary,
    settings: Mapping[str, Any],
    counts: SplitCounts,
) -> None:
    """Write the table of a split, and what describes it.

    Parameters
    ----------
    folder : Path
        Receives `objects.parquet` and `objects.json`.
    objects : DataFrame
        A row per object: object, group, split, bucket, label.
    packed : PackSummary
        The data that are divided.
    settings : mapping of str to JSON values
        How.
    counts : SplitCounts
        How many objects are where.
    """
    with write_aside(folder / OBJECTS) as aside:
        objects.to_parquet(aside, index=False)
    cutouts_sha256, index_sha256 = packed.identity
    SplitDescription(
        settings=dict(settings),
        counts=counts,
        sha256={OBJECTS: sha256_of(folder / OBJECTS)},
        cutouts_sha256=cutouts_sha256,
        index_sha256=index_sha256,
    ).write(folder / DESCRIPTION)


def open_splits(folder: Path, packed: PackedSet) -> SplitTable:
    """Open the split of a packed data set.

    Raises
    ------
    InputError
        The table is missing or changed, was made from other data, or has a group, an image or an id in two
        splits.
    """
    description = SplitDescription.read(folder / DESCRIPTION)
    check_stated(folder / OBJECTS, description.sha256, folder / DESCRIPTION)
    if (description.cutouts_sha256, description.index_sha256) != packed.summary.identity:
        raise InputError(
            f"{folder / DESCRIPTION}: expected the split of {packed.folder}, found one of other data"
        )
    import pandas as pd  # noqa: PLC0415 - steps that read the description alone need not wait for it

    objects = pd.read_parquet(folder / OBJECTS)
    n_splits = objects.groupby("group")["split"].nunique()
    if (n_splits > 1).any():
        group = n_splits.index[n_splits > 1][0]
        names = ", ".join(objects.loc[objects["group"] == group, "object"].head(5))
        raise InputError(f"{folder / OBJECTS}: group {group} is in more than one split: {names}")
    table = SplitTable(objects, description)
    _refuse_leaks(table, packed.index, folder / OBJECTS)
    return table


def _refuse_leaks(table: SplitTable, index: "pd.DataFrame", path: Path) -> None:
    """Look at what groups are made of: no image and no id may be in two splits, whatever the groups say."""
    split_of = index["object"].map(table.objects.set_index("object")["split"])
    for column, kind in (("pixel_hash", "image"), ("header_id", "id")):
        linked = (index[column] != "") & split_of.notna()
        n_splits = split_of[linked].groupby(index.loc[linked, column]).nunique()
        if (n_splits > 1).any():
            shared = n_splits.index[n_splits > 1][0]
            names = ", ".join(index.loc[index[column] == shared, "object"].unique()[:5])
            raise InputError(
                f"{path}: expected each {kind} in one split, found {int((n_splits > 1).sum())} in more, such "
                f"as that of {names}: networks would be scored on what they have learnt"
            )
