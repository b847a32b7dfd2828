"""A catalogue as Parquet, FITS and VOTable, with units, UCDs and provenance in each."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.io.votable.tree import CooSys, Info, VOTableFile
from astropy.table import Column as AstropyColumn
from astropy.table import Table
from pyarrow import parquet

from stronglens.cataloguing.columns import Column
from stronglens.formats.artefact import write_aside

TABLE_NAME = "lens_candidates"
PROVENANCE = "stronglens.provenance"
"""Key of the provenance in the metadata of Parquet files."""


def write_parquet(
    path: Path, rows: pd.DataFrame, columns: Sequence[Column], provenance: Mapping[str, Any]
) -> None:
    """Write Parquet: numbers that are missing are null; unit, ucd and description are metadata of each
    column, and the whole is metadata of the file as VOParquet has it, a VOTable without rows.
    """
    table = pa.Table.from_pandas(rows, preserve_index=False)
    fields = [
        field.with_metadata({"unit": one.unit, "ucd": one.ucd, "description": one.says})
        for field, one in zip(table.schema, columns, strict=True)
    ]
    header = io.BytesIO()
    as_votable(rows.iloc[:0], columns, provenance).to_xml(header)
    metadata = {
        PROVENANCE: json.dumps(provenance, sort_keys=True),
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": header.getvalue().decode(),
    }
    with write_aside(path) as aside:
        parquet.write_table(table.cast(pa.schema(fields, metadata=metadata)), aside)


def write_fits(
    path: Path, rows: pd.DataFrame, columns: Sequence[Column], provenance: Mapping[str, Any]
) -> None:
    """Write a FITS table: TUNIT, TUCD and TCOMM of each column, provenance in the header; text in UTF-8."""
    table = Table({one.name: _as_bytes(rows[one.name].to_numpy()) for one in columns})
    hdu = fits.table_to_hdu(table)
    hdu.name = TABLE_NAME
    header = hdu.header
    for number, one in enumerate(columns, start=1):
        after = f"TFORM{number}"
        header.set(f"TCOMM{number}", one.says, after=after)
        if one.ucd:
            header.set(f"TUCD{number}", one.ucd, after=after)
        if one.unit:
            header.set(f"TUNIT{number}", _unit(one), after=after)
    header["RADESYS"] = ("ICRS", "of ra and dec")
    for key, value in _texts(provenance).items():
        header[f"HIERARCH {key}"] = value
    with write_aside(path) as aside:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(aside, checksum=False)


def write_votable(
    path: Path, rows: pd.DataFrame, columns: Sequence[Column], provenance: Mapping[str, Any]
) -> None:
    """Write a VOTable 1.4: provenance as INFO elements, positions in ICRS."""
    with write_aside(path) as aside:
        as_votable(rows, columns, provenance).to_xml(str(aside))


def as_votable(rows: pd.DataFrame, columns: Sequence[Column], provenance: Mapping[str, Any]) -> VOTableFile:
    """The table as a VOTable."""
    table = Table()
    for one in columns:
        values = rows[one.name].to_numpy()
        values = values.astype(str) if values.dtype.kind == "O" else values
        table[one.name] = AstropyColumn(
            values, description=one.says, unit=one.unit or None, meta={"ucd": one.ucd} if one.ucd else {}
        )
    votable: VOTableFile = from_table(table, table_id=TABLE_NAME)
    votable.version = "1.4"
    resource = votable.resources[0]
    resource.coordinate_systems.append(CooSys(ID="sky", system="ICRS"))
    resource.description = str(provenance["title"])
    for field in resource.tables[0].fields:
        if field.name in ("ra", "dec"):
            field.ref = "sky"
    resource.infos.extend(Info(name=key, value=value) for key, value in _texts(provenance).items())
    return votable


def _unit(one: Column) -> str:
    from astropy.units import Unit  # noqa: PLC0415

    return str(Unit(one.unit).to_string("fits"))


def _as_bytes(values: Any) -> Any:
    return np.char.encode(values.astype(str), "utf-8") if values.dtype.kind == "O" else values


def _texts(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Each value in ASCII, as headers of FITS files need it: text as it is where it can be, else JSON."""
    return {
        key: value if isinstance(value, str) and value.isascii() else json.dumps(value, sort_keys=True)
        for key, value in sorted(provenance.items())
    }
