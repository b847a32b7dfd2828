"""What a packed data set holds, without its pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute, parquet

from stronglens.formats.artefact import check_sha256, read_json
from stronglens.formats.packed import CUTOUTS, INDEX, REJECTED, SUMMARY, identity_of, reading_parquet
from stronglens.formats.tables import INTEGER, TEXT, read_table
from stronglens.running.errors import InputError


@dataclass(frozen=True)
class PackedObjects:
    """A packed data set of which only the tables are read.

    Attributes
    ----------
    folder : Path
        Where it lies.
    summary : dict
        What `summary.json` says.
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def identity(self) -> tuple[str, str]:
        """What predictions made from it state (see `stronglens.formats.packed.identity_of`)."""
        return identity_of(self.summary)

    @property
    def labelled(self) -> bool:
        """Whether labels and domains are the truth."""
        return bool(self.summary["labelled"])

    @property
    def n_cutouts(self) -> int:
        """Number of readable cutouts."""
        return int(self.summary["n_cutouts"])

    def index(self, columns: Sequence[str]) -> pa.Table:
        """Read columns of the index: a row per readable cutout, the bands of an object next to each other.

        Raises
        ------
        InputError
            The index is missing, is not the one that `summary.json` describes, or lacks a column.
        """
        path = self.folder / INDEX
        check_sha256(path, self.summary["sha256"][INDEX], self.folder / SUMMARY)
        with reading_parquet(path):
            table = parquet.read_table(path, columns=list(columns))
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise InputError(
                f"{path}: expected columns {', '.join(columns)}; found none named {', '.join(missing)}"
            )
        return pa.table({name: table[name].cast(INTEGER if name == "label" else TEXT) for name in columns})

    def rejected(self) -> pa.Table:
        """Path and object of each file that could not be read; files that belong to no object are left out.

        Raises
        ------
        InputError
            `rejected.csv` is missing, malformed, or not the one that `summary.json` describes.
        """
        path = self.folder / REJECTED
        if REJECTED not in self.summary["sha256"]:
            raise InputError(f"{self.folder / SUMMARY}: expected the sha256 of {REJECTED}, found none")
        check_sha256(path, self.summary["sha256"][REJECTED], self.folder / SUMMARY)
        table = read_table(path, {"path": TEXT, "object": TEXT})
        return table.filter(compute.not_equal(table["object"], ""))


def open_objects(folder: Path) -> PackedObjects:
    """Open a packed data set without its pixels.

    Raises
    ------
    InputError
        `summary.json` is missing or says too little.
    """
    path = folder / SUMMARY
    summary = read_json(path)
    missing = [key for key in ("labelled", "n_cutouts", "sha256") if key not in summary]
    if missing:
        raise InputError(f"{path}: expected the summary of a packed data set, found no {', '.join(missing)}")
    for name in (CUTOUTS, INDEX):
        if name not in summary["sha256"]:
            raise InputError(f"{path}: expected the sha256 of {name}, found none")
    return PackedObjects(folder, summary)


def parts_of(folders: Sequence[Path], n_parts: int | None) -> list[Path]:
    """Folders of the parts in which data sets or their predictions are cut.

    Parameters
    ----------
    folders : sequence of Path
        Folders that hold `part_0`, `part_1`, …
    n_parts : int or None
        Their number; None means that the folders are not cut.
    """
    if n_parts is None:
        return list(folders)
    return [folder / f"part_{part}" for folder in folders for part in range(n_parts)]
