"""Files of every form that the standard allows, with one image in them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from fits_files import CutoutReader, hdus_bytes, primary_bytes, table_bytes
from stronglens.sources.rejected import Rejected

SIZE = 41
IMAGE = np.random.default_rng(0).normal(0, 3, (SIZE, SIZE))
INTEGERS = np.random.default_rng(1).integers(-900, 900, (SIZE, SIZE)).astype(np.int16)


def read(content: bytes, folder: Path, size_px: int = SIZE) -> tuple[npt.NDArray[np.float32], str]:
    """Image and id of a file, read as packing does."""
    path = folder / "x.fits"
    path.write_bytes(content)
    return CutoutReader(size_px).read(str(path))[:2]


def reason(content: bytes, folder: Path) -> str:
    """Why a file gives no cutout."""
    with pytest.raises(Rejected) as caught:
        read(content, folder)
    return str(caught.value)


def table(*columns: fits.Column, **header: object) -> bytes:
    """A file with a table of these columns."""
    hdu = fits.BinTableHDU.from_columns(list(columns))
    hdu.header.update(header)
    return hdus_bytes(fits.PrimaryHDU(), hdu)


def image_column(name: str, form: str = "1681D", dim: str | None = "(41,41)", n_rows: int = 1) -> fits.Column:
    """A column with the image."""
    array = np.stack([IMAGE] * n_rows) if dim else np.stack([IMAGE.ravel()] * n_rows)
    return fits.Column(name, form, dim=dim, array=array)


def other_column(name: str = "other") -> fits.Column:
    """A column with something else."""
    return fits.Column(name, "E", array=[1.0])


ORDINARY = {
    "labelled": table_bytes(IMAGE, "GG-LENS_-0.2455_0.0251"),
    "no id": table_bytes(IMAGE, "", id_column="other"),
    "primary": primary_bytes(IMAGE),
    "primary float32": hdus_bytes(fits.PrimaryHDU(IMAGE.astype(np.float32))),
    "extension": hdus_bytes(fits.PrimaryHDU(), fits.ImageHDU(IMAGE)),
    "column image": table(other_column(), image_column("IMAGE"), image_column("band_g")),
    "column of any name": table(other_column(), image_column("flux")),
    "flat column": table(image_column("band_r", dim=None)),
    "float32 column": table(image_column("image", "1681E")),
}


def scaled() -> bytes:
    """A file whose integers are scaled."""
    hdu = fits.PrimaryHDU(INTEGERS.copy())
    hdu.scale("int16", bscale=0.5, bzero=100)
    return hdus_bytes(hdu)


def scaled_column() -> bytes:
    """The same in a table."""
    table = fits.BinTableHDU.from_columns(
        [fits.Column("band_g", "1681I", dim="(41,41)", array=INTEGERS[None])]
    )
    table.header.update({"TSCAL1": 2.0, "TZERO1": 1.0})
    return hdus_bytes(fits.PrimaryHDU(), table)


OTHER: dict[str, tuple[Callable[[], bytes], npt.NDArray[np.floating | np.integer]]] = {
    "integers": (lambda: hdus_bytes(fits.PrimaryHDU(INTEGERS)), INTEGERS),
    "unsigned": (
        lambda: hdus_bytes(fits.PrimaryHDU((INTEGERS + 900).astype(np.uint16))),
        INTEGERS.astype(np.int64) + 900,
    ),
    "scaled integers": (scaled, INTEGERS.astype(np.float64)),
    "scaled column": (scaled_column, 2.0 * INTEGERS + 1),
    "integer column": (
        lambda: table(fits.Column("image", "1681J", dim="(41,41)", array=INTEGERS[None].astype(np.int32))),
        INTEGERS,
    ),
    "compressed image": (
        lambda: hdus_bytes(fits.PrimaryHDU(), fits.CompImageHDU(INTEGERS)),
        INTEGERS,
    ),
    "a third axis": (lambda: hdus_bytes(fits.PrimaryHDU(IMAGE[None])), IMAGE),
    "extensions that follow": (
        lambda: hdus_bytes(fits.PrimaryHDU(IMAGE), fits.ImageHDU(INTEGERS[:9, :9]), fits.BinTableHDU()),
        IMAGE,
    ),
    "extensions before": (
        lambda: hdus_bytes(
            fits.PrimaryHDU(),
            fits.BinTableHDU.from_columns([other_column()]),
            fits.BinTableHDU.from_columns([image_column("band_g")]),
        ),
        IMAGE,
    ),
    "gzip": (lambda: gzip.compress(ORDINARY["labelled"]), IMAGE),
    "a long file": (
        lambda: hdus_bytes(fits.PrimaryHDU(IMAGE), fits.ImageHDU(np.zeros((300, 300)))),
        IMAGE,
    ),
    "little-endian array": (lambda: hdus_bytes(fits.PrimaryHDU(IMAGE.astype("<f4"))), IMAGE),
}
