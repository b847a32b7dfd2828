"""Files in the format of the challenge: labelled cutouts in tables, blind ones in PRIMARY, parameters."""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from stronglens.simulation.grid import Floats

BLOCK_BYTES = 2880
"""FITS files are made of blocks of this size."""

_ID_MARK = "\x01"


def labelled_bytes(image: Floats, band: str, header_id: str, id_column: str, id_width: int) -> bytes:
    """A labelled file: an empty PRIMARY, then a table of one row with the object's id and its image.

    Parameters
    ----------
    image : ndarray of float64, shape (size_px, size_px)
        Axes (y, x), in counts.
    band : str
        Names the column of the image, `band_{band}`.
    header_id : str
        The object's id, of `id_width` characters at most.
    id_column : str
        `Lens ID` or `Object ID`.
    id_width : int
        Width of the column of ids.
    """
    template, id_at = _labelled_template(image.shape[0], band, id_column, id_width)
    content = bytearray(template)
    content[id_at : id_at + id_width] = header_id.encode("ascii").ljust(id_width, b"\0")
    pixels = image.astype(">f8").tobytes()
    content[id_at + id_width : id_at + id_width + len(pixels)] = pixels
    return bytes(content)


def blind_bytes(image: Floats) -> bytes:
    """A file of the test set: the image, shape (size_px, size_px), in PRIMARY."""
    content = bytearray(_blind_template(image.shape[0]))
    pixels = image.astype(">f8").tobytes()
    content[BLOCK_BYTES : BLOCK_BYTES + len(pixels)] = pixels
    return bytes(content)


def write_parameters(path: Path, rows: Sequence[Mapping[str, str | float]]) -> None:
    """Write `parameters.fits`: an empty PRIMARY, then a table with a row per object."""
    Table(list(rows)).write(path, format="fits")


# astropy takes a millisecond to write a file; it writes one of each kind, and the rest differ in bytes only.
@cache
def _labelled_template(size_px: int, band: str, id_column: str, id_width: int) -> tuple[bytes, int]:
    image = np.ones((1, size_px, size_px))
    columns = [
        fits.Column(id_column, f"{id_width}A", array=np.array([_ID_MARK * id_width])),
        fits.Column(f"band_{band}", f"{size_px**2}D", dim=f"({size_px},{size_px})", array=image),
    ]
    content = _bytes_of(fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns))
    return content, content.index((_ID_MARK * id_width).encode("ascii"))


@cache
def _blind_template(size_px: int) -> bytes:
    return _bytes_of(fits.PrimaryHDU(np.ones((size_px, size_px))))


def _bytes_of(*hdus: fits.PrimaryHDU | fits.BinTableHDU) -> bytes:
    content = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(content)
    return content.getvalue()
