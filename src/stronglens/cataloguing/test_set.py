"""All objects of a test set: what an ensemble says of them, where they are, what is odd about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from stronglens.ensembling.scored_set import row_ids
from stronglens.finder.result import Flag, flags_of_bands
from stronglens.formats.artefact import check_stated
from stronglens.formats.ensemble_table import KEY_COLUMN, EnsembleTable, open_ensemble
from stronglens.formats.packed import INDEX, SUMMARY, PackedObjects, open_objects
from stronglens.formats.tables import INTEGER, REAL, TEXT, probabilities, read_header
from stronglens.running.errors import InputError
from stronglens.settings.lens_parameters import columns_of


@dataclass(frozen=True)
class TestSet:
    """A test set with the probabilities of an ensemble.

    Attributes
    ----------
    ensemble : EnsembleTable
        Where they come from.
    parts : list of PackedObjects
        The packed data.
    threshold : float
        t*.
    rows : DataFrame
        A row per object (file at level "file"), ascending by id: id (as in `submission.csv`), ra, dec
        (degrees, ICRS, right ascension from 0 to below 360; NaN where unknown), prob, prob_std, prob_sky
        (where the ensemble has one), pred (-1 where there is no probability), estimates of lens parameters,
        flags, n_cutouts.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    ensemble: EnsembleTable
    parts: list[PackedObjects]
    threshold: float
    rows: pd.DataFrame


def open_test_set(
    csv: Path,
    packed: Sequence[Path],
    *,
    members_bands: Sequence[Sequence[str] | str] = (),
    whole: bool = True,
) -> TestSet:
    """Read the ensemble's table of a test set and what the packed data say of its objects.

    Parameters
    ----------
    csv : Path
        `test_ens.csv` or `test_ens_labeled.csv`.
    packed : sequence of Path
        All parts of the packed test set.
    members_bands : sequence of (sequence of str or "each")
        Bands that each member looks at, for the flag UNSEEN.
    whole : bool
        Whether the packed data are the test set: what could not be read is then part of it, without a
        probability. Not so for held-out objects, which are some of the labelled data.

    Raises
    ------
    InputError
        A file is missing, malformed or changed since it was made, or of other data.
    """
    ensemble = open_ensemble(csv)
    if ensemble.description.threshold is None:
        raise InputError(f"{csv}: expected the ensemble of a test set, found one without a threshold")
    parts = [open_objects(folder) for folder in packed]
    said = _said(ensemble)
    described = pd.concat([_described(part, members_bands) for part in parts])
    lost = ~said["object"].isin(described.index)
    if lost.any():
        first = said.loc[lost, "object"].iloc[0]
        raise InputError(f"{csv}: expected objects of the packed test set, found {first}, which is not in it")
    if whole:
        said = pd.concat([said, *(_unreadable(part, ensemble, said) for part in parts)], ignore_index=True)
    places = described.reindex(said["object"])
    flags = places["flags"].fillna(0).to_numpy(np.int64)
    unreadable = np.where(said["pred"] == -1, int(Flag.NO_CUTOUT | Flag.REJECTED), 0)
    rows = said.assign(ra=places["ra"].to_numpy(), dec=places["dec"].to_numpy(), flags=flags | unreadable)
    rows = rows.drop(columns=[name for name in ("object", "path") if name in rows]).sort_values("id")
    return TestSet(ensemble, parts, float(ensemble.description.threshold), rows.reset_index(drop=True))


def _said(ensemble: EnsembleTable) -> pd.DataFrame:
    """The ensemble's table, with ids."""
    sky = ["prob_sky"] if "prob_sky" in read_header(ensemble.csv) else []
    estimates = columns_of(ensemble.description.lens_parameters)
    reals = dict.fromkeys(["prob", "prob_std", *sky, *estimates], REAL)
    table = ensemble.read({"object": TEXT, "path": TEXT, **reals, "n_cutouts": INTEGER, "pred": INTEGER})
    probabilities(ensemble.csv, table)
    frame: pd.DataFrame = table.append_column("id", row_ids(table, ensemble.level)).to_pandas()
    return frame


def _unreadable(part: PackedObjects, ensemble: EnsembleTable, said: pd.DataFrame) -> pd.DataFrame:
    """What could not be read, as rows without a probability."""
    key = KEY_COLUMN[ensemble.level]
    rejected = part.rejected()
    rows = pa.table({"object": rejected["object"], "path": rejected["path"]})
    frame: pd.DataFrame = rows.append_column("id", row_ids(rows, ensemble.level)).to_pandas()
    frame = frame[~frame[key].isin(said[key])].drop_duplicates(key)
    return frame.assign(pred=-1, n_cutouts=0)


def _described(part: PackedObjects, members_bands: Sequence[Sequence[str] | str]) -> pd.DataFrame:
    """By object with a readable cutout: ra, dec and flags."""
    path = part.folder / INDEX
    check_stated(path, part.summary.sha256, part.folder / SUMMARY)
    known = set(parquet.read_schema(path).names)
    index = pd.read_parquet(path, columns=[n for n in ("object", "band", "ra", "dec") if n in known])
    numbers, keys = pd.factorize(index["object"])
    described = pd.DataFrame({"ra": np.nan, "dec": np.nan}, index=keys)
    if {"ra", "dec"} <= known:
        # of the first cutout that says where it is: bands of an object are of one place
        first = index.dropna(subset=["ra", "dec"]).drop_duplicates("object").set_index("object")
        described = first[["ra", "dec"]].reindex(keys)
    bands = index["band"].to_numpy(dtype=object)
    flags = flags_of_bands(numbers, bands, len(keys), part.summary.bands, members_bands)
    rejected = pd.unique(part.rejected()["object"].to_pandas())
    flags |= np.where(keys.isin(rejected), int(Flag.REJECTED), 0)
    return described.assign(flags=flags)
