"""Pixels of tiles on the sky, against astropy."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from stronglens.sources.rejected import Rejected
from stronglens.sources.tile_grid import Frame, TileGrid, unit_vectors
from tile_files import CENTRE, PIXEL_SCALE_DEG, SHAPE, tile_header


def test_positions_and_scale_are_those_of_the_header() -> None:
    header = tile_header(*CENTRE, turned_deg=20)
    grid = TileGrid(header, SHAPE, needs_sky=True)
    assert grid.scale_arcsec == pytest.approx(3600 * PIXEL_SCALE_DEG)
    x, y = np.array([0.0, 30.5, 169]), np.array([0.0, 80.25, 149])
    expected = WCS(header).all_pix2world(x, y, 0)
    np.testing.assert_allclose(grid.sky(x, y), expected, atol=1e-10)
    np.testing.assert_allclose(grid.pixels(*expected), [x, y], atol=1e-6)


@pytest.mark.parametrize("dec", [2.0, 89.9999, -60.0])
def test_the_circle_around_a_tile_reaches_beyond_its_corners(dec: float) -> None:
    header = tile_header(0.0, dec)
    grid = TileGrid(header, SHAPE, needs_sky=True)
    height, width = SHAPE
    corners = WCS(header).all_pix2world(
        [-0.5, width - 0.5, -0.5, width - 0.5], [-0.5, -0.5, height - 0.5, height - 0.5], 0
    )
    middle = WCS(header).all_pix2world((width - 1) / 2, (height - 1) / 2, 0)
    np.testing.assert_allclose(grid.centre, unit_vectors(*middle), atol=1e-9)
    chords = np.linalg.norm(unit_vectors(*corners) - grid.centre, axis=1)
    assert chords.max() < grid.radius < 1.05 * chords.max()


def test_equal_grids_have_equal_keys() -> None:
    grids = [TileGrid(tile_header(ra, 2.0), SHAPE, needs_sky=True) for ra in (150.0, 150.0, 150.1)]
    assert grids[0].key == grids[1].key != grids[2].key
    assert TileGrid(tile_header(150.0, 2.0), (9, 9), needs_sky=True).key != grids[0].key


def test_a_tile_of_the_galaxy_is_placed_in_icrs() -> None:
    header = tile_header(30.0, 10.0)
    header["CTYPE1"], header["CTYPE2"] = "GLON-TAN", "GLAT-TAN"
    del header["RADESYS"]
    grid = TileGrid(header, SHAPE, needs_sky=True)
    longitude, latitude = WCS(header).all_pix2world([3.0, 100.0], [5.0, 60.0], 0)
    icrs = SkyCoord(l=longitude, b=latitude, unit="deg", frame="galactic").icrs
    np.testing.assert_allclose(
        grid.sky(np.array([3.0, 100]), np.array([5.0, 60])), [icrs.ra.deg, icrs.dec.deg], atol=1e-9
    )
    there = Frame(icrs.ra.deg, icrs.dec.deg).positions(grid, np.array([1, 0]))
    np.testing.assert_allclose(grid.pixels(*there), [[100.0, 3.0], [60.0, 5.0]], atol=1e-6)


def test_without_a_wcs_nothing_is_on_the_sky() -> None:
    header = fits.Header({"NAXIS": 2, "NAXIS1": 5, "NAXIS2": 4})
    with pytest.raises(Rejected, match=r"no WCS \(the header does not say where its pixels lie on the sky\)"):
        TileGrid(header, (4, 5), needs_sky=True)
    grid = TileGrid(header, (4, 5), needs_sky=False)
    assert np.isnan(grid.scale_arcsec)
    assert np.isnan(grid.sky(np.zeros(2), np.zeros(2))).all()


def test_a_wcs_that_is_not_known_is_said() -> None:
    header = tile_header(*CENTRE)
    header["CTYPE1"], header["CTYPE2"] = "RA---XYZ", "DEC--XYZ"
    with pytest.raises(Rejected, match="unreadable WCS"):
        TileGrid(header, SHAPE, needs_sky=True)


def test_unit_vectors() -> None:
    found = unit_vectors(np.array([0.0, 90.0, 12.0]), np.array([0.0, 0.0, 90.0]))
    np.testing.assert_allclose(found, np.eye(3), atol=1e-15)
