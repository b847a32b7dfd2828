"""The objects of a test set with their probabilities and t*, and their ids."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.formats.ensemble_table import KEY_COLUMN, EnsembleTable, Level, open_ensemble
from stronglens.formats.tables import INTEGER, REAL, TEXT, probabilities
from stronglens.running.errors import InputError
from stronglens.sources.names import FITS_ENDING

_FOLDERS_AND_ENDING = rf"(?i)^.*/|{FITS_ENDING}$"


@dataclass(frozen=True)
class ScoredSet:
    """Objects with the probabilities of an ensemble.

    Attributes
    ----------
    ensemble : EnsembleTable
        Where they come from.
    table : Table
        object, path, domain, label, prob, prob_std; keys ascending.
    threshold : float
        t*.
    """

    ensemble: EnsembleTable
    table: pa.Table
    threshold: float

    @property
    def probs(self) -> npt.NDArray[np.float64]:
        """Probability of each row."""
        probs: npt.NDArray[np.float64] = self.table["prob"].to_numpy()
        return probs


def open_scored(csv: Path) -> ScoredSet:
    """Open the ensemble's table of a test set.

    Raises
    ------
    InputError
        It is missing, malformed, changed since it was made, or not of a test set.
    """
    ensemble = open_ensemble(csv)
    threshold = ensemble.description.threshold
    if threshold is None:
        raise InputError(f"{csv}: expected the ensemble of a test set, found one without a threshold")
    text = dict.fromkeys(("object", "path", "domain"), TEXT)
    table = ensemble.read(text | {"label": INTEGER, "prob": REAL, "prob_std": REAL})
    probabilities(csv, table)
    return ScoredSet(ensemble, table, float(threshold))


def row_ids(table: pa.Table, level: Level) -> pa.Array:
    """Ids of the rows of a table, in their order: keys of objects, or file names without folders and ending.

    Parameters
    ----------
    table : Table
        With the column `KEY_COLUMN` of the level.
    level : {"object", "file"}
        What a row is.

    Returns
    -------
    Array of large_string, shape (n_rows,)
    """
    ids = table[KEY_COLUMN[level]].combine_chunks()
    if level == "file":
        ids = compute.replace_substring_regex(ids, pattern=_FOLDERS_AND_ENDING, replacement="")
    return ids
