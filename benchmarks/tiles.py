"""Cutting objects of a catalogue out of coadd tiles in the page cache, against a loop over Cutout2D."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import harness
import numpy as np
import pyarrow as pa
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from harness import Way
from pyarrow import parquet

from stronglens.packing.pack import build_buckets
from stronglens.settings.data import PackSettings
from tile_files import CENTRE, PIXEL_SCALE_DEG, noise, tile_header

BANDS = ["g", "r", "i", "z", "y"]
SIZE_PX = 41


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    side_px = options.pick(tiny=300, short=4200, full=4200)
    n_objects = options.pick(tiny=10, short=8000, full=40_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, packed = (write_set(folder / kind, side_px, n_objects, kind) for kind in ("plain", "fz"))
        n, few = n_objects * len(BANDS), min(n_objects, 200)
        ours, loop, limit = "tiles to cutouts.npy, one process", "Cutout2D loop", "limit: copying the pixels"
        ways = [
            Way(ours, lambda: build_buckets(plain, folder / "packed"), n),
            Way("the same, compressed tiles (.fz)", lambda: build_buckets(packed, folder / "packed"), n),
            Way(loop, lambda: cut_with_astropy(folder / "plain", few), few * len(BANDS)),
            Way(limit, lambda: copy_pixels(folder / "plain", n_objects), n),
        ]
        result = harness.race(ways, options.n_rounds)
        used = statistics.median(processor_seconds(ways[0].run) for _ in range(options.n_rounds))
    harness.print_title(
        "Coadd tiles: from images and a catalogue to cutouts.npy, index and hashes",
        options,
        ["numpy", "astropy", "pyarrow", "scipy"],
    )
    harness.print_race(result, "cutouts")
    found = n / used
    harness.print_goal(
        "at least 20,000 cutouts/s and core (by the processor's time)", f"{found:,.0f}", met=found >= 20_000
    )
    return 0


def processor_seconds(run: Callable[[], object]) -> float:
    """Seconds that a processor works: what other work takes from a shared machine does not count."""
    started = time.process_time()
    run()
    return time.process_time() - started


def write_set(folder: Path, side_px: int, n_objects: int, kind: str) -> PackSettings:
    """Write one tile in five bands, which fits the page cache, and a catalogue all over it."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    header = tile_header(*CENTRE, (side_px, side_px))
    for band in BANDS:
        pixels = noise(generator, (side_px, side_px))
        hdu = fits.ImageHDU(pixels, header) if kind == "plain" else fits.CompImageHDU(pixels, header)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / f"{band}.fits")
    inside = (side_px / 2 - 2 * SIZE_PX) * PIXEL_SCALE_DEG
    ra, dec = generator.uniform(-inside, inside, (2, n_objects)) + np.array(CENTRE)[:, None]
    catalogue = folder / "catalogue.parquet"
    parquet.write_table(pa.table({"id": np.arange(n_objects), "ra": ra, "dec": dec}), catalogue)
    tiles = {"images": f"{folder}/{{band}}.fits", "id": "id", "ra": "ra", "dec": "dec"}
    return PackSettings.model_validate({"path": str(catalogue), "bands": BANDS, "tiles": tiles})


def cut_with_astropy(folder: Path, n_objects: int) -> None:
    """As users write it, with each tile opened once."""
    table = parquet.read_table(folder / "catalogue.parquet")[:n_objects]
    positions = SkyCoord(table["ra"].to_numpy(), table["dec"].to_numpy(), unit="deg")
    for band in BANDS:
        with fits.open(folder / f"{band}.fits") as hdus:
            pixels, wcs = hdus[1].data, WCS(hdus[1].header)
            for position in positions:
                np.asarray(
                    Cutout2D(pixels, position, SIZE_PX, wcs=wcs, mode="partial").data, dtype=np.float32
                )


def copy_pixels(folder: Path, n_objects: int) -> None:
    """The pixels alone: no catalogue, no checks, no hashes, nothing written."""
    generator = np.random.default_rng(1)
    cutout = np.empty((SIZE_PX, SIZE_PX), dtype=np.float32)
    for band in BANDS:
        with fits.open(folder / f"{band}.fits") as hdus:
            pixels = hdus[1].data
            corners = generator.integers(0, pixels.shape[0] - SIZE_PX, (n_objects, 2)).tolist()
            for y, x in corners:
                cutout[:] = pixels[y : y + SIZE_PX, x : x + SIZE_PX]


if __name__ == "__main__":
    sys.exit(main())
