"""Reading which objects belong to which split, and refusing a table that would leak."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stronglens.formats.artefact import check_sha256, read_json
from stronglens.formats.packed import PackedSet
from stronglens.running.errors import InputError

OBJECTS, DESCRIPTION = "objects.parquet", "objects.json"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class SplitTable:
    """Objects and their splits.

    Attributes
    ----------
    objects : DataFrame
        A row per object: object, group, split, bucket, label.
    description : dict
        What `objects.json` says.
    """

    objects: pd.DataFrame
    description: dict[str, Any]

    def choose(self, index: pd.DataFrame, split: str) -> npt.NDArray[np.bool_]:
        """The cutouts of a split, as a mask over the rows of a packed index; `all` is every split.

        Raises
        ------
        InputError
            The index holds objects that are in no split.
        """
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


def open_splits(folder: Path, packed: PackedSet) -> SplitTable:
    """Open the split of a packed data set.

    Raises
    ------
    InputError
        The table is missing or changed, was made from other data, or has a group, an image or an id in two
        splits.
    """
    description = read_json(folder / DESCRIPTION)
    check_sha256(folder / OBJECTS, description["sha256"][OBJECTS], folder / DESCRIPTION)
    if (description["cutouts_sha256"], description["index_sha256"]) != packed.summary.identity:
        raise InputError(
            f"{folder / DESCRIPTION}: expected the split of {packed.folder}, found one of other data"
        )
    objects = pd.read_parquet(folder / OBJECTS)
    n_splits = objects.groupby("group")["split"].nunique()
    if (n_splits > 1).any():
        group = n_splits.index[n_splits > 1][0]
        names = ", ".join(objects.loc[objects["group"] == group, "object"].head(5))
        raise InputError(f"{folder / OBJECTS}: group {group} is in more than one split: {names}")
    table = SplitTable(objects, description)
    _refuse_leaks(table, packed.index, folder / OBJECTS)
    return table


def _refuse_leaks(table: SplitTable, index: pd.DataFrame, path: Path) -> None:
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
