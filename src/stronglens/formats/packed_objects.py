"""What a packed data set holds, without its pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, parquet

from stronglens.formats.artefact import check_stated
from stronglens.formats.packed import INDEX, REJECTED, SUMMARY, PackSummary, reading_parquet
from stronglens.formats.tables import INTEGER, TEXT, read_table
from stronglens.running.errors import InputError


@dataclass(frozen=True)
class PackedObjects:
    """A packed data set of which only the tables are read.

    Attributes
    ----------
    folder : Path
        Where it lies.
    summary : PackSummary
        What `summary.json` says.
    """

    folder: Path
    summary: PackSummary

    @property
    def identity(self) -> tuple[str, str]:
        """What predictions made from it state (see `stronglens.formats.packed.PackSummary.identity`)."""
        return self.summary.identity

    @property
    def labelled(self) -> bool:
        """Whether labels and domains are the truth."""
        return self.summary.labelled

    @property
    def n_cutouts(self) -> int:
        """Number of readable cutouts."""
        return self.summary.n_cutouts

    def index(self, columns: Sequence[str]) -> pa.Table:
        """Read columns of the index: a row per readable cutout, the bands of an object next to each other.

        Raises
        ------
        InputError
            The index is missing, is not the one that `summary.json` describes, or lacks a column.
        """
        path = self.folder / INDEX
        check_stated(path, self.summary.sha256, self.folder / SUMMARY)
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
        check_stated(path, self.summary.sha256, self.folder / SUMMARY)
        table = read_table(path, {"path": TEXT, "object": TEXT})
        return table.filter(compute.not_equal(table["object"], ""))


def open_objects(folder: Path) -> PackedObjects:
    """Open a packed data set without its pixels.

    Raises
    ------
    InputError
        `summary.json` cannot be read (see `stronglens.formats.sidecar.Sidecar.read`).
    """
    return PackedObjects(folder, PackSummary.read(folder / SUMMARY))


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
