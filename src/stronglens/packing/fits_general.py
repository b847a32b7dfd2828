"""Reading an image from any FITS file, with astropy: slow, and at home with all that the standard allows."""

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from stronglens.packing.fits_layout import BLOCK
from stronglens.packing.image_choice import (
    ID_KEYWORDS,
    Column,
    choose_id,
    choose_image,
    clean_id,
    id_text,
    without_unit_axes,
    wrong_shape,
)
from stronglens.packing.rejected import Rejected


def read_general(content: bytes, size_px: int) -> tuple[npt.NDArray[np.float64], str]:
    """Read the image of a FITS file: the first in it, in an image or in a table of one row.

    Parameters
    ----------
    content : bytes
        A whole file.
    size_px : int
        Side of its image in pixels.

    Returns
    -------
    pixels : ndarray of float64, shape (size_px * size_px,)
        Rows of the image, one after the other; scaled as the header says. May hold NaN and infinities.
    header_id : str
        The object's id in the file, or "".

    Raises
    ------
    Rejected
        The file holds no such image, or is broken.
    """
    from astropy.io import fits  # noqa: PLC0415 - only the unusual file needs it, and it takes long to load

    if not content.startswith(b"SIMPLE"):
        raise Rejected("not FITS", f"begins with {content[:16]!r}")
    with warnings.catch_warnings():
        # What astropy mends with a warning is checked here, or is harmless.
        warnings.simplefilter("ignore")
        try:
            with fits.open(io.BytesIO(content), memmap=False) as hdus:
                return _first_image(hdus, content, size_px)
        except Rejected:
            raise
        except Exception as error:  # a broken file can break a parser in any way
            raise Rejected("unreadable", f"{type(error).__name__}: {error}".splitlines()[0][:200]) from error


def _first_image(hdus: Any, content: bytes, size_px: int) -> tuple[npt.NDArray[np.float64], str]:
    for hdu in hdus:
        if hdu.is_image:
            if hdu.header["NAXIS"] == 0:
                continue
            _refuse_truncated(hdu, content)
            pixels = np.asarray(hdu.data)
            if without_unit_axes(pixels.shape) != (size_px, size_px):
                raise wrong_shape(pixels.shape, size_px)
            found = pixels, ""
        elif hdu.header.get("XTENSION", "").strip() == "BINTABLE":
            _refuse_truncated(hdu, content)
            image = _in_table(hdu, content, size_px)
            if image is None:
                continue
            found = image
        else:
            continue
        _refuse_rest(hdu, content)
        pixels, header_id = found
        if pixels.dtype.kind not in "iuf":
            raise Rejected("no image", f"values of type {pixels.dtype}")
        header_id = header_id or _id_in(hdu.header) or _id_in(hdus[0].header)
        return pixels.astype(np.float64).ravel(), header_id
    if len(content) % BLOCK:
        raise Rejected("truncated", f"{len(content)} bytes, not whole blocks of {BLOCK}")
    raise Rejected("no image")


def _refuse_truncated(hdu: Any, content: bytes) -> None:
    place = hdu.fileinfo()
    end = place["datLoc"] + place["datSpan"]
    if end > len(content):
        raise Rejected("truncated", f"{len(content)} of {end} bytes")


def _refuse_rest(hdu: Any, content: bytes) -> None:
    """What follows an image are whole blocks of another extension; anything else means a wrong header."""
    place = hdu.fileinfo()
    rest = content[place["datLoc"] + place["datSpan"] :]
    if len(rest) % BLOCK or (rest.strip(b"\0 ") and not rest.startswith(b"XTENSION")):
        raise Rejected("inconsistent header", f"{len(rest)} bytes more than it states")


def _in_table(hdu: Any, content: bytes, size_px: int) -> tuple[npt.NDArray[Any], str] | None:
    columns = [
        Column(
            column.name, hdu.data.dtype[n].shape or (1,), column.format.strip("0123456789")[:1] in "BIJKED"
        )
        for n, column in enumerate(hdu.columns)
    ]
    chosen = choose_image(columns, size_px)
    if chosen is None:
        return None
    width = sum(hdu.columns.dtype[n].itemsize for n in range(len(columns)))
    if width != hdu.header["NAXIS1"]:
        raise Rejected("inconsistent header", f"columns of {width} bytes in rows of {hdu.header['NAXIS1']}")
    if len(hdu.data) != 1:
        raise Rejected("several images", f"{len(hdu.data)} rows")
    pixels = np.asarray(hdu.data.field(chosen)[0])
    return pixels, _id_in_table(hdu, content)


def _id_in_table(hdu: Any, content: bytes) -> str:
    number = choose_id([column.name for column in hdu.columns])
    if number is None:
        return ""
    if "A" not in hdu.columns[number].format:
        null = hdu.columns[number].null
        if null is not None and (hdu.data.view(np.ndarray)[hdu.columns[number].name] == null).any():
            return ""
        return id_text(hdu.data.field(number)[0])
    # The raw bytes: astropy refuses ids that are not ASCII.
    _, offset = hdu.data.dtype.fields[hdu.data.dtype.names[number]][:2]
    start = hdu.fileinfo()["datLoc"] + offset
    return clean_id(content[start : start + hdu.data.dtype[number].itemsize])


def _id_in(header: Any) -> str:
    found = (id_text(header[keyword]) for keyword in ID_KEYWORDS if keyword in header)
    return next((name for name in found if name), "")
