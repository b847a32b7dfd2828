"""Images of coadd tiles: what their headers say, and boxes of their pixels, without reading the rest.

Uncompressed images are mapped into memory; of compressed ones (`.fz`) stripes of rows are unpacked and kept
while cutouts come from them. What stored numbers mean is judged as for any other FITS file
(`stronglens.sources.fits_general`).
"""

import math
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stronglens.running.errors import InputError
from stronglens.settings.reading import Hdu, ReadSettings
from stronglens.sources.fits_general import (
    marked,
    meaning_of,
    physical,
    refuse_marked_objects,
    whole_numbers,
)
from stronglens.sources.fits_image import unit_of
from stronglens.sources.image_choice import choose_hdu
from stronglens.sources.rejected import Rejected

_STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}

STRIPE_PX = 64
"""Rows of a compressed image that are unpacked at a time, at least: twice a cutout of the usual size."""


class Box(NamedTuple):
    """Pixels cut out of an image.

    Attributes
    ----------
    pixels : ndarray of floats, shape (size_px, size_px)
        Axes (y, x); may be part of the file. Scaled as the header says; NaN beyond the edge, where undefined,
        and where masked.
    n_outside : int
        Pixels beyond the edge of the image.
    """

    pixels: npt.NDArray[np.floating]
    n_outside: int


@dataclass(frozen=True)
class _Plane:
    """Where an image's numbers are stored, and what they mean.

    Attributes
    ----------
    hdu : object of astropy
        Kept for compressed images.
    shape : (int, int)
        Axes (y, x).
    stored : ndarray or None
        A memory map of shape `shape`; None for a compressed image.
    blanks, scale, zero
        As `stronglens.sources.fits_general.physical` takes them.
    """

    hdu: Any
    shape: tuple[int, int]
    stored: npt.NDArray[Any] | None
    blanks: list[Any]
    scale: float
    zero: float


class TileImage:
    """An open image of a tile.

    Parameters
    ----------
    path : str
        Its FITS file.
    settings : ReadSettings
        Which HDU holds it, and which a mask of which bits.
    band : str
        Its band.

    Raises
    ------
    Rejected
        There is no such image, or several of which none is named, or the file is broken, or compressed as a
        whole.
    """

    def __init__(self, path: str, settings: ReadSettings, band: str) -> None:
        self._settings = settings
        with _judging(path):
            hdus = _open(path)
            close = weakref.finalize(self, hdus.close)
            try:
                found = _find_image(hdus, _of_band(settings.hdu, band))
                stated = dict(hdus[0].header) | dict(found.header)
                self._image = _Stripes(_plane(found, path))
                self._mask = _open_mask(hdus, settings, band, path, self._image.plane)
            except BaseException:
                close()
                raise
        self.header = found.header
        self.unit, self.zero_point = unit_of(stated, settings)
        self.shape = self._image.plane.shape
        plane = self._image.plane
        means_itself = plane.stored is not None and plane.stored.dtype.kind == "f"
        means_itself &= self._mask is None and (plane.scale, plane.zero) == (1, 0)
        self.plain = plane.stored if means_itself else None
        """The pixels of an image that is stored as it is, as most are: shape `shape`, mapped. Else None."""
        self.close = close
        """Closes the file of a compressed image; that of any other is closed, its pixels being mapped."""
        if all(stripes is None or stripes.plane.stored is not None for stripes in (self._image, self._mask)):
            close()

    def cut(self, y0: int, x0: int, size_px: int) -> Box:
        """Cut out a square.

        Parameters
        ----------
        y0, x0 : int
            Its first row and column, counted from 0; may be negative.
        size_px : int
            Its side.

        Returns
        -------
        Box

        Raises
        ------
        Rejected
            The compressed data are broken.
        """
        height, width = self.shape
        top, bottom = max(y0, 0), min(y0 + size_px, height)
        left, right = max(x0, 0), min(x0 + size_px, width)
        if (bottom - top, right - left) == (size_px, size_px):
            return Box(self._values(top, bottom, left, right), 0)
        pixels = np.full((size_px, size_px), np.nan)
        n_inside = max(0, bottom - top) * max(0, right - left)
        if n_inside:
            inside = self._values(top, bottom, left, right)
            pixels[top - y0 : bottom - y0, left - x0 : right - x0] = inside
        return Box(pixels, size_px * size_px - n_inside)

    def _values(self, *box: int) -> npt.NDArray[np.float64]:
        plane = self._image.plane
        values = physical(self._image.box(*box), plane.blanks, plane.scale, plane.zero)
        if self._mask is not None:
            values[marked(self._mask.whole_numbers(*box), values.shape, self._settings)] = np.nan
        return values


class _Stripes:
    """The numbers of an image, as they are stored."""

    def __init__(self, plane: _Plane) -> None:
        self.plane = plane
        self._unpacked: dict[int, npt.NDArray[Any]] = {}
        if plane.stored is None:
            tile_px = int(plane.hdu.tile_shape[-2])
            self._height = tile_px * math.ceil(STRIPE_PX / tile_px)

    def box(self, top: int, bottom: int, left: int, right: int) -> npt.NDArray[Any]:
        """Rows `top` to before `bottom`, columns `left` to before `right`; a view where possible."""
        if self.plane.stored is not None:
            return self.plane.stored[top:bottom, left:right]
        first, last = top // self._height, (bottom - 1) // self._height
        # Cutouts come in ascending order of their rows, roughly: what is well before is not needed again.
        self._unpacked = {n: rows for n, rows in self._unpacked.items() if first - 1 <= n <= last + 1}
        parts = []
        for number in range(first, last + 1):
            if number not in self._unpacked:
                self._unpacked[number] = self._unpack(number)
            start = number * self._height
            parts.append(self._unpacked[number][max(top - start, 0) : bottom - start, left:right])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def whole_numbers(self, *box: int) -> npt.NDArray[np.int64]:
        """The values of a box, those of unsigned integers too, which are stored less an offset."""
        return whole_numbers(self.box(*box), self.plane.zero)

    def _unpack(self, number: int) -> npt.NDArray[Any]:
        start = number * self._height
        end = min(start + self._height, self.plane.shape[0])
        section = self.plane.hdu.section
        with _judging("compressed data"):
            rows = section[start:end] if section.ndim == 2 else section[0, start:end]
        return np.asarray(rows).reshape(end - start, self.plane.shape[1])


@contextmanager
def _judging(what: str) -> Iterator[None]:
    """Reject what breaks astropy, and let it be silent about what it mends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (Rejected, InputError):
            raise
        except Exception as error:  # a broken file can break a parser in any way
            raise Rejected(
                "unreadable", f"{what}: {type(error).__name__}: {error}".splitlines()[0][:200]
            ) from error


def _open(path: str) -> Any:
    from astropy.io import fits  # noqa: PLC0415 - takes long to load, and few data sets are tiles

    with Path(path).open("rb") as file:
        start = file.read(9)
    if not start.startswith(b"SIMPLE"):
        what = "gzip" if start.startswith(b"\x1f\x8b") else repr(start)
        raise Rejected(
            "no FITS file",
            f"begins with {what}; unpack a file that is compressed as a whole, or use fpack",
        )
    return fits.open(path, memmap=True, do_not_scale_image_data=True)


def _open_mask(hdus: Any, settings: ReadSettings, band: str, path: str, image: _Plane) -> "_Stripes | None":
    wanted = _of_band(settings.mask_hdu, band)
    if wanted is None:
        return None
    hdu = _named(hdus, wanted)
    refuse_marked_objects(hdu.header, settings)
    mask = _Stripes(_plane(hdu, path))
    if mask.plane.shape != image.shape:
        raise Rejected("mask of another shape", f"expected {image.shape}, found {mask.plane.shape}")
    if hdu.header["BITPIX"] < 0 or mask.plane.scale != 1:
        raise Rejected("mask without bits", "expected integers without a scale")
    return mask


def _of_band(hdu: Hdu | dict[str, Hdu] | None, band: str) -> Hdu | None:
    return hdu.get(band) if isinstance(hdu, dict) else hdu


def _is_image(hdu: Any) -> bool:
    shape = _shape(hdu)
    return bool(hdu.is_image) and len(shape) >= 2 and all(length == 1 for length in shape[:-2])


def _shape(hdu: Any) -> tuple[int, ...]:
    return tuple(hdu.header[f"NAXIS{axis}"] for axis in range(hdu.header["NAXIS"], 0, -1))


def _title(number: int, hdu: Any) -> str:
    return f"HDU {number} {str(hdu.header.get('EXTNAME', '')).strip()}".rstrip()


def _find_image(hdus: Any, wanted: int | str | None) -> Any:
    if wanted is not None:
        return _named(hdus, wanted)
    images = [(_title(number, hdu), hdu) for number, hdu in enumerate(hdus) if _is_image(hdu)]
    names = [str(hdu.header.get("EXTNAME", "")) for _, hdu in images]
    chosen = choose_hdu(names, [title for title, _ in images], [True] * len(images))
    if chosen is None:
        raise Rejected("no image")
    return images[chosen][1]


def _named(hdus: Any, wanted: int | str) -> Any:
    """The HDU of a number or EXTNAME."""
    found = [
        hdu
        for number, hdu in enumerate(hdus)
        if wanted == number or str(wanted).lower() == str(hdu.header.get("EXTNAME", "")).strip().lower()
    ]
    if len(found) == 1 and _is_image(found[0]):
        return found[0]
    titles = ", ".join(_title(number, hdu) for number, hdu in enumerate(hdus))
    raise Rejected("no image", f"expected one in HDU {wanted}, found {titles}")


def _plane(hdu: Any, path: str) -> _Plane:
    header, shape = hdu.header, _shape(hdu)
    meaning = meaning_of(hdu)
    if hasattr(hdu, "compression_type"):
        return _Plane(hdu, (shape[-2], shape[-1]), None, *meaning)
    dtype = np.dtype(_STORED[header["BITPIX"]])
    offset = hdu.fileinfo()["datLoc"]
    n_bytes, end = Path(path).stat().st_size, offset + math.prod(shape) * dtype.itemsize
    if end > n_bytes:
        raise Rejected("truncated", f"{n_bytes} of {end} bytes")
    stored = np.memmap(path, dtype, "r", offset, (shape[-2], shape[-1]))
    return _Plane(hdu, (shape[-2], shape[-1]), stored.view(np.ndarray), *meaning)
