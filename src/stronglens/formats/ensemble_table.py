"""The table that an ensemble leaves behind, and its description."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from stronglens.formats.artefact import check_sha256, read_json
from stronglens.formats.prediction_files import Which
from stronglens.formats.tables import read_table
from stronglens.running.errors import InputError

Level = Literal["object", "file"]

KEY_COLUMN: dict[Level, str] = {"object": "object", "file": "path"}
"""The column that names what is combined."""

COLUMNS = ("object", "path", "bucket", "domain", "label", "prob", "prob_std", "n_members", "n_cutouts")
"""Columns of the table; those of test sets have `pred` too."""


def csv_name(which: Which, *, labelled: bool = False) -> str:
    """Name of the table."""
    return f"{which}_ens_labeled.csv" if labelled else f"{which}_ens.csv"


def json_name(which: Which) -> str:
    """Name of the description beside it."""
    return f"{which}_ens.json"


def description_of(csv: Path) -> Path:
    """Where the description of a table lies; of `test_ens.csv` and `test_ens_labeled.csv` it is the same."""
    return csv.with_name(csv.name.partition("_ens")[0] + "_ens.json")


@dataclass(frozen=True)
class EnsembleTable:
    """An ensemble's table and what its description says.

    Attributes
    ----------
    csv : Path
        The table.
    description : dict
        members, level, n_rows, and threshold where it is of a test set.
    """

    csv: Path
    description: dict[str, Any]

    @property
    def level(self) -> Level:
        """What a row is."""
        level: Level = self.description["level"]
        return level

    def read(self, types: dict[str, pa.DataType]) -> pa.Table:
        """Read some columns (see `stronglens.formats.tables.read_table`)."""
        return read_table(self.csv, types)


def open_ensemble(csv: Path) -> EnsembleTable:
    """Open an ensemble's table, checked against the description beside it.

    Parameters
    ----------
    csv : Path
        `val_ens.csv`, `test_ens.csv` or `test_ens_labeled.csv`.

    Raises
    ------
    InputError
        The description is missing or says too little, or the table is not the one it describes.
    """
    path = description_of(csv)
    description = read_json(path)
    for key in ("members", "level", "sha256"):
        if key not in description:
            raise InputError(f"{path}: expected the description of an ensemble, found no {key}")
    if csv.name not in description["sha256"]:
        raise InputError(f"{path}: expected the sha256 of {csv.name}, found none")
    check_sha256(csv, description["sha256"][csv.name], path)
    return EnsembleTable(csv, description)
