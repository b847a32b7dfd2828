"""Reading the image of one FITS file, from its content."""

# os.open and os.read are several times faster than pathlib, and there may be a million files.
# ruff: noqa: PTH114

import bz2
import gzip
import io
import lzma
import math
import os
import zlib
from collections.abc import Callable, Mapping
from stat import S_ISREG
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from stronglens.settings.reading import ReadSettings
from stronglens.sources.fits_general import read_general
from stronglens.sources.fits_layout import Layout, find_layout, value_of
from stronglens.sources.image_choice import clean_id
from stronglens.sources.protocol import Reading
from stronglens.sources.rejected import Rejected
from stronglens.sources.sky import centre, is_simple, pixel_scale

LARGEST_FILE = 64 * 2**20
"""Bytes beyond which no file is a cutout, also when unpacked: keeps one odd file from filling the memory."""

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x1f\x9d": "compress",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
}
"""Programs by the first bytes of what they write."""

_UNPACKERS: dict[str, Callable[[BinaryIO], gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]] = {
    "gzip": lambda packed: gzip.GzipFile(fileobj=packed),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}

_AS_THE_CHALLENGE = ReadSettings()
_FIRST_READ = 65_536  # holds an ordinary file; one call of the system for most files
_MOST_LAYOUTS = 256
_FAINTEST = 100  # magnitudes beyond this are none


class FitsReader:
    """Reads images from the contents of FITS files; remembers the layouts of files it has met.

    Parameters
    ----------
    size_px : int
        Side of every cutout in pixels.
    settings : ReadSettings
        Where in a file the image is; `axis_bands` is given if `band_axis` is.
    """

    def __init__(self, size_px: int, settings: ReadSettings = _AS_THE_CHALLENGE) -> None:
        self._size_px = size_px
        self._settings = settings
        self._is_ordinary = (
            settings.hdu is settings.band_axis is settings.mask_hdu is None
            and (settings.fit or "refuse") == "refuse"
        )
        self._layouts: dict[bytes, tuple[Layout, _Said]] = {}
        self._header_sizes: set[int] = set()
        self._last: tuple[Layout, _Said] | None = None

    def read(self, content: bytes, band: str = "") -> Reading:
        """Read the image in a file.

        Unless `hdu` says where it is, it is in an HDU named SCI or IMAGE, else in the only one that holds an
        image of the right size: PRIMARY, an image extension, or a table of one row, in a column
        named `image`, else `band_*`, else any of the right size.

        Parameters
        ----------
        content : bytes
            A whole file, unpacked.
        band : str
            Which of its bands, where it holds several.

        Raises
        ------
        Rejected
            There is no such image, or it has another shape.
        """
        known = self._layout_of(content) if self._is_ordinary else None
        if known is None:
            return self._read_unusual(content, band)
        layout, said = known
        shape = self._size_px, self._size_px
        raw = np.frombuffer(content, layout.dtype, math.prod(shape), layout.pixels_at)
        header_id = clean_id(content[layout.id_at : layout.id_end]) or layout.header_id
        return Reading(raw.reshape(shape), header_id, *said)

    def _read_unusual(self, content: bytes, band: str) -> Reading:
        settings = self._settings
        plane = 0
        if settings.band_axis is not None and settings.axis_bands is not None:
            plane = settings.axis_bands.index(band)
        image, header_id, header = read_general(content, self._size_px, settings, band, plane)
        return Reading(image, header_id, *self._said(header, *image.shape))

    def _said(self, header: Mapping[str, Any], height: int, width: int) -> "_Said":
        settings = self._settings
        if settings.coordinate_keywords is not None:
            ra, dec = (_number(header.get(keyword)) for keyword in settings.coordinate_keywords)
        else:
            ra, dec = centre(header, height, width)
        return _Said(ra, dec, *unit_of(header, settings), pixel_scale(header))

    def _layout_of(self, content: bytes) -> "tuple[Layout, _Said] | None":
        known = self._last
        # Most files are like the one before: to compare takes a tenth of the time that looking it up does.
        if known is None or not content.startswith(known[0].header):
            known = self._last = self._known_or_found(content)
        return known if known is not None and known[0].n_bytes == len(content) else None

    def _known_or_found(self, content: bytes) -> "tuple[Layout, _Said] | None":
        for size in self._header_sizes:
            known = self._layouts.get(content[:size])
            if known is not None:
                return known
        layout = find_layout(content, self._size_px)
        if layout is None:
            return None
        header = {key.decode("ascii"): value_of(card) for key, card in layout.cards.items()}
        if not is_simple(header):
            return None
        if len(self._layouts) == _MOST_LAYOUTS:  # headers that differ in every file: keep none
            self._layouts.clear()
        known = self._layouts[layout.header] = layout, self._said(header, self._size_px, self._size_px)
        self._header_sizes.add(len(layout.header))
        return known


def unit_of(header: Mapping[str, Any], settings: ReadSettings) -> tuple[str, float]:
    """Unit of an image's pixels, and the AB magnitude of one; "" and NaN where nothing is known of them.

    Raises
    ------
    Rejected
        The keyword that should state the magnitude states something else, such as HSC's FLUXMAG0, a flux.
    """
    zero_point = settings.zero_point
    if isinstance(zero_point, str):
        keyword, zero_point = zero_point, _number(header.get(zero_point))
        if abs(zero_point) > _FAINTEST:
            meant = f"zero_point: {2.5 * math.log10(zero_point):.6g}" if zero_point > 0 else "it as a number"
            raise Rejected(
                "zero point that is no magnitude",
                f"{keyword} is {zero_point:g}; if that is the flux of magnitude 0, write {meant}",
            )
    unit = settings.unit or str(header.get("BUNIT", "")).strip()
    return unit, math.nan if zero_point is None else float(zero_point)


class _Said(NamedTuple):
    """What a header says of an image; see `stronglens.sources.protocol.Reading`."""

    ra: float
    dec: float
    unit: str
    zero_point: float
    scale_arcsec: float


def _number(value: Any) -> float:
    """A number of a header, also one written as text; NaN if it is none."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


def read_bytes(path: str) -> bytes:
    """The content of a file, unpacked if it is compressed as a whole, with gzip, bzip2 or xz.

    Raises
    ------
    Rejected
        It cannot be read, is empty or too large.
    """
    try:
        # Not to wait for a writer, should the file be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            content = os.read(descriptor, _FIRST_READ)
            if len(content) == _FIRST_READ:
                content = _read_on(descriptor, content)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        kind = "broken link" if os.path.islink(path) else "removed while packing"
        raise Rejected(kind) from error
    except OSError as error:
        raise Rejected("unreadable", error.strerror or type(error).__name__) from error
    if not content:
        raise Rejected("empty file")
    return unpacked(content)


def _read_on(descriptor: int, content: bytes) -> bytes:
    status = os.fstat(descriptor)
    if not S_ISREG(status.st_mode):
        raise Rejected("unreadable", "no regular file")
    n_bytes = status.st_size
    if n_bytes > LARGEST_FILE:
        raise Rejected("too large", f"{n_bytes} bytes")
    chunks = [content]
    while chunk := os.read(descriptor, n_bytes + 1):
        chunks.append(chunk)
    return b"".join(chunks)


def unpacked(content: bytes) -> bytes:
    """The content of a file that is compressed as a whole; that of any other as it is.

    Raises
    ------
    Rejected
        It is broken, or compressed in a way that is not known here, or too large.
    """
    if content.startswith(b"SIMPLE"):
        return content
    program = next((name for start, name in _COMPRESSED.items() if content.startswith(start)), None)
    if program is None:
        return content
    if program not in _UNPACKERS:
        raise Rejected("unreadable", f"compressed with {program}: unpack it, or compress it with gzip")
    try:
        with _UNPACKERS[program](io.BytesIO(content)) as packed:
            unpacked = packed.read(LARGEST_FILE + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise Rejected("unreadable", f"{program}: {error}") from error
    if len(unpacked) > LARGEST_FILE:
        raise Rejected("too large", f"more than {LARGEST_FILE} bytes unpacked")
    return unpacked
