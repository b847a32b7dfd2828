"""Which HDU or column of a table holds the image and which the object's id: the same for every reader."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stronglens.sources.fitting import Fit, can_fit, wanted
from stronglens.sources.rejected import Rejected

HDU_NAMES = frozenset({"sci", "image"})
_BESIDE_IMAGES = frozenset(
    {"psf", "mask", "msk", "dq", "flags", "err", "error", "rms", "sigma", "variance", "var", "ivar", "invvar"}
    | {"weight", "wht", "wgt", "exposure", "exp", "bkg", "background", "sky"}
)
"""Names of HDUs that are there beside an image, and would have its size by chance."""
ID_COLUMNS = frozenset({"object id", "lens id"})
ID_KEYWORDS = ("OBJECTID", "OBJ_ID", "OBJID", "LENSID", "LENS_ID")
"""Header keywords that can hold the id, the first that is there. Not OBJECT: often the name of a field."""

_NOT_GIVEN = frozenset(
    {"", "-", "--", "---", "?", "n/a", "na", "#n/a", "none", "null", "nil", "undefined", "undef", "indef"}
    | {"unknown", "missing", "masked", "nan", "inf", "+inf", "-inf"}
)
_AROUND = " <>()[]'\""
_STAND_IN = re.compile(r"(0|-1|-9+|-32768|-2147483648|-9223372036854775808)(\.0*)?")


@dataclass(frozen=True)
class Column:
    """A column of a table with one row.

    Attributes
    ----------
    name : str
        As in the header.
    shape : tuple of int
        Of its one cell, slowest axis first.
    number : bool
        Whether it holds real numbers.
    """

    name: str
    shape: tuple[int, ...]
    number: bool


def choose_image(columns: Sequence[Column], size_px: int, fit: Fit = "refuse") -> int | None:
    """The column that holds the image: `image`, else `band_*`, else any of the right size.

    Parameters
    ----------
    columns : sequence of Column
        The columns of a table.
    size_px : int
        Side of the image in pixels. A cell may also hold the pixels in one row.
    fit : "refuse", "crop" or "pad"
        Which other sizes are right too.

    Returns
    -------
    int or None
        Number of the column; None if the table holds no image.

    Raises
    ------
    Rejected
        Several columns could be meant, or the one that is named as an image has another shape.
    """
    fits = [column.number and has_size(column.shape, size_px, fit) for column in columns]
    named = [n for n, column in enumerate(columns) if _plain(column.name) == "image"]
    named = named or [n for n, column in enumerate(columns) if _plain(column.name).startswith("band ")]
    chosen = _choose(named, fits, [column.name for column in columns])
    if chosen is not None and not fits[chosen]:
        raise wrong_shape(columns[chosen].shape, size_px, fit)
    return chosen


def choose_hdu(names: Sequence[str], titles: Sequence[str], fits: Sequence[bool]) -> int | None:
    """The HDU that holds the image: the one named SCI or IMAGE, else the only one of the right size.

    Parameters
    ----------
    names : sequence of str
        EXTNAME of each HDU with an image or a table that should hold one.
    titles : sequence of str
        What to call each in a message.
    fits : sequence of bool
        Whether its image has the right size.

    Returns
    -------
    int or None
        Its number. It may be one that does not fit: the one that is named, or for want of others the first
        that is not named as a mask, a PSF or the like. None if there are no HDUs.

    Raises
    ------
    Rejected
        Several could be meant.
    """
    plain = [_plain(name) for name in names]
    named = [n for n, name in enumerate(plain) if name in HDU_NAMES]
    chosen = _choose(named, fits, titles, "; give its number or name as hdu")
    if chosen is None or plain[chosen] in _BESIDE_IMAGES:
        return next((n for n, name in enumerate(plain) if name not in _BESIDE_IMAGES), 0) if names else None
    return chosen


def _choose(named: Sequence[int], fits: Sequence[bool], titles: Sequence[str], hint: str = "") -> int | None:
    candidates = [n for n in named if fits[n]] or named or [n for n, right in enumerate(fits) if right]
    if len(candidates) > 1:
        raise Rejected("several images", ", ".join(titles[n] for n in candidates) + hint)
    return candidates[0] if candidates else None


def is_id_column(name: str) -> bool:
    """Whether a column holds ids: `Object ID` or `Lens ID`, in any case of letters, or with `_`."""
    return _plain(name) in ID_COLUMNS


def choose_id(names: Sequence[str]) -> int | None:
    """The column that holds the object's id; None if there is none."""
    return next((n for n, name in enumerate(names) if is_id_column(name)), None)


def clean_id(raw: bytes) -> str:
    """An id as text: up to the first NUL, which ends a FITS string, and without blanks around it."""
    return raw.partition(b"\0")[0].decode("ascii", "backslashreplace").strip()


def id_text(value: object) -> str:
    """A value as an id: text, or a number, 7.0 being 7; "" for all else: a card without value, T or F."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | float | np.number):
        return ""
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number) if number.is_integer() and abs(number) < 2**53 else value)
    return str(value).strip()


def is_given(text: str) -> bool:
    """Whether a text says anything: it is not empty, and no word for that, such as `N/A`, `None` or `-`."""
    return text.strip(_AROUND).lower() not in _NOT_GIVEN


@lru_cache(1024)  # the bands of an object have one id
def linking_id(text: str) -> str:
    """An id that links cutouts: "" for what surveys write where there is none, such as `N/A`, 0, -1 and -999.

    It would make all objects without an id one group.
    """
    return text if is_given(text) and not _STAND_IN.fullmatch(text.strip(_AROUND)) else ""


def wrong_shape(shape: Sequence[int], size_px: int, fit: Fit = "refuse") -> Rejected:
    """The rejection of an image of another shape."""
    found = " x ".join(str(length) for length in shape) or "a single number"
    hint = "; band_axis says which axis of a cube counts its bands" if len(shape) == 3 else ""
    if fit == "refuse" and len(shape) == 2 and min(shape) >= size_px:
        hint = "; fit: crop takes the centre of larger ones"
    return Rejected("wrong shape", f"expected {wanted(size_px, fit)}, found {found}{hint}")


def has_size(shape: Sequence[int], size_px: int, fit: Fit = "refuse", *, flat: bool = True) -> bool:
    """Whether an array is an image of a size that fits, or (`flat`) one of as many pixels in one row."""
    squeezed = tuple(length for length in shape if length != 1)
    return (len(squeezed) == 2 and can_fit(*squeezed, size_px, fit)) or (
        flat and squeezed == (size_px * size_px,)
    )


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", " ")
