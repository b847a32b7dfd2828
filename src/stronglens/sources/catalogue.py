"""Tables of objects, a batch of rows at a time: CSV, Parquet, FITS, VOTable."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute, csv, parquet

from stronglens.running.errors import InputError
from stronglens.sources.columns import text_of

BATCH_ROWS = 2**18
"""Rows that are held at once: names and positions of as many objects take some 50 MB."""

_DEGREES = {
    **dict.fromkeys(["rad", "radian", "radians"], 180 / np.pi),
    **dict.fromkeys(["h", "hr", "hour", "hours", "hourangle", "15 deg", "15deg"], 15.0),
    **{"arcmin": 1 / 60, "arcsec": 1 / 3600, "mas": 1 / 3.6e6},
}
"""What a unit that a column states is in degrees; hours are those of right ascension."""

OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""Between columns of what is called CSV, and in words."""

_CSV_BYTES = 2**23  # some are read ahead
_CSV_START = 2**20


def read_catalogue(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Read columns of a table, batch by batch.

    Parameters
    ----------
    path : Path
        `.csv`, `.parquet` (or `.pq`), `.fits` (`.fit`, `.fts`), or `.vot` (`.votable`, `.xml`), of which the
        first table is read; the last kind as a whole. May be compressed with gzip, but for Parquet.
    columns : sequence of str
        The columns, by name.

    Yields
    ------
    Table
        At most `BATCH_ROWS` rows of these columns, with the types of the file (CSV: all text); nulls where it
        has none. Angles in another unit, by what a FITS table or VOTable states of it, come in degrees.

    Raises
    ------
    InputError
        The file is missing or no such table, or lacks a column.
    """
    kind = _kind_of(path)
    with _reading(path, kind):
        yield from _READERS[kind](path, columns)


def columns_in(path: Path) -> list[str]:
    """The names of a table's columns, without reading its rows (but for VOTable).

    Raises
    ------
    InputError
        The file is missing or no such table.
    """
    kind = _kind_of(path)
    with _reading(path, kind):
        return _NAMES[kind](path)


def _kind_of(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: expected a catalogue, found no file")
    name = path.name.lower().removesuffix(".gz")
    for kind, endings in _ENDINGS.items():
        if name.endswith(endings):
            return kind
    raise InputError(
        f"{path}: expected a catalogue in CSV, Parquet, FITS or VOTable, by the ending of its name "
        "(.csv, .parquet, .fits, .vot), found another; convert it, for instance with astropy.table.Table"
    )


_ENDINGS = {
    "CSV": (".csv",),
    "Parquet": (".parquet", ".pq"),
    "FITS": (".fits", ".fit", ".fts"),
    "VOTable": (".vot", ".votable", ".xml"),
}


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, EOFError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: expected a {kind} table, found something else ({text})") from error


def _refuse_missing(path: Path, columns: Sequence[str], found: Sequence[str]) -> None:
    twice = [name for name in columns if found.count(name) > 1]
    if twice:
        raise InputError(
            f"{path}: expected one column {twice[0]}, found {found.count(twice[0])}; rename the others"
        )
    missing = [name for name in columns if name not in found]
    if missing:
        raise InputError(
            f"{path}: expected columns {', '.join(columns)}, found none named {', '.join(missing)} among "
            f"{', '.join(found[:50])}; give the names that the catalogue uses"
        )


def _read_csv(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    _refuse_missing(path, columns, _csv_names(path))
    options = csv.ReadOptions(block_size=_CSV_BYTES)
    # A name may look like a number, in one block and not in another: as text, "007" stays what it is.
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.large_string()), null_values=[""], strings_can_be_null=True
    )
    with csv.open_csv(path, read_options=options, convert_options=convert) as reader:
        for batch in reader:
            yield from _pieces(pa.Table.from_batches([batch]).select(list(columns)))


def _csv_names(path: Path) -> list[str]:
    """The names of columns, if commas separate them; spreadsheets of some countries write others."""
    # Of the header alone: with commas in decimals, rows have other numbers of cells.
    lenient = csv.ParseOptions(invalid_row_handler=lambda row: "skip")
    with csv.open_csv(path, csv.ReadOptions(block_size=_CSV_START), lenient) as reader:
        names = list(reader.schema.names)
    for separator, word in OTHER_SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            raise InputError(
                f"{path}: expected commas between columns, found {word}: {names[0][:80]!r}; write it with "
                "commas, and with points in decimals"
            )
    return names


def _parquet_names(path: Path) -> list[str]:
    names = parquet.read_schema(path).names
    return [name for name in names if name.removesuffix(".mask") not in {*names} - {name}]


def _read_parquet(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    with parquet.ParquetFile(path, pre_buffer=False) as file:
        _refuse_missing(path, columns, file.schema_arrow.names)
        # Astropy writes which values of a column are missing as a column of its own.
        masks = {name: f"{name}.mask" for name in columns if f"{name}.mask" in file.schema_arrow.names}
        for batch in file.iter_batches(BATCH_ROWS, columns=[*columns, *masks.values()]):
            table = pa.Table.from_batches([batch])
            for name, mask in masks.items():
                known = compute.if_else(table[mask], pa.scalar(None, table[name].type), table[name])
                table = table.set_column(table.column_names.index(name), name, known)
            yield table.select(list(columns))


@contextmanager
def _fits_table(path: Path) -> Iterator[Any]:
    from astropy.io import fits  # noqa: PLC0415 - takes long to load

    with fits.open(path, memmap=not path.name.lower().endswith(".gz")) as hdus:
        table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)), None)
        if table is None:
            raise InputError(
                f"{path}: expected a FITS table, found none in {len(hdus)} HDUs; images are given as a "
                "folder or a list of their paths"
            )
        yield table


def _fits_names(path: Path) -> list[str]:
    with _fits_table(path) as table:
        return list(table.columns.names)


def _read_fits(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    with _fits_table(path) as table:
        _refuse_missing(path, columns, table.columns.names)
        for start in range(0, len(table.data), BATCH_ROWS):
            rows = table.data[start : start + BATCH_ROWS]
            yield pa.table({name: _fits_column(rows, table.columns[name]) for name in columns})


def _fits_column(rows: Any, column: Any) -> pa.Array:
    values = rows[column.name]
    stored = rows.view(np.ndarray)[column.name]
    undefined = None
    if column.null is not None and stored.dtype.kind in "iu":
        undefined = np.asarray(stored == column.null)
    return _column(values, column.unit, undefined)


def _votable(path: Path) -> Any:
    from astropy.table import Table  # noqa: PLC0415 - takes long to load

    return Table.read(path, format="votable", table_id=0, use_names_over_ids=True)


def _votable_names(path: Path) -> list[str]:
    return list(_votable(path).colnames)


def _read_votable(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    table = _votable(path)
    _refuse_missing(path, columns, table.colnames)
    whole = {
        name: _column(np.ma.getdata(table[name]), table[name].unit, getattr(table[name], "mask", None))
        for name in columns
    }
    yield from _pieces(pa.table(whole))


def _column(values: Any, unit: Any, undefined: Any = None) -> pa.Array:
    """A column, null where a mask says that nothing is given."""
    values = np.asarray(values)
    if values.ndim > 1:
        raise ValueError(f"expected one value a row, found {values.shape[1:]}")
    undefined = None if undefined is None else np.broadcast_to(np.asarray(undefined), values.shape)
    if values.dtype.kind in "SUO":
        texts = ["" if value is None else text_of(value) for value in values.tolist()]
        return pa.array(texts, pa.large_string(), mask=undefined)
    if values.dtype.kind in "iuf" and (name := str(unit).strip().lower()) in _DEGREES:
        values = values.astype(np.float64) * _DEGREES[name]
    return pa.array(values.astype(values.dtype.newbyteorder("=")), mask=undefined)


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(table), BATCH_ROWS):
        yield table.slice(start, BATCH_ROWS)


_READERS = {"CSV": _read_csv, "Parquet": _read_parquet, "FITS": _read_fits, "VOTable": _read_votable}
_NAMES = {"CSV": _csv_names, "Parquet": _parquet_names, "FITS": _fits_names, "VOTable": _votable_names}


def names_in(path: Path, column: str, table: pa.Table, first_row: int) -> list[str]:
    """Names of objects or tiles, as text.

    Raises
    ------
    InputError
        A name is missing, or is neither text nor an integer.
    """
    values = table[column].combine_chunks()
    if not (pa.types.is_integer(values.type) or _is_text(values.type)):
        raise InputError(
            f"{path}: expected text or integers in column {column}, found {values.type}: other numbers "
            "do not name an object in one way"
        )
    names = [str(value).strip() if value is not None else "" for value in values.to_pylist()]
    if "" in names:
        raise InputError(
            f"{path}: row {first_row + names.index('') + 1}: expected a name in column {column}, found none"
        )
    return names


def numbers_in(path: Path, column: str, table: pa.Table, first_row: int) -> npt.NDArray[np.float64]:
    """Numbers of a column, NaN where there is none.

    Raises
    ------
    InputError
        It holds something else.
    """
    values = table[column].combine_chunks()
    try:
        numbers: npt.NDArray[np.float64] = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: rows {first_row + 1} to {first_row + len(table)}: expected numbers in column {column}, "
            f"found something else ({error}); coordinates are in degrees, not sexagesimal"
        ) from error
    return numbers


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))
