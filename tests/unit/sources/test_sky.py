"""Where images are on the sky, by headers of every spelling, against astropy."""

import math
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from stronglens.sources.sky import centre, is_simple, pixel_scale


@pytest.mark.parametrize("projection", ["TAN", "SIN", "ZEA", "ARC", "STG", "CAR"])
def test_the_centre_is_that_of_astropy(projection: str) -> None:
    header = fits.Header(
        {
            "NAXIS": 2, "NAXIS1": 41, "NAXIS2": 60,
            "CTYPE1": f"RA---{projection}", "CTYPE2": f"DEC--{projection}",
            "CRVAL1": 359.99, "CRVAL2": 0.0 if projection == "CAR" else -62.0,
            "CRPIX1": -3000.5, "CRPIX2": 900.0,
            "CD1_1": -7e-5, "CD1_2": 1e-5, "CD2_1": 2e-5, "CD2_2": 7e-5,
        }
    )  # fmt: skip
    expected = WCS(header).all_pix2world(21, 30.5, 1)
    np.testing.assert_allclose(centre(dict(header), 60, 41), [expected[0] % 360, expected[1]], atol=1e-9)


PLACE = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 150.0,
    "CRVAL2": 2.0,
    "CRPIX1": 4.5,
    "CRPIX2": 99,
}
MATRICES: dict[str, dict[str, Any]] = {
    "CD": {"CD1_1": -7e-5, "CD1_2": 1e-5, "CD2_1": 2e-5, "CD2_2": 7e-5},
    "some of CD": {"CD1_1": -7e-5, "CD2_2": 7e-5},
    "CDELT": {"CDELT1": -7e-5, "CDELT2": 8e-5},
    "PC": {"CDELT1": -7e-5, "CDELT2": 8e-5, "PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8},
    "some of PC": {"CDELT1": -7e-5, "CDELT2": 8e-5, "PC1_2": 0.25},
    "CROTA2": {"CDELT1": -7e-5, "CDELT2": 8e-5, "CROTA2": 33.0},
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_every_spelling_of_the_matrix_is_astropy_s(matrix: str) -> None:
    header = fits.Header(PLACE | MATRICES[matrix])
    assert is_simple(header)
    expected = WCS(header).all_pix2world(50.5, 30.5, 1)
    assert centre(header, 60, 100) == pytest.approx([float(value) for value in expected], abs=1e-9)
    area = abs(np.linalg.det(WCS(header).pixel_scale_matrix))
    assert pixel_scale(header) == pytest.approx(3600 * area**0.5, rel=1e-9)


@pytest.mark.parametrize(
    "header",
    [
        {},
        PLACE,  # no scale
        PLACE | MATRICES["CDELT"] | {"CTYPE1": "WAVE"},
        PLACE | MATRICES["CDELT"] | {"CUNIT1": "arcsec"},
        PLACE | {"CDELT1": 0.0, "CDELT2": 0.0},
        PLACE | {"CDELT1": "wide", "CDELT2": 1.0},
    ],
)
def test_no_pixel_scale_is_made_up(header: dict[str, Any]) -> None:
    assert math.isnan(pixel_scale(header))


def test_the_older_spelling_of_pan_starrs_is_that_of_today() -> None:
    new = PLACE | MATRICES["PC"]
    old = {key.replace("PC1_", "PC00100").replace("PC2_", "PC00200"): value for key, value in new.items()}
    assert "PC001002" in old
    assert centre(old, 60, 100) == pytest.approx(centre(new, 60, 100), abs=1e-12)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR", "CRVAL1": 1.0},
        {key: value for key, value in PLACE.items() if key != "CRVAL1"},
        PLACE | {"CRVAL2": "north"} | MATRICES["CD"],
        PLACE | {"CTYPE1": "RA---XXX", "CTYPE2": "DEC--XXX"} | MATRICES["CD"],
        PLACE | {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CDELT1": 40.0, "CDELT2": 40.0},
    ],
)
def test_a_header_without_a_place_or_with_a_broken_one_is_nowhere(header: dict[str, Any]) -> None:
    assert all(math.isnan(value) for value in centre(header, 60, 100))


@pytest.mark.parametrize(
    ("changed", "simple"),
    [
        ({}, True),
        ({"CTYPE1": "GLON-TAN"}, True),
        ({"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR"}, False),
        ({"CTYPE2": "DEC--SIN"}, False),
        ({"LONPOLE": 180.0}, False),
    ],
)
def test_what_is_computed_without_astropy(changed: dict[str, Any], simple: bool) -> None:
    assert is_simple(PLACE | changed) == simple


def test_at_the_pole_and_across_the_meridian() -> None:
    for ra, dec in ((0.001, 0.0), (359.999, -45.0), (10.0, 89.9999)):
        header = fits.Header(PLACE | MATRICES["CD"] | {"CRVAL1": ra, "CRVAL2": dec})
        expected = WCS(header).all_pix2world(50.5, 30.5, 1)
        found = centre(header, 60, 100)
        assert 0 <= found[0] < 360
        np.testing.assert_allclose(found, [expected[0] % 360, expected[1]], atol=1e-9)


def test_coordinates_of_1950_are_those_of_today() -> None:
    header = PLACE | MATRICES["CDELT"] | {"NAXIS": 2, "RADESYS": "FK4", "EQUINOX": 1950.0}
    expected = WCS(fits.Header(header)).pixel_to_world(20, 20).icrs
    assert not is_simple(header)
    np.testing.assert_allclose(centre(header, 41, 41), [expected.ra.deg, expected.dec.deg], atol=1e-9)
    assert centre(header | {"RADESYS": "FK5", "EQUINOX": 2000.0}, 41, 41)[0] == pytest.approx(150, abs=0.1)


def test_other_units_than_degrees_are_those_of_astropy() -> None:
    matrix = {"CDELT1": -0.2, "CDELT2": 0.2, "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
    header = PLACE | matrix | {"NAXIS": 2, "CRVAL1": 150.0 * 3600, "CRVAL2": 2.0 * 3600}
    np.testing.assert_allclose(centre(header, 41, 41), [150.0, 2.0], atol=0.01)
