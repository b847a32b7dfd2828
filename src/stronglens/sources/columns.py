"""Columns of tables: numbers, texts and labels, as they may be written."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stronglens.running.errors import InputError
from stronglens.settings.data import LABELS

_LABELS = {
    **LABELS,
    **{"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0},
    **{"lenses": 1, "nonlenses": 0, "non-lens": 0},
}


def text_of(value: Any) -> str:
    """A cell as text, without blanks around it; "" where it is empty. Whole numbers have no `.0`."""
    if value is None or (getattr(value, "mask", None) is not None and bool(value.mask)):
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) or hasattr(value, "is_integer"):
        return "" if math.isnan(value) else str(int(value)) if float(value).is_integer() else str(value)
    return str(value).strip()


def number_of(value: Any) -> float:
    """A cell as a number; NaN where it is empty or none."""
    try:
        return float(text_of(value))
    except ValueError:
        return math.nan


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
    """Refuse a table that lacks columns.

    Raises
    ------
    InputError
        One is missing; the message says how to map its name.
    """
    missing = [name for name in needed if name not in found]
    if missing:
        raise InputError(
            f"{path}: expected a column {missing[0]}, found {', '.join(found) or 'none'}; give the name "
            f"it has there, for example columns: {{{missing[0]}: {found[0] if found else 'NAME'}}}"
        )
