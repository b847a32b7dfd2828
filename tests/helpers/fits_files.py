"""Tiny data sets in the challenge's format, with the blemishes of real downloads. Written with astropy."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import Table

from stronglens.sources.checked import NonFinite, checked
from stronglens.sources.fits_image import FitsReader, read_bytes

BANDS = ("g", "r", "i", "z", "y")
PREFIXES = {
    "slsim_lenses": "D1_L",
    "slsim_nonlenses": "D1_N",
    "hsc_lenses": "D2_L",
    "hsc_nonlenses": "D2_N",
}
"""The four buckets, and how the names of their files begin."""

Image = npt.NDArray[np.floating]


class CutoutReader:
    """Reads cutouts of files as packing does: bytes, image, checks."""

    def __init__(self, size_px: int, non_finite: NonFinite = "reject") -> None:
        self._fits = FitsReader(size_px)
        self._checks = size_px, non_finite

    def read(self, path: str | Path) -> tuple[npt.NDArray[np.float32], str, int]:
        """Image, id in the file, and number of filled pixels."""
        reading = self._fits.read(read_bytes(str(path)))
        cutout = checked(reading, *self._checks)
        return cutout.image, reading.header_id, cutout.n_filled


def galaxy(
    generator: np.random.Generator, *, lens: bool, size_px: int = 41, bands: Sequence[str] = BANDS
) -> npt.NDArray[np.float64]:
    """Draw an object: a round galaxy, with a blue arc beside it if it is a lens.

    Returns
    -------
    ndarray of float64, shape (n_bands, size_px, size_px)
        Axes (band, y, x), in counts, with noise of standard deviation 1.
    """
    y, x = np.mgrid[:size_px, :size_px] - (size_px - 1) / 2
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    core = generator.uniform(20, 40) * np.exp(-((radius / generator.uniform(2, 3)) ** 2))
    facing = np.cos(angle - generator.uniform(-np.pi, np.pi))
    arc = 15 * np.exp(-((radius - size_px / 6) ** 2)) * np.clip(facing, 0, None)
    colour = np.linspace(1.0, 0.5, len(bands))[:, None, None]
    noise = generator.normal(size=(len(bands), size_px, size_px))
    image: npt.NDArray[np.float64] = noise + (2 - colour) * core + lens * colour * arc
    return image


def table_bytes(
    image: Image, header_id: str = "", *, column: str = "band_g", id_column: str = "Object ID"
) -> bytes:
    """A labelled file: an empty PRIMARY, then a table of one row with the id and the image."""
    width = max(len(header_id), 1)
    template, id_at, image_at = _table_template(image.shape, width, column, id_column)
    content = bytearray(template)
    content[id_at : id_at + width] = header_id.ljust(width).encode()
    pixels = image.astype(">f8").tobytes()
    content[image_at : image_at + len(pixels)] = pixels
    return bytes(content)


def primary_bytes(image: Image) -> bytes:
    """A file of the test set: the image in PRIMARY."""
    content = bytearray(_primary_template(image.shape))
    pixels = image.astype(">f8").tobytes()
    content[2880 : 2880 + len(pixels)] = pixels
    return bytes(content)


@cache
def _table_template(
    shape: tuple[int, ...], width: int, column: str, id_column: str
) -> tuple[bytes, int, int]:
    mark = 12345.0
    n_pixels = int(np.prod(shape))
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(id_column, f"{width}A", array=["~" * width]),
            fits.Column(
                column,
                f"{n_pixels}D",
                dim=str(tuple(reversed(shape))).replace(" ", ""),
                array=np.full((1, *shape), mark),
            ),
        ]
    )
    content = hdus_bytes(fits.PrimaryHDU(), table)
    return content, content.index(b"~" * width), content.index(np.array(mark, ">f8").tobytes())


@cache
def _primary_template(shape: tuple[int, ...]) -> bytes:
    return hdus_bytes(fits.PrimaryHDU(np.ones(shape)))


def hdus_bytes(*hdus: Any) -> bytes:
    """The bytes of a file made of these HDUs."""
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer)
    return buffer.getvalue()


def write_labelled(
    folder: Path,
    n_objects: int = 6,
    *,
    size_px: int = 41,
    bands: Sequence[str] = BANDS,
    seed: int = 0,
    parameters: bool = True,
) -> dict[str, str]:
    """Write the four labelled buckets as they come out of the archives: `BUCKET/BUCKET/*.fits`.

    Returns
    -------
    dict of str to str
        Path of each bucket: what `data.labelled` of a config, or `labelled` of PackSettings, takes.
    """
    for number, (bucket, prefix) in enumerate(PREFIXES.items()):
        generator = np.random.default_rng([seed, number])
        inner = folder / bucket / bucket
        inner.mkdir(parents=True)
        lens = bucket.endswith("_lenses")
        id_column = "Lens ID" if lens else "Object ID"
        rows = []
        for index in range(n_objects):
            header_id = f"{prefix}-{seed}-{index:06d}"
            images = galaxy(generator, lens=lens, size_px=size_px, bands=bands)
            for band, image in zip(bands, images, strict=True):
                content = table_bytes(image, header_id, column=f"band_{band}", id_column=id_column)
                (inner / f"{prefix}_{index:08d}_{band}.fits").write_bytes(content)
            rows.append({id_column: header_id, "RA": 10.0 + index, "Rein" if lens else "z_central": -999.0})
        if parameters and bucket != "slsim_nonlenses":
            Table(rows).write(folder / bucket / "parameters.fits")
        (folder / bucket / "_manifest.txt").write_text("not a cutout\n")
    return {bucket: str(folder / bucket) for bucket in PREFIXES}


def write_test_set(
    folder: Path,
    n_objects: int = 8,
    *,
    size_px: int = 41,
    bands: Sequence[str] = BANDS,
    seed: int = 1,
) -> dict[str, int]:
    """Write an unlabelled set: a flat folder of `object_00000_g.fits`.

    Returns
    -------
    dict of str to int
        The truth: label of each object, every second a lens.
    """
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    truth = {}
    for index in range(n_objects):
        name = f"object_{index:05d}"
        truth[name] = index % 2
        images = galaxy(generator, lens=bool(truth[name]), size_px=size_px, bands=bands)
        for band, image in zip(bands, images, strict=True):
            (folder / f"{name}_{band}.fits").write_bytes(primary_bytes(image))
    return truth


def write_single_band(folder: Path, n_objects: int = 4, *, size_px: int = 41, seed: int = 2) -> list[str]:
    """Write an unlabelled set of one band without suffixes, `OBJID_0001.fits`; gives the objects' names."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    names = [f"OBJID_{index:04d}" for index in range(n_objects)]
    for name in names:
        image = galaxy(generator, lens=False, size_px=size_px, bands=["r"])[0]
        (folder / f"{name}.fits").write_bytes(primary_bytes(image))
    return names


def plant_faults(folder: Path) -> dict[str, str]:
    """Spoil files of one folder of cutouts that has at least seven objects.

    Returns
    -------
    dict of str to str
        Kind of fault, as `rejected.csv` words it, by name of the file. A missing band and a stray file are
        planted too: they are not rejected.
    """
    paths = sorted(path for path in folder.glob("*.fits") if path.name.endswith("_r.fits"))
    if len(paths) < 7:
        raise ValueError(f"{folder}: expected at least 7 objects, found {len(paths)}")
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[: len(content) - 2880])
    paths[1].write_bytes(b"")
    image = np.ones((41, 41))
    image[3, 4:9] = np.nan
    paths[2].write_bytes(primary_bytes(image))
    paths[3].write_bytes(primary_bytes(np.random.default_rng(3).normal(size=(40, 40))))
    paths[4].write_bytes(b"<html><body>502 Bad Gateway</body></html>\n")
    paths[5].write_bytes(primary_bytes(np.zeros((41, 41))))
    paths[6].unlink()
    (folder / ".DS_Store").write_bytes(b"\x00\x00\x00\x01Bud1")
    kinds = ("truncated", "empty file", "non-finite pixels", "wrong shape", "not FITS", "constant image")
    return {path.name: kind for path, kind in zip(paths[:6], kinds, strict=True)}
