"""The physical parameters of labelled objects, where a data release gives them."""

import logging
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from stronglens.running.errors import InputError
from stronglens.settings.data import PackSettings
from stronglens.settings.lens_parameters import LENS_PARAMETERS
from stronglens.sources.find import FoundBucket, sources_of
from stronglens.sources.image_choice import clean_id, id_text, is_given, is_id_column

log = logging.getLogger(__name__)

FILE_NAME = "parameters.fits"
NOT_MEASURED = -999.0

_KEYS = ("object", "bucket")
_TEXT = pa.large_string()
_KNOWN = {name.lower(): name for name in LENS_PARAMETERS}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
# Digits that a float would not give back: names, such as 000123 and the ids of surveys.
_NAME = re.compile(r"0\d+|\d{16,}", re.ASCII)


def match_parameters(
    settings: PackSettings,
    folders: Sequence[Sequence[str]],
    buckets: Sequence[FoundBucket],
    index: pa.Table,
) -> tuple[pa.Table, dict[str, Any]]:
    """Find the parameters of packed objects.

    Parameters
    ----------
    settings : PackSettings
        Where the data set lies. A set without labels has no parameters.
    folders : sequence of sequences of str
        For each of its places, the folders that hold cutouts. `parameters.fits` is looked for in the source,
        in these folders, and then in the folders above them.
    buckets : sequence of FoundBucket
        All that the index has. One of the config is several where rows say what objects are.
    index : Table
        A row per cutout, with object, bucket and header_id.

    Returns
    -------
    parameters : Table
        Object, bucket, and the columns of all files by their own names (units: RA, Dec degrees; vel disp
        km/s; Rein, Reff arcsec; magnitudes AB), names of `LENS_PARAMETERS` in the case of letters that these
        have. Numbers, also those written as text, are float64: NaN where not measured (-999), undefined
        (TNULL), infinite, or not given (blank, `N/A`, …); other text is text, "" where not given. Columns
        that hold more than one value a row are left out. A row for each object whose id in the files belongs
        to it alone, among the objects of its bucket and in the table.
    counts : dict
        For each bucket with a file: the file, n_rows, n_matched, n_objects.

    Raises
    ------
    InputError
        A file of parameters is malformed: no table with one column of ids, a name given twice or taken, text
        in a column of numbers.
    """
    tables = [pa.table({name: pa.array([], _TEXT) for name in _KEYS})]
    counts: dict[str, Any] = {}
    first: dict[str, tuple[Path, pa.Array]] = {}
    if settings.labelled is not None:
        for (bucket, source), inside in zip(sources_of(settings), folders, strict=True):
            path = _find(source, inside)
            if path is None:
                continue
            ids, columns = _read(path)
            names = pa.array([one.name for one in buckets if one.configured == bucket], _TEXT)
            of_bucket = index.filter(compute.is_in(index["bucket"], names))
            bucket_of = dict(
                zip(of_bucket["object"].to_pylist(), of_bucket["bucket"].to_pylist(), strict=True)
            )
            for name, column in columns.items():
                if not pa.types.is_null(column.type):
                    _refuse_other_kind(name, path, column, *first.setdefault(name, (path, column)))
            matched = _match(ids, of_bucket)
            rows = pa.array(list(matched.values()), pa.int64())
            tables.append(
                pa.table(
                    {
                        "object": pa.array(list(matched), _TEXT),
                        "bucket": pa.array([bucket_of[name] for name in matched], _TEXT),
                        **{name: column.take(rows) for name, column in columns.items()},
                    }
                )
            )
            n_objects = len(compute.unique(of_bucket["object"]))
            counts[bucket] = {
                "path": str(path),
                "n_rows": len(ids),
                "n_matched": len(matched),
                "n_objects": n_objects,
            }
            _log_matches(bucket, counts[bucket], ids, of_bucket)
    together = pa.concat_tables(tables, promote_options="default").combine_chunks()
    return _fill_missing(together), counts


def with_coordinates(index: pa.Table, parameters: pa.Table) -> pa.Table:
    """Give objects of unknown coordinates those of the tables of parameters.

    Parameters
    ----------
    index : Table
        With object, ra and dec.
    parameters : Table
        From `match_parameters`. Columns RA and Dec, in any case of letters, are coordinates in degrees.
    """
    names = {name.lower(): name for name in parameters.column_names}
    if not {"ra", "dec"} <= set(names):
        return index
    rows = compute.index_in(index["object"], parameters["object"])
    ra, dec = (parameters[names[key]].combine_chunks() for key in ("ra", "dec"))
    if not (pa.types.is_floating(ra.type) and pa.types.is_floating(dec.type)):
        return index
    unknown = compute.or_(compute.is_nan(index["ra"]), compute.is_nan(index["dec"]))
    for name, values in (("ra", ra), ("dec", dec)):
        found = compute.fill_null(values.take(rows.combine_chunks()), np.nan)
        filled = compute.if_else(unknown, found, index[name])
        index = index.set_column(index.schema.get_field_index(name), name, filled)
    return index


def _find(source: Path, inside: Sequence[str]) -> Path | None:
    folders = [source, *(Path(folder) for folder in inside)]
    candidates = [*folders, *(folder.parent for folder in folders)]
    return next((folder / FILE_NAME for folder in candidates if (folder / FILE_NAME).is_file()), None)


def _log_matches(bucket: str, counts: dict[str, Any], ids: Sequence[str], index: pa.Table) -> None:
    found = f"found parameters of {counts['n_matched']} of {counts['n_objects']} objects"
    if counts["n_matched"] or not counts["n_objects"]:
        log.info("%s: %s: %s in %d rows", bucket, counts["path"], found, counts["n_rows"])
        return
    header_ids = index["header_id"].to_pylist()
    log.warning(
        "%s: %s: expected rows with the ids of cutouts, %s; its first id is %r, that of a cutout %r",
        bucket,
        counts["path"],
        found,
        next(iter(ids), ""),
        next(filter(None, header_ids), ""),
    )


def _refuse_other_kind(name: str, path: Path, column: pa.Array, other: Path, before: pa.Array) -> None:
    if column.type == before.type:
        return
    if pa.types.is_floating(column.type):
        path, column, other = other, before, path
    text = column.drop_null()[0].as_py()
    raise InputError(
        f"{path}: column {name}: expected numbers, as in {other}, found {text!r}; rename one of the columns"
    )


def _read(path: Path) -> tuple[list[str], dict[str, pa.Array]]:
    """Ids and the other columns of a table of parameters; a column without any value is of type null."""
    from astropy.io import fits  # noqa: PLC0415 - takes long to load, and not every data set has such a file

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what astropy mends with a warning is checked here, or is harmless
        try:
            with fits.open(path, memmap=False) as hdus:
                return _columns_of(path, _table_of(path, hdus))
        except InputError:
            raise
        except Exception as error:  # a broken file can break a parser in any way
            raise InputError(
                f"{path}: expected a FITS table of parameters, found something else "
                f"({type(error).__name__}: {error})"
            ) from error


def _table_of(path: Path, hdus: Any) -> Any:
    """The one table with ids."""
    tables = [hdu for hdu in hdus if hdu.header.get("XTENSION", "").strip() in {"TABLE", "BINTABLE"}]
    tables = [hdu for hdu in tables if not hdu.is_image]
    if not tables:
        raise InputError(f"{path}: expected a FITS table of parameters, found no table")
    with_ids = [hdu for hdu in tables if any(is_id_column(name) for name in hdu.columns.names)]
    if len(with_ids) > 1:
        raise InputError(f"{path}: expected one table with ids, found {len(with_ids)}; keep one of them")
    return (with_ids or tables)[0]


def _columns_of(path: Path, table: Any) -> tuple[list[str], dict[str, pa.Array]]:
    names = [str(name).strip() for name in table.columns.names]
    id_numbers = [number for number, name in enumerate(names) if is_id_column(name)]
    if len(id_numbers) != 1:
        raise InputError(
            f"{path}: expected one column Object ID or Lens ID, found columns {', '.join(names)}"
        )
    times = Counter(name.lower() for name in names)
    wrong = [name for name in names if times[name.lower()] > 1]
    if wrong:
        raise InputError(
            f"{path}: expected each column once, found {' and '.join(wrong)}; names that differ only in case "
            "are one name in FITS: rename all but one"
        )
    taken = [name for name in names if name in _KEYS]
    if taken:
        raise InputError(
            f"{path}: found a column named {taken[0]}, which is the name of a key of objects here; "
            f"rename it, for example to {taken[0]}_name"
        )
    columns = {}
    for number, name in enumerate(names):
        if number == id_numbers[0]:
            ids = _ids(path, name, _values(path, table, number))
        else:
            known = _KNOWN.get(name.lower(), name)
            column = _column(
                path, known, _values(path, table, number), must_be_numbers=known in LENS_PARAMETERS
            )
            if column is not None:
                columns[known] = column
    return ids, columns


def _values(path: Path, table: Any, number: int) -> list[Any] | npt.NDArray[Any]:
    """Values of a column: a list of texts, or an array; "" or masked is what the file leaves undefined."""
    column, data = table.columns[number], table.data
    raw = data.view(np.ndarray)[data.dtype.names[number]]
    if raw.dtype.kind == "S" and raw.ndim == 1:
        texts = [clean_id(value) for value in raw.tolist()]
        if column.bscale or column.bzero:
            raise InputError(f"{path}: column {column.name}: expected unscaled text, found TSCAL or TZERO")
        if column.null is not None:  # in an ASCII table; astropy would read 0
            texts = ["" if text == str(column.null).strip() else text for text in texts]
        return texts
    values = np.asarray(data.field(number))
    if values.ndim > 1 and values.size == len(values):
        values, raw = values.reshape(-1), raw.reshape(-1)
    if raw.ndim == 1 and raw.dtype.kind in "iu":  # also logicals, and what is scaled
        return np.ma.masked_array(values, raw == (0 if values.dtype.kind == "b" else column.null))
    return values


def _ids(path: Path, name: str, values: list[str] | npt.NDArray[Any]) -> list[str]:
    if not isinstance(values, list) and (values.ndim > 1 or values.dtype.kind not in "iuf"):
        raise InputError(f"{path}: column {name}: expected an id a row, text or number, found {values.dtype}")
    return [id_text(value) for value in values]


def _column(path: Path, name: str, values: Any, *, must_be_numbers: bool) -> pa.Array | None:
    if not isinstance(values, list):
        if values.ndim > 1 or values.dtype.kind not in "biuf":
            if must_be_numbers:
                raise InputError(f"{path}: column {name}: expected a number a row, found several or none")
            log.info("%s: column %s holds no number or text a row and is left out", path, name)
            return None
        return _numbers(np.ma.filled(values.astype(np.float64), np.nan))
    given = [(row, text) for row, text in enumerate(values) if is_given(text)]
    others = [(row, text) for row, text in given if not _NUMBER.fullmatch(text)]
    if others and must_be_numbers:
        row, text = others[0]
        raise InputError(
            f"{path}: column {name}, row {row + 1}: expected a number, found {text!r}; "
            f"correct it, or write {NOT_MEASURED:g} or N/A where nothing was measured"
        )
    if others or (not must_be_numbers and any(_NAME.fullmatch(text) for _, text in given)):
        known = dict(given)
        return pa.array([known.get(row) for row in range(len(values))], _TEXT)
    numbers = np.full(len(values), np.nan)
    for row, text in given:
        numbers[row] = float(re.sub("[dD]", "e", text))
    return _numbers(numbers)


def _numbers(values: npt.NDArray[np.float64]) -> pa.Array:
    values[(values == NOT_MEASURED) | ~np.isfinite(values)] = np.nan
    return pa.nulls(len(values)) if np.isnan(values).all() else pa.array(values)


def _match(ids: Sequence[str], index: pa.Table) -> dict[str, int]:
    """Row of each object's parameters, in the order of the index."""
    rows = zip(index["object"].to_pylist(), index["header_id"].to_pylist(), strict=True)
    pairs = [(name, header_id) for name, header_id in dict.fromkeys(rows) if header_id]
    if all(_stay_apart(set(own)) for own in (ids, [header_id for _, header_id in pairs])):
        ids = [_as_number(one) for one in ids]
        pairs = [(name, _as_number(header_id)) for name, header_id in pairs]
    n_ids = Counter(name for name, _ in pairs)
    n_objects = Counter(header_id for _, header_id in pairs)
    n_rows = Counter(ids)
    row_of = {header_id: row for row, header_id in enumerate(ids)}
    return {
        name: row_of[header_id]
        for name, header_id in pairs
        if n_ids[name] == n_objects[header_id] == n_rows[header_id] == 1
    }


def _as_number(name: str) -> str:
    """An id of digits without leading zeros: a table may hold 1 where a header holds 000001."""
    return name.lstrip("0") or "0" if name.isascii() and name.isdigit() else name


def _stay_apart(names: set[str]) -> bool:
    """Whether ids differ without leading zeros too."""
    return len({_as_number(name) for name in names}) == len(names)


def _fill_missing(table: pa.Table) -> pa.Table:
    """NaN and "" in place of nulls: columns that a bucket lacks, or that hold no value."""
    filled = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        known = column.cast(pa.float64()) if pa.types.is_null(column.type) else column
        filled[name] = known.fill_null(np.nan if pa.types.is_floating(known.type) else "")
    return pa.table(filled)
