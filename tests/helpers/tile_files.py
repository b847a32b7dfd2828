"""Small coadd tiles that overlap, each with a WCS of its own, and a catalogue. Written with astropy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

PIXEL_SCALE_DEG = 0.168 / 3600
SHAPE = (150, 170)
CENTRE = (150.0, 2.0)
"""Right ascension and declination of the first tile's middle, in degrees."""


def tile_header(
    ra: float, dec: float, shape: tuple[int, int] = SHAPE, *, turned_deg: float = 0
) -> fits.Header:
    """The header of a gnomonic projection around a point."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [shape[1] / 2 + 0.3, shape[0] / 2 - 0.2]
    sine, cosine = np.sin(np.radians(turned_deg)), np.cos(np.radians(turned_deg))
    wcs.wcs.cd = PIXEL_SCALE_DEG * np.array([[-cosine, sine], [sine, cosine]])
    wcs.wcs.radesys = "ICRS"
    return wcs.to_header()


def tile_centres(
    n_tiles: int, shape: tuple[int, int] = SHAPE, overlap_px: int = 60
) -> list[tuple[float, float]]:
    """Centres of tiles in a row, neighbours overlapping."""
    step = (shape[1] - overlap_px) * PIXEL_SCALE_DEG
    return [(CENTRE[0] + number * step, CENTRE[1] + 2e-4 * number) for number in range(n_tiles)]


def noise(generator: np.random.Generator, shape: tuple[int, int] = SHAPE) -> npt.NDArray[np.float32]:
    """Pixels that all differ, in counts."""
    return generator.normal(10, 3, shape).astype(np.float32)


def write_tiles(
    folder: Path, bands: Sequence[str] = ("g", "r"), n_tiles: int = 3, *, seed: int = 0
) -> dict[tuple[str, str], tuple[npt.NDArray[Any], fits.Header]]:
    """Write `BAND/tile_NAME.fits`: the image in the first extension, as floats.

    Returns
    -------
    dict
        Pixels and header by name of the tile and band.
    """
    generator = np.random.default_rng(seed)
    tiles = {}
    for number, (ra, dec) in enumerate(tile_centres(n_tiles)):
        for band in bands:
            header = tile_header(ra, dec, turned_deg=number)
            pixels = noise(generator)
            path = folder / band / f"tile_t{number}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, header)]).writeto(path)
            tiles[f"t{number}", band] = (pixels, header)
    return tiles


def catalogue(n_objects: int, n_tiles: int = 3, *, seed: int = 1, margin_px: float = 0) -> Table:
    """Objects all over a row of tiles, some beyond its ends: columns id, ra, dec."""
    generator = np.random.default_rng(seed)
    centres = np.array(tile_centres(n_tiles))
    half = (np.array(SHAPE[::-1]) / 2 - margin_px) * PIXEL_SCALE_DEG
    low, high = centres.min(axis=0) - half, centres.max(axis=0) + half
    ra, dec = generator.uniform(low, high, (n_objects, 2)).T
    return Table(
        {"id": [f"o{number:04d}" for number in generator.permutation(n_objects)], "ra": ra, "dec": dec}
    )
