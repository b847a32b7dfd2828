"""Refusing labelled test sets of objects that networks learn from, before any of them is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stronglens.formats.artefact import check_stated
from stronglens.formats.packed import open_objects
from stronglens.formats.split_table import DESCRIPTION, OBJECTS, ComparedTestSets, SplitDescription
from stronglens.running.errors import InputError

COLUMNS = {"pixel_hash": "the same pixels", "header_id": "the same id"}
"""Columns of the index by which cutouts are of one object, and what that means."""


def check_test_sets(labelled: Path, splits: Path, test_sets: Mapping[str, Sequence[Path]], out: Path) -> None:
    """Compare labelled test sets with the objects for training and validation; write what was compared.

    Parameters
    ----------
    labelled, splits : Path
        Folders of the packed labelled data and of their split.
    test_sets : mapping of str to sequence of Path
        The folders of the parts of each labelled test set.
    out : Path
        JSON file for the number of cutouts of each test set.

    Raises
    ------
    InputError
        A test set shares images or ids with the training or the validation split: its score would be of what
        the networks have learnt, or of what t* was chosen on. Or a file is not what its JSON describes.
    """
    known = _learnt(labelled, splits) if test_sets else pd.DataFrame()
    n_cutouts = {}
    for name, folders in test_sets.items():
        n_cutouts[name] = 0
        for folder in folders:
            index = open_objects(folder).index(["path", *COLUMNS]).to_pandas()
            n_cutouts[name] += len(index)
            for column, kind in COLUMNS.items():
                shared = index[(index[column] != "") & index[column].isin(known[column])]
                if len(shared):
                    first = shared.iloc[0]
                    twin = known["path"][known[column] == first[column]].iloc[0]
                    raise InputError(
                        f"{first['path']}: expected, in the labelled test set {name}, an object that no "
                        "network learns from and t* is not chosen on, found one in the training or "
                        f"validation split, {twin}: it has {kind}. So have {len(shared)} cutouts of "
                        f"{folder}; leave them out of the test set, or out of data.labelled"
                    )
    ComparedTestSets(n_cutouts=n_cutouts).write(out)


def _learnt(labelled: Path, splits: Path) -> pd.DataFrame:
    """The cutouts of the training and validation splits: path and `COLUMNS`."""
    description = SplitDescription.read(splits / DESCRIPTION)
    check_stated(splits / OBJECTS, description.sha256, splits / DESCRIPTION)
    objects = pd.read_parquet(splits / OBJECTS, columns=["object", "split"])
    index: pd.DataFrame = open_objects(labelled).index(["object", "path", *COLUMNS]).to_pandas()
    held_out = objects["object"][objects["split"] == "test"]
    learnt = ~np.isin(index["object"].to_numpy(dtype=str), held_out.to_numpy(dtype=str))
    return index[learnt]
