"""Reading one cutout from its file."""

# os.open and os.read are several times faster than pathlib, and there may be a million files.
# ruff: noqa: PTH114

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable
from stat import S_ISREG
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from stronglens.sources.fits_general import read_general
from stronglens.sources.fits_layout import Layout, find_layout
from stronglens.sources.image_choice import clean_id
from stronglens.sources.rejected import Rejected

LARGEST_FILE = 64 * 2**20
"""Bytes beyond which no file is a cutout, also when unpacked: keeps one odd file from filling the memory."""

LARGEST_VALUE = 1e18
"""Beyond which a pixel is no measurement in any unit: floats read as integers or in the wrong byte order."""

NonFinite = Literal["reject", "fill"]

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

_FIRST_READ = 65_536  # holds an ordinary file; one call of the system for most files
_MOST_LAYOUTS = 256


class Cutout(NamedTuple):
    """A cutout.

    Attributes
    ----------
    image : ndarray of float32, shape (size_px, size_px)
        Axes (y, x), in counts; finite, and not the same everywhere.
    header_id : str
        The object's id in the file, or "".
    n_filled : int
        Pixels of the image that were not finite in the file.
    """

    image: npt.NDArray[np.float32]
    header_id: str
    n_filled: int


class CutoutReader:
    """Reads cutouts; remembers the layouts of files it has met.

    Parameters
    ----------
    size_px : int
        Side of every cutout in pixels.
    non_finite : "reject" or "fill"
        What becomes of a cutout with pixels that are not finite; see
        `stronglens.settings.data.CutoutSettings`.
    """

    def __init__(self, size_px: int, non_finite: NonFinite = "reject") -> None:
        self._size_px = size_px
        self._non_finite = non_finite
        self._layouts: dict[bytes, Layout] = {}
        self._header_sizes: set[int] = set()
        self._last: Layout | None = None

    def read(self, path: str) -> Cutout:
        """Read the cutout in a file.

        The image is in an HDU named SCI or IMAGE, else in the only one that holds an image of the right size:
        PRIMARY, an image extension, or a table of one row, in a column named `image`, else `band_*`, else any
        of the right size. The file may be compressed as a whole, with gzip, bzip2 or xz.

        Raises
        ------
        Rejected
            There is no such image, or it has another shape, or pixels that are not finite (as many as half of
            them, where they are filled) or beyond `LARGEST_VALUE`, or the same value everywhere: such an
            image holds no light, and its object is better judged without it.
        """
        content = _read_bytes(path)
        layout = self._layout_of(content)
        if layout is None:
            pixels, header_id = read_general(content, self._size_px)
        else:
            count = self._size_px * self._size_px
            raw = np.frombuffer(content, layout.dtype, count, layout.pixels_at)
            pixels = raw.astype(np.float64)
            header_id = clean_id(content[layout.id_at : layout.id_end]) or layout.header_id
        n_filled = 0
        if self._non_finite == "fill":
            n_filled = _fill(pixels)
        return Cutout(_checked(pixels).reshape(self._size_px, self._size_px), header_id, n_filled)

    def _layout_of(self, content: bytes) -> Layout | None:
        layout = self._last
        # Most files are like the one before: to compare takes a tenth of the time that looking it up does.
        if layout is None or not content.startswith(layout.header):
            layout = self._last = self._known_or_found(content)
        return layout if layout is not None and layout.n_bytes == len(content) else None

    def _known_or_found(self, content: bytes) -> Layout | None:
        for size in self._header_sizes:
            layout = self._layouts.get(content[:size])
            if layout is not None:
                return layout
        layout = find_layout(content, self._size_px)
        if layout is not None:
            if len(self._layouts) == _MOST_LAYOUTS:  # headers that differ in every file: keep none
                self._layouts.clear()
            self._layouts[layout.header] = layout
            self._header_sizes.add(len(layout.header))
        return layout


def _fill(pixels: npt.NDArray[np.float64]) -> int:
    """Give pixels that are not finite the median of the others, if these are more than half; count them."""
    finite = np.isfinite(pixels)
    n_bad = int(np.count_nonzero(~finite))
    if not n_bad or 2 * n_bad >= len(pixels):
        return 0
    pixels[~finite] = np.median(pixels[finite])
    return n_bad


def _checked(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    low, high = pixels.min(), pixels.max()
    if low >= -LARGEST_VALUE and high <= LARGEST_VALUE:  # false for NaN
        if np.float32(low) == np.float32(high):
            raise Rejected("constant image", f"{low:g} everywhere")
        return pixels.astype(np.float32)
    n_bad = int(np.count_nonzero(~np.isfinite(pixels)))
    if n_bad:
        raise Rejected("non-finite pixels", str(n_bad))
    raise Rejected("absurd values", f"from {low:g} to {high:g}")


def _read_bytes(path: str) -> bytes:
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
    return content if content.startswith(b"SIMPLE") else _unpacked(content)


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


def _unpacked(content: bytes) -> bytes:
    """The content of a file that is compressed as a whole; that of any other as it is."""
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
