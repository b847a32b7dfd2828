"""Which HDU or column of a table holds the image and which the object's id: the same for every reader."""

from collections.abc import Sequence
from dataclasses import dataclass

from stronglens.sources.fitting import Fit, can_fit, wanted
from stronglens.sources.rejected import Rejected

HDU_NAMES = frozenset({"sci", "image"})
ID_COLUMNS = frozenset({"object id", "lens id"})
ID_KEYWORDS = ("OBJECTID", "OBJ_ID", "OBJID", "LENSID", "LENS_ID")
"""Header keywords that can hold the id, the first that is there. Not OBJECT: often the name of a field."""


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
        Its number. It may be one that does not fit: the one that is named, or for want of others the first.
        None if there are no HDUs.

    Raises
    ------
    Rejected
        Several could be meant.
    """
    chosen = _choose([n for n, name in enumerate(names) if _plain(name) in HDU_NAMES], fits, titles)
    return 0 if chosen is None and names else chosen


def _choose(named: Sequence[int], fits: Sequence[bool], titles: Sequence[str]) -> int | None:
    candidates = [n for n in named if fits[n]] or named or [n for n, right in enumerate(fits) if right]
    if len(candidates) > 1:
        raise Rejected("several images", ", ".join(titles[n] for n in candidates))
    return candidates[0] if candidates else None


def choose_id(names: Sequence[str]) -> int | None:
    """The column that holds the object's id: `Object ID` or `Lens ID`; None if there is none."""
    return next((n for n, name in enumerate(names) if _plain(name) in ID_COLUMNS), None)


def clean_id(raw: bytes) -> str:
    """An id as text: up to the first NUL, which ends a FITS string, and without blanks around it."""
    return raw.partition(b"\0")[0].decode("ascii", "backslashreplace").strip()


def wrong_shape(shape: Sequence[int], size_px: int, fit: Fit = "refuse") -> Rejected:
    """The rejection of an image of another shape."""
    found = " x ".join(str(length) for length in shape) or "a single number"
    hint = "; band_axis says which axis of a cube counts its bands" if len(shape) == 3 else ""
    return Rejected("wrong shape", f"expected {wanted(size_px, fit)}, found {found}{hint}")


def has_size(shape: Sequence[int], size_px: int, fit: Fit = "refuse", *, flat: bool = True) -> bool:
    """Whether an array is an image of a size that fits, or (`flat`) one of as many pixels in one row."""
    squeezed = tuple(length for length in shape if length != 1)
    return (len(squeezed) == 2 and can_fit(*squeezed, size_px, fit)) or (
        flat and squeezed == (size_px * size_px,)
    )


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", " ")
