"""The table that an ensemble leaves behind, and its description."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, PlainSerializer

from stronglens.formats.artefact import check_stated
from stronglens.formats.prediction_files import Member, Which
from stronglens.formats.sidecar import Sidecar
from stronglens.formats.tables import read_table

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


class EnsembleDescription(Sidecar):
    """What `val_ens.json` or `test_ens.json` says of an ensemble's table."""

    KIND: ClassVar[str] = "the description of an ensemble"

    members: list[Annotated[Member, PlainSerializer(Member.as_dict)]]
    """Whose probabilities are combined, in order of model and seed."""
    level: Level
    """What a row is."""
    sha256: dict[str, str]
    """SHA-256 of the table, by its name."""
    n_rows: int | None = None
    """Rows of the table."""
    threshold: float | None = None
    """t*, where the table is of a test set."""
    combination: dict[str, Any] | None = None
    """Of `stronglens.ensembling.combination.Combination`; None for plain means."""
    lens_parameters: dict[str, int] = Field(default_factory=dict)
    """Members that estimate each parameter of lenses."""
    width_factors: dict[str, float] = Field(default_factory=dict)
    """By parameter, what the widths of its estimates were multiplied by, as fitted on the validation lenses:
    the columns `{name}_std` are these widths. Empty where members give none, and `{name}_std` is the standard
    deviation over members."""


@dataclass(frozen=True)
class EnsembleTable:
    """An ensemble's table and what its description says.

    Attributes
    ----------
    csv : Path
        The table.
    description : EnsembleDescription
        What the file beside it says.
    """

    csv: Path
    description: EnsembleDescription

    @property
    def level(self) -> Level:
        """What a row is."""
        return self.description.level

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
    description = EnsembleDescription.read(path)
    check_stated(csv, description.sha256, path)
    return EnsembleTable(csv, description)
