"""Objects whose bands have pixels of different sizes are warned of."""

import logging
import math
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from stronglens.packing.pack import build_buckets
from stronglens.packing.pixel_scales import PixelScales
from stronglens.settings.data import PackSettings


def test_each_object_with_uneven_bands_is_counted_once() -> None:
    scales = PixelScales()
    scales.see([(0, "a"), (0, "a"), (0, "a"), (0, "b")], [0.1, 0.3, 0.5, 0.3])
    scales.see([(0, "b"), (1, "b"), (1, "b"), (1, "b")], [0.302, 0.9, math.nan, 0.9])  # b goes on; another b
    assert scales.n_uneven == 1
    scales.see([(1, "b"), (2, "c"), (2, "c")], [0.8, 0.2, 0.1])
    assert scales.n_uneven == 3


@pytest.mark.parametrize(("scale_of_r", "is_warned"), [(0.1, False), (0.1005, False), (0.3, True)])
def test_packing_warns_and_packs(
    scale_of_r: float, is_warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    source = tmp_path / "cutouts"
    source.mkdir()
    for name in ("one", "two"):
        for band, scale in (("g", 0.1), ("r", scale_of_r)):
            header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
            header.update({"CDELT1": -scale / 3600, "CDELT2": scale / 3600, "CRPIX1": 6.5, "CRPIX2": 6.5})
            pixels = np.arange(144, dtype=np.float32).reshape(12, 12)
            fits.writeto(source / f"{name}_{band}.fits", pixels, header)
    build_buckets(PackSettings(path=str(source), size_px=12, bands=["g", "r"]), tmp_path / "packed")
    assert len(np.load(tmp_path / "packed/cutouts.npy")) == 4
    warned = f"found 2 objects with several, such as one (0.1 and {scale_of_r:.4g} arcsec)"
    assert (warned in caplog.text) == is_warned
