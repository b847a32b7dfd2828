"""The physical parameters of labelled objects, where a data release gives them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from stronglens.errors import InputError
from stronglens.settings.data import PackSettings
from stronglens.sources.find import places_of
from stronglens.sources.image_choice import ID_COLUMNS

FILE_NAME = "parameters.fits"
NOT_MEASURED = -999.0


def match_parameters(
    settings: PackSettings, folders: Sequence[Sequence[str]], index: pa.Table
) -> tuple[pa.Table, dict[str, Any]]:
    """Find the parameters of packed objects.

    Parameters
    ----------
    settings : PackSettings
        Where the data set lies. A set without labels has no parameters.
    folders : sequence of sequences of str
        For each of its places, the folders that hold cutouts. `parameters.fits` is looked for in the source,
        in these folders, and then in the folders above them.
    index : Table
        A row per cutout, with object, bucket and header_id.

    Returns
    -------
    parameters : Table
        Object, bucket, and the columns of all files by their own names (units: RA, Dec degrees; vel disp
        km/s; Rein, Reff arcsec; magnitudes AB); NaN where not measured (-999) or not given. A row for each
        object whose id in the files belongs to it alone, among the objects of its bucket and in the table.
    counts : dict
        For each bucket with a file: the file, n_rows, n_matched, n_objects.

    Raises
    ------
    InputError
        A file of parameters is malformed.
    """
    tables = [
        pa.table({"object": pa.array([], pa.large_string()), "bucket": pa.array([], pa.large_string())})
    ]
    counts: dict[str, Any] = {}
    if settings.labelled is not None:
        for (bucket, source), inside in zip(places_of(settings), folders, strict=True):
            path = _find(source, inside)
            if path is None:
                continue
            ids, columns = _read(path)
            of_bucket = index.filter(compute.equal(index["bucket"], bucket))
            matched = _match(ids, of_bucket)
            rows = pa.array(list(matched.values()), pa.int64())
            tables.append(
                pa.table(
                    {
                        "object": pa.array(list(matched), pa.large_string()),
                        "bucket": pa.array([bucket] * len(matched), pa.large_string()),
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


def _read(path: Path) -> tuple[list[str], dict[str, pa.Array]]:
    """Ids and the other columns of a table of parameters."""
    from astropy.io import fits  # noqa: PLC0415 - takes long to load, and not every data set has such a file

    try:
        with fits.open(path, memmap=False) as hdus:
            rows = next(hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)).data
            values = {name: np.asarray(rows[name]) for name in rows.names}
    except (OSError, StopIteration, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: expected a FITS table of parameters, found something else ({error})"
        ) from error
    id_names = [name for name in values if name.strip().lower() in ID_COLUMNS]
    if len(id_names) != 1:
        raise InputError(
            f"{path}: expected one column Object ID or Lens ID, found columns {', '.join(values)}"
        )
    ids = [str(value).strip() for value in values.pop(id_names[0])]
    return ids, {name: _column(column) for name, column in values.items() if column.ndim == 1}


def _column(values: Any) -> pa.Array:
    if values.dtype.kind in "iuf":
        numbers = values.astype(np.float64)
        numbers[numbers == NOT_MEASURED] = np.nan
        return pa.array(numbers)
    return pa.array([str(value) for value in values], pa.large_string())


def _match(ids: Sequence[str], index: pa.Table) -> dict[str, int]:
    """Row of each object's parameters, in the order of the index."""
    pairs = dict.fromkeys(zip(index["object"].to_pylist(), index["header_id"].to_pylist(), strict=True))
    n_ids = Counter(name for name, _ in pairs)
    n_objects = Counter(header_id for _, header_id in pairs)
    n_rows = Counter(ids)
    row_of = {header_id: row for row, header_id in enumerate(ids)}
    return {
        name: row_of[header_id]
        for name, header_id in pairs
        if n_ids[name] == n_objects[header_id] == n_rows[header_id] == 1
    }


def _fill_missing(table: pa.Table) -> pa.Table:
    """NaN and "" in place of nulls: columns that a bucket lacks."""
    filled = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        filled[name] = column.fill_null(np.nan if pa.types.is_floating(column.type) else "")
    return pa.table(filled)
