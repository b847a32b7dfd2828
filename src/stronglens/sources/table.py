"""A table as a source: a row for each FITS file, with its object, band, label, domain and coordinates."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from stronglens.running.errors import InputError
from stronglens.settings.reading import Column, ReadSettings
from stronglens.sources.columns import known_columns, label_of, number_of, text_of
from stronglens.sources.files import FileReader
from stronglens.sources.fits_image import read_bytes
from stronglens.sources.protocol import Entry

ENDINGS = (".csv", ".parquet", ".fits", ".fit", ".vot", ".votable", ".xml")
_BATCH_ROWS = 65_536


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
    return settings.column("path") in [name.strip() for name in first] or len(first) > 1


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
        if not self.path.is_file():
            raise InputError(f"{self.path}: expected a table, but it does not exist")
        base = self.path.absolute().parent.resolve()
        line = 0
        for names, rows in read_rows(self.path):
            known_columns(names, self.path, [self.settings.column("path")])
            place_of = {key: names.index(self.settings.column(key)) for key in _known(names, self.settings)}
            for row in rows:
                line += 1
                yield self._entry({key: row[place] for key, place in place_of.items()}, line, base)

    def _entry(self, cells: Mapping[str, Any], line: int, base: Path) -> Entry:
        where = f"{self.path}: row {line}"
        path, name, band = (text_of(cells.get(key, "")) for key in ("path", "id", "band"))
        if not path:
            raise InputError(f"{where}: expected the path of a file, found none")
        return Entry(
            str(base / path),
            "" if name and band else str(base / path),
            object=name,
            band=band,
            label=label_of(cells["label"], where) if "label" in cells else -1,
            domain=text_of(cells.get("domain", "")),
            ra=number_of(cells.get("ra", math.nan)),
            dec=number_of(cells.get("dec", math.nan)),
            line=line,
            is_link=True,
        )

    def fetch(self, path: str, _: int) -> bytes:
        return read_bytes(path)

    def reader(self) -> FileReader:
        return FileReader(self.fetch, self.size_px, self.settings)


def _known(names: Sequence[str], settings: ReadSettings) -> list[Column]:
    """The columns that a table has of those that mean something here.

    Raises
    ------
    InputError
        One that the config names is not there.
    """
    asked = settings.columns or {}
    return [key for key in get_args(Column) if key in asked or settings.column(key) in names]


def read_rows(path: Path) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    """Read a table, some rows at a time.

    Yields
    ------
    names : list of str
        Its columns.
    rows : iterator
        The next rows, each with a value a column.

    Raises
    ------
    InputError
        It is no table.
    """
    ending = path.suffix.lower()
    try:
        if ending == ".csv":
            yield from _csv_rows(path)
        elif ending == ".parquet":
            yield from _parquet_rows(path)
        else:
            yield from _astropy_rows(path, "votable" if ending in (".vot", ".votable", ".xml") else "fits")
    except (OSError, ValueError, TypeError, IndexError, csv.Error) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: expected a table, found something else ({text})") from error


def _csv_rows(path: Path) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text)
        names = [name.strip() for name in next(rows, [])]

        def whole() -> Iterator[Sequence[Any]]:
            for row in rows:
                if len(row) == len(names):
                    yield row
                elif row:
                    raise InputError(
                        f"{path}: line {rows.line_num}: expected {len(names)} cells, found {len(row)}"
                    )

        yield names, whole()


def _parquet_rows(path: Path) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    from pyarrow import parquet  # noqa: PLC0415 - takes long to load

    with parquet.ParquetFile(path) as file:
        flat = [
            name
            for name, one in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)
            if one.num_fields == 0
        ]
        yield flat, iter(())
        for batch in file.iter_batches(_BATCH_ROWS, columns=flat):
            yield flat, zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _astropy_rows(path: Path, form: str) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    from astropy.table import Table  # noqa: PLC0415 - takes long to load

    table = Table.read(path, format=form)
    flat = [name for name in table.colnames if table[name].ndim == 1]
    columns = [
        table[name].filled("" if table[name].dtype.kind in "SUO" else np.nan).tolist()
        if getattr(table[name], "mask", None) is not None and table[name].dtype.kind in "SUOf"
        else table[name].tolist()
        for name in flat
    ]
    yield flat, iter(zip(*columns, strict=True))
