"""Tables in CSV files, read strictly and written so that every float comes back as it was."""

import codecs
import csv
import mmap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute
from pyarrow import csv as arrow_csv

from stronglens.running.errors import InputError

TEXT, INTEGER, REAL = pa.large_string(), pa.int64(), pa.float64()
"""Types of columns. Text has 64-bit offsets: a column of paths may exceed 2 GiB."""

_MOST_SHOWN = 20

ROWS_AT_ONCE = 65_536
"""Rows that are turned into text at a time: bounds the memory of writing."""


def read_header(path: Path, encoding: str = "utf-8-sig") -> list[str]:
    """Names of the columns of a CSV file, without a byte-order mark before them, unless `encoding` is utf-8.

    Raises
    ------
    InputError
        The file is missing, is no text in UTF-8, has no first line, or no commas between columns.
    """
    try:
        with path.open("rb") as content:
            start = content.read(2)
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InputError(f"{path}: expected a CSV file in UTF-8, found UTF-16; save it as CSV UTF-8")
        with path.open(encoding=encoding, newline="") as text:
            header = next(csv.reader(text), None)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected a CSV file, found none") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a CSV file, found something else ({error})") from error
    if not header:
        raise InputError(f"{path}: expected a CSV file with a line of column names, found an empty one")
    for character, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and character in header[0]:
            raise InputError(
                f"{path}: expected commas between columns, found {name}: {header[0]!r}; "
                "save it with commas, and with points in numbers"
            )
    return header


def read_table(path: Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Read some columns of a CSV file.

    Parameters
    ----------
    path : Path
        The file; other columns are skipped, the order of columns is free.
    types : mapping of str to DataType
        The columns to read, `TEXT`, `INTEGER` or `REAL`. Text may be empty, numbers may not.

    Returns
    -------
    Table
        The columns in the order of `types`; no nulls. May have no rows.

    Raises
    ------
    InputError
        The file is missing, empty or no CSV; a column is missing or given twice; a value is missing, NaN or
        of another type.
    """
    header = read_header(path)
    missing = [name for name in types if name not in header]
    if missing:
        raise InputError(
            f"{path}: expected columns {', '.join(types)}; found none named {', '.join(missing)}"
            f" among {', '.join(map(repr, header[:_MOST_SHOWN]))}"
        )
    twice = [name for name in types if header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: expected each column once, found {', '.join(twice)} more than once")
    try:
        table = arrow_csv.read_csv(
            path,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=_has_quotes(path)),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(types), column_types=dict(types), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InputError(f"{path}: expected a CSV file, found a malformed one ({error})") from error
    for name in types:
        if table[name].null_count:
            row = int(np.argmax(table[name].is_null().to_numpy()))
            raise InputError(
                f"{path}: line {line_of(row)}: expected a number in column {name}, found none or NaN"
            )
    return table


def _has_quotes(path: Path) -> bool:
    """Whether values may hold line breaks, as a path may: without, reading takes two thirds of the time."""
    with path.open("rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return mapped.find(b'"', max(0, mapped.find(b"\n"))) >= 0


def line_of(row: int) -> int:
    """Number of the line of a file in which a row (counted from 0) stands: line 1 names the columns."""
    return row + 2


def probabilities(path: Path, table: pa.Table, column: str = "prob") -> npt.NDArray[np.float64]:
    """Take a column of probabilities out of a table.

    Parameters
    ----------
    path : Path
        Where the table comes from, for messages.
    table : Table
        As `read_table` gives it.
    column : str
        Name of the column.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        From 0 to 1.

    Raises
    ------
    InputError
        A value is below 0, above 1 or infinite.
    """
    probs: npt.NDArray[np.float64] = table[column].to_numpy()
    _refuse_others(path, column, probs, (probs >= 0) & (probs <= 1), "a probability from 0 to 1")
    return probs


def finite(path: Path, table: pa.Table, column: str) -> npt.NDArray[np.float64]:
    """Take a column of finite numbers out of a table.

    Parameters
    ----------
    path : Path
        Where the table comes from, for messages.
    table : Table
        As `read_table` gives it.
    column : str
        Name of the column.

    Returns
    -------
    ndarray of float64, shape (n_rows,)

    Raises
    ------
    InputError
        A value is infinite.
    """
    values: npt.NDArray[np.float64] = table[column].to_numpy()
    _refuse_others(path, column, values, np.isfinite(values), "a finite number")
    return values


def _refuse_others(
    path: Path,
    column: str,
    values: npt.NDArray[np.float64],
    allowed: npt.NDArray[np.bool_],
    expected: str,
) -> None:
    if allowed.all():
        return
    row = int(np.argmin(allowed))
    raise InputError(
        f"{path}: line {line_of(row)}: expected {expected} in column {column}, found {float(values[row])!r}"
    )


def write_table(path: Path, columns: Sequence[str], tables: Iterable[pa.Table]) -> int:
    """Write tables one below the other as one CSV file.

    Parameters
    ----------
    path : Path
        The file, overwritten.
    columns : sequence of str
        The columns to write, in this order.
    tables : iterable of Table
        Consumed one at a time; no nulls.

    Returns
    -------
    int
        Number of rows written.

    Notes
    -----
    Floats get the fewest digits that read back as the same number. Text is quoted only where it must be:
    pyarrow's own writer quotes all text or none.
    """
    n_rows = 0
    with path.open("wb") as file:
        write_names(file, columns)
        for table in tables:
            n_rows += len(table)
            write_rows(file, table.select(list(columns)))
    return n_rows


def write_names(file: BinaryIO, columns: Sequence[str]) -> None:
    """Write the line of column names of a CSV file."""
    write_rows(file, pa.table({name: [name] for name in columns}))


def write_rows(file: BinaryIO, table: pa.Table) -> None:
    """Write the rows of a table to a CSV file, as `write_table` does; no nulls."""
    for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
        *columns, last = map(_as_text, batch.columns)
        ended = compute.binary_join_element_wise(last, pa.scalar("", TEXT), pa.scalar("\n", TEXT))
        lines = compute.binary_join_element_wise(*columns, ended, pa.scalar(",", TEXT))
        if len(lines):
            file.write(lines.buffers()[2])  # the texts of all rows, one after the other


def _as_text(column: pa.Array) -> pa.Array:
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    column = column.cast(TEXT)
    if not is_text:
        return column
    needs_quotes = compute.match_substring_regex(column, '[",\r\n]')
    if not compute.any(needs_quotes).as_py():
        return column
    quote, nothing = pa.scalar('"', TEXT), pa.scalar("", TEXT)
    doubled = compute.replace_substring(column, '"', '""')
    quoted = compute.binary_join_element_wise(quote, doubled, quote, nothing)
    return compute.if_else(needs_quotes, quoted, column)
