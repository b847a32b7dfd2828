"""Packing FITS files that lie in the page cache, against loops over them and against reading their bytes."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import fitsio
import harness
import numpy as np
from astropy.io import fits
from harness import Way
from made_data import FITS_COLUMN, write_fits

from stronglens.packing.pack import build_buckets
from stronglens.settings.data import PackSettings


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    n_objects = options.pick(tiny=4, short=4000, full=20_000)
    n_cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        paths = write_fits(Path(folder, "files"), n_objects)
        settings = PackSettings(path=str(Path(folder, "files")))

        def pack(n_processes: int) -> None:
            build_buckets(settings, Path(folder, "packed"), n_processes=n_processes)

        some, few = paths[:: max(1, len(paths) // 4000)], paths[:: max(1, len(paths) // 400)]
        ours, astropy_loop, raw = "build_buckets, one process", "astropy loop", "limit: raw reads"
        ways = [
            Way(ours, lambda: pack(1), len(paths)),
            Way(f"build_buckets, {n_cores} processes", lambda: pack(n_cores), len(paths)),
            Way(astropy_loop, lambda: read_with_astropy(few), len(few)),
            Way("fitsio loop", lambda: read_with_fitsio(some), len(some)),
            Way(raw, lambda: read_raw(paths), len(paths)),
        ]
        result = harness.race(ways, options.n_rounds)
    harness.print_title(
        "Packing: from FITS files to cutouts.npy, index and hashes",
        options,
        ["numpy", "astropy", "fitsio", "pyarrow"],
    )
    harness.print_race(result, "files")
    found = result.ratio(ours, astropy_loop)
    harness.print_goal("at least 30 x the astropy loop, per core", f"{found:.1f} x", met=found >= 30)
    return 0


def read_with_astropy(paths: Sequence[str]) -> None:
    """As users write it: open, take the column, convert."""
    for path in paths:
        with fits.open(path) as hdus:
            np.asarray(hdus[1].data[FITS_COLUMN][0], dtype=np.float32)


def read_with_fitsio(paths: Sequence[str]) -> None:
    for path in paths:
        np.asarray(fitsio.read(path, ext=1)[FITS_COLUMN][0], dtype=np.float32)


def read_raw(paths: Sequence[str]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.read(descriptor, 65_536)
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
