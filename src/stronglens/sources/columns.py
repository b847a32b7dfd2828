"""Columns of tables: numbers, texts and labels, as they may be written."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stronglens.running.errors import InputError
from stronglens.settings.data import LABELS
from stronglens.sources.sky import NOWHERE, Sky

_MOST_SHOWN = 50

_LABELS = {
    **LABELS,
    **{"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0},
    **{"lenses": 1, "nonlenses": 0, "non-lens": 0},
}


def cells_of(values: Any) -> list[Any]:
    """Cells of a column of NumPy or Arrow as Python has them.

    Floats of less than double precision stay NumPy's, which say how precise they are.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        if not (pa.types.is_float16(values.type) or pa.types.is_float32(values.type)):
            return list(values.to_pylist())
        values = values.to_numpy(zero_copy_only=False)
    if values.dtype.kind != "f" or values.dtype.itemsize >= 8:
        return list(values.tolist())
    return list(values) if values.ndim == 1 else [cells_of(row) for row in values]


def text_of(value: Any) -> str:
    """A cell as text, without blanks around it; "" where it is empty. Whole numbers have no `.0`."""
    if value is None or (getattr(value, "mask", None) is not None and bool(value.mask)):
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) or hasattr(value, "is_integer"):
        number = float(value)
        return "" if math.isnan(number) else str(int(number)) if number.is_integer() else str(number)
    return str(value).strip()


def id_of(value: Any, where: str) -> str:
    """An object's name, as `text_of`.

    Raises
    ------
    InputError
        It is a float that is too large for its last digits: ids of HSC or Rubin become those of others.
    """
    if isinstance(value, float | np.floating) and abs(value) >= 2 ** (np.finfo(type(value)).nmant + 1):
        raise InputError(
            f"{where}: expected an id as an integer or text, found the float {value:.0f}, whose last digits "
            "are lost; write the column anew, as integers of 64 bits or as text"
        )
    return text_of(value)


def coordinates_of(ra: Any, dec: Any, where: str) -> Sky:
    """Right ascension and declination of two cells, in degrees; NaN where both are empty.

    Raises
    ------
    InputError
        One is empty alone, or they are no such numbers.
    """
    texts = text_of(ra), text_of(dec)
    if texts == ("", ""):
        return NOWHERE
    try:
        sky = float(texts[0]), float(texts[1])
    except ValueError:
        sky = NOWHERE
    if not (abs(sky[0]) <= 360 and abs(sky[1]) <= 90):
        raise InputError(f"{where}: expected ra and dec in degrees, found {texts[0]!r} and {texts[1]!r}")
    return sky


def label_of(value: Any, where: str) -> int:
    """A label: 1 lens, 0 none.

    Raises
    ------
    InputError
        It is neither.
    """
    text = text_of(value).lower()
    if text not in _LABELS:
        raise InputError(f"{where}: expected a label (lens, nonlens, 1 or 0), found {text!r}")
    return _LABELS[text]


def known_columns(found: Sequence[str], path: Path, needed: Sequence[str]) -> None:
    """Refuse a table that lacks columns, or has two of one name.

    Raises
    ------
    InputError
        One is missing; the message says how to map its name. Or there are two.
    """
    for name in needed:
        if name not in found:
            shown = ", ".join(found[:_MOST_SHOWN]) or "none"
            raise InputError(
                f"{path}: expected a column {name}, found {shown}; give the name "
                f"it has there, for example columns: {{{name}: {found[0] if found else 'NAME'}}}"
            )
        if found.count(name) > 1:
            raise InputError(
                f"{path}: expected one column {name}, found {found.count(name)}; rename the others"
            )
