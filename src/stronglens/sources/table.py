"""A table as a source: a row for each FITS file, with its object, band, label, domain and coordinates."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from stronglens.running.errors import InputError
from stronglens.settings.reading import Column, ReadSettings
from stronglens.sources.catalogue import OTHER_SEPARATORS, columns_in, read_catalogue
from stronglens.sources.columns import cells_of, coordinates_of, id_of, known_columns, label_of, text_of
from stronglens.sources.files import FileReader
from stronglens.sources.fits_image import read_bytes
from stronglens.sources.protocol import Entry
from stronglens.sources.sky import NOWHERE

_ROWS_LISTED = 4096

ENDINGS = (".csv", ".parquet", ".fits", ".fit", ".vot", ".votable", ".xml")


def is_table(path: Path, settings: ReadSettings) -> bool:
    """Whether a file is a table with a column of paths; a text file whose first line has none is a list."""
    if not path.name.lower().endswith(ENDINGS):
        return False
    if not path.name.lower().endswith(".csv"):
        return True
    if not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        first = next(csv.reader(text), [])
    if len(first) == 1:
        # With other separators it is a table all the same, and refused as one.
        first = re.split("|".join(map(re.escape, OTHER_SEPARATORS)), first[0])
        return settings.column("path") in [name.strip() for name in first]
    return len(first) > 1


@dataclass(frozen=True)
class TableSource:
    """A table of files: CSV, Parquet, FITS or VOTable.

    Attributes
    ----------
    path : Path
        Of the table. Relative paths in it start at its folder.
    size_px : int
        Side of a cutout in pixels.
    settings : ReadSettings
        Its `columns`, and how the files are read.
    """

    path: Path
    size_px: int
    settings: ReadSettings

    def check(self) -> None:
        next(self.entries(), None)

    def entries(self) -> Iterator[Entry]:
        base = self.path.absolute().parent.resolve()
        names = {key: self.settings.column(key) for key in self._columns()}
        row = 0
        for table in read_catalogue(self.path, list(dict.fromkeys(names.values()))):
            for start in range(0, len(table), _ROWS_LISTED):  # cells as objects of Python take much room
                rows = table.slice(start, _ROWS_LISTED)
                columns = [cells_of(rows[name]) for name in names.values()]
                for cells in zip(*columns, strict=True):
                    row += 1
                    yield self._entry(dict(zip(names, cells, strict=True)), row, base)

    def _columns(self) -> list[Column]:
        """The columns that the table has of those that mean something here.

        Raises
        ------
        InputError
            There is no column of paths, or none that the config names, or there are two of one name.
        """
        found, asked = columns_in(self.path), self.settings.columns or {}
        if self.settings.column("path") not in found and self.settings.column("image") in found:
            raise InputError(
                f"{self.path}: expected a table of files (column path), found one of images (column "
                f"{self.settings.column('image')}); write it as Parquet or HDF5, which are read as stacks"
            )
        keys = [key for key in get_args(Column) if key in asked or self.settings.column(key) in found]
        needed: list[Column] = ["path", *keys]
        known_columns(found, self.path, list(dict.fromkeys(self.settings.column(key) for key in needed)))
        return keys

    def _entry(self, cells: Mapping[str, Any], row: int, base: Path) -> Entry:
        where = f"{self.path}: row {row}"
        path, band, domain = (text_of(cells.get(key)) for key in ("path", "band", "domain"))
        name = id_of(cells.get("id"), where)
        needed: list[tuple[Column, str]] = [("path", path), ("id", name), ("band", band), ("domain", domain)]
        for key, text in needed:
            if key in cells and not text:
                raise InputError(
                    f"{where}: expected a value in column {self.settings.column(key)}, found none"
                )
        return Entry(
            str(base / path),
            "" if name and band else str(base / path),
            name,
            band,
            0,
            label_of(cells["label"], where) if "label" in cells else -1,
            domain,
            *coordinates_of(cells["ra"], cells["dec"], where) if {"ra", "dec"} <= set(cells) else NOWHERE,
            line=row,
            is_link=True,
        )

    def fetch(self, path: str, _: int) -> bytes:
        return read_bytes(path)

    def reader(self) -> FileReader:
        return FileReader(self.fetch, self.size_px, self.settings)
