"""Where the pixels lie in a FITS file of the ordinary kind, from its header blocks alone.

Nearly all files of a set have one of a few layouts. This module knows them, and refuses to judge whatever
differs in any way: `stronglens.sources.fits_general` reads that. Where both read a file, they read the same.

Source: FITS Standard 4.0, sections 4 (headers), 7.1 (images), 7.3 (binary tables).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stronglens.sources.image_choice import ID_KEYWORDS, Column, choose_id, choose_image
from stronglens.sources.rejected import Rejected

BLOCK, CARD = 2880, 80
_LONGEST_HEADERS = 100 * BLOCK

_END = b"END".ljust(CARD)
_KEYWORD = re.compile(rb"[A-Z0-9_-]+ *\Z")
_COMMENTS = frozenset({b"COMMENT ", b"HISTORY ", b"        "})
# Text, logical, number or nothing; then perhaps a comment.
_VALUE = re.compile(
    rb" *('([ -&(-~]|'')*'|[TF]|[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([ED][+-]?[0-9]+)?|) *(/[ -~]*)?\Z"
)
_INTEGER = re.compile(rb" *([+-]?[0-9]+) *(/.*)?\Z")
_TEXT = re.compile(rb" *'([^']*)' *(/.*)?\Z")
_TRUE = re.compile(rb" {19}T *(/.*)?\Z")
_FORMAT = re.compile(rb"([0-9]*)([LBIJKAEDCM])\Z")
_DIMENSIONS = re.compile(rb"\(([0-9]+(?:,[0-9]+)*)\)\Z")
# Keywords that change what the bytes mean or say what they must be, and ones that continue others. Not
# EXTNAME: in these layouts there is one image, which is the cutout whatever its name.
_BEYOND = re.compile(
    rb"BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|GROUPS|CONTINUE|HIERARCH|THEAP|TSCAL|TZERO|TNULL"
    rb"|Z(IMAGE|TABLE|CMPTYPE|BITPIX|NAXIS)"
)
_BYTES = {b"L": 1, b"B": 1, b"I": 2, b"J": 4, b"K": 8, b"A": 1, b"E": 4, b"D": 8, b"C": 8, b"M": 16}
_REAL = {b"E": ">f4", b"D": ">f8"}
_REAL_IMAGE = {-32: ">f4", -64: ">f8"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the pixels and the id lie in a file.

    Attributes
    ----------
    header : bytes
        The beginning of the file, up to the data: a file that begins so has this layout.
    n_bytes : int
        Size of the whole file, which ends with the data.
    dtype : dtype
        Of the pixels: big-endian float32 or float64.
    pixels_at : int
        Offset of the first pixel.
    id_at, id_end : int
        Offsets of the id; equal if the file holds none there.
    cards : dict of bytes to bytes
        Values by keyword of the image's HDU and, for what it does not state, of PRIMARY.
    header_id : str
        The id that the header states, for want of one in the data; "" if it states none.
    """

    header: bytes
    n_bytes: int
    dtype: np.dtype[np.floating]
    pixels_at: int
    id_at: int
    id_end: int
    cards: dict[bytes, bytes]
    header_id: str


def card_of(content: bytes, keyword: str) -> str | None:
    """The value of a keyword, as text, in the first header of a file that has it; None if none has.

    Looks at the cards at the beginning of a file, whichever HDU they are of; finds `HIERARCH` keywords too.
    """
    wanted = keyword.upper().removeprefix("HIERARCH ").encode("ascii", "replace")
    plain, long = wanted.ljust(8) + b"=", b"HIERARCH " + wanted
    for start in range(0, min(len(content), _LONGEST_HEADERS), CARD):
        card = content[start : start + CARD]
        if card.startswith(plain) or (card.startswith(long) and card[len(long) :].lstrip().startswith(b"=")):
            value = card.partition(b"=")[2]
            text = _TEXT.match(value)
            found = text[1] if text else value.partition(b"/")[0]
            return found.decode("ascii", "replace").strip()
    return None


def value_of(card: bytes) -> str | float:
    """The value of a card, from what follows its `=`: text, or a number; NaN if it is neither."""
    text = _TEXT.match(card)
    if text:
        return text[1].decode("ascii").rstrip()
    try:
        return float(card.partition(b"/")[0].replace(b"D", b"E"))
    except ValueError:
        return math.nan


class _Unusual(Exception):  # noqa: N818
    """Something that this module does not judge."""


def find_layout(content: bytes, size_px: int) -> Layout | None:
    """Find the layout of an ordinary file.

    Parameters
    ----------
    content : bytes
        A whole file.
    size_px : int
        Side of its image in pixels.

    Returns
    -------
    Layout or None
        None for files that the general reader must judge, good ones or bad.
    """
    try:
        header, data_at = _read_header(content, 0)
        if next(iter(header)) != b"SIMPLE" or not _TRUE.match(header[b"SIMPLE"]):
            return None
        id_text, primary = _id_in(header), {}
        if _integer(header, b"NAXIS") == 0:
            primary = header
            header, data_at = _read_header(content, data_at)
            id_text = _id_in(header) or id_text
            if next(iter(header)) != b"XTENSION":
                return None
            if _text(header, b"XTENSION").rstrip() == b"BINTABLE":
                return _table_layout(content, header, data_at, id_text, size_px, primary | header)
            if _text(header, b"XTENSION").rstrip() != b"IMAGE":
                return None
        return _image_layout(content, header, data_at, id_text, size_px, primary | header)
    except (_Unusual, Rejected):
        return None


def _read_header(content: bytes, start: int) -> tuple[dict[bytes, bytes], int]:
    """Values by keyword, and where the data begin."""
    values: dict[bytes, bytes] = {}
    for at in range(start, len(content) - CARD + 1, CARD):
        card = content[at : at + CARD]
        if card == _END:
            data_at = at + BLOCK - (at - start) % BLOCK
            if content[at + CARD : data_at].strip(b" "):
                raise _Unusual
            return values, data_at
        keyword = card[:8]
        if keyword in _COMMENTS:
            continue
        name = keyword.rstrip()
        known = _KEYWORD.match(keyword) and card[8:10] == b"= " and _VALUE.match(card, 10)
        if not known or name in values or _BEYOND.match(name):
            raise _Unusual
        values[name] = card[10:]
    raise _Unusual


def _integer(header: Mapping[bytes, bytes], keyword: bytes) -> int:
    value = _INTEGER.match(header.get(keyword, b""))
    if value is None:
        raise _Unusual
    return int(value[1])


def _text(header: Mapping[bytes, bytes], keyword: bytes) -> bytes:
    value = _TEXT.match(header.get(keyword, b""))
    if value is None:
        raise _Unusual
    return value[1]


def _id_in(header: Mapping[bytes, bytes]) -> str:
    for keyword in ID_KEYWORDS:
        if keyword.encode() in header and (name := _text(header, keyword.encode()).decode("ascii").strip()):
            return name
    return ""


def _padded(end: int) -> int:
    return -(-end // BLOCK) * BLOCK


def _image_layout(
    content: bytes,
    header: Mapping[bytes, bytes],
    data_at: int,
    id_text: str,
    size_px: int,
    cards: dict[bytes, bytes],
) -> Layout:
    axes = [_integer(header, keyword) for keyword in (b"NAXIS", b"NAXIS1", b"NAXIS2")]
    dtype = _REAL_IMAGE.get(_integer(header, b"BITPIX"))
    groups = [_integer(header, name) for name in (b"PCOUNT", b"GCOUNT") if name in header]
    if axes != [2, size_px, size_px] or dtype is None or groups not in ([], [0, 1]):
        raise _Unusual
    n_bytes = _padded(data_at + size_px * size_px * np.dtype(dtype).itemsize)
    if len(content) != n_bytes:
        raise _Unusual
    return Layout(content[:data_at], n_bytes, np.dtype(dtype), data_at, 0, 0, cards, id_text)


def _table_layout(
    content: bytes,
    header: Mapping[bytes, bytes],
    data_at: int,
    id_text: str,
    size_px: int,
    cards: dict[bytes, bytes],
) -> Layout:
    expected = {b"BITPIX": 8, b"NAXIS": 2, b"NAXIS2": 1, b"PCOUNT": 0, b"GCOUNT": 1}
    if any(_integer(header, keyword) != value for keyword, value in expected.items()):
        raise _Unusual
    columns, codes, starts = [], [], [data_at]
    for number in range(1, _integer(header, b"TFIELDS") + 1):
        column, code, width = _column(header, b"%d" % number)
        columns.append(column)
        codes.append(code)
        starts.append(starts[-1] + width)
    n_bytes = _padded(starts[-1])
    if starts[-1] - data_at != _integer(header, b"NAXIS1") or len(content) != n_bytes:
        raise _Unusual
    chosen = choose_image(columns, size_px)
    if chosen is None or codes[chosen] not in _REAL or len({c.name.lower() for c in columns}) < len(columns):
        raise _Unusual
    id_at = id_end = 0
    id_column = choose_id([column.name for column in columns])
    if id_column is not None:
        if codes[id_column] != b"A":
            raise _Unusual
        id_at, id_end = starts[id_column : id_column + 2]
    dtype = np.dtype(_REAL[codes[chosen]])
    return Layout(content[:data_at], n_bytes, dtype, starts[chosen], id_at, id_end, cards, id_text)


def _column(header: Mapping[bytes, bytes], number: bytes) -> tuple[Column, bytes, int]:
    """A column, the letter of its format, and its bytes."""
    form = _FORMAT.match(_text(header, b"TFORM" + number).rstrip())
    if form is None:
        raise _Unusual
    repeat, code = int(form[1] or 1), form[2]
    shape: tuple[int, ...] = (repeat,)
    if b"TDIM" + number in header and code != b"A":
        dimensions = _DIMENSIONS.match(_text(header, b"TDIM" + number).rstrip())
        if dimensions is None:
            raise _Unusual
        shape = tuple(int(length) for length in reversed(dimensions[1].split(b",")))
        if math.prod(shape) != repeat:
            raise _Unusual
    name = _text(header, b"TTYPE" + number).decode("ascii").rstrip()
    # Integers are numbers too; whether they are the image is for the general reader to say.
    return Column(name, shape, code in b"BIJKED"), code, repeat * _BYTES[code]
