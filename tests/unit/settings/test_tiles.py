"""Where coadd tiles are, and where in them objects are."""

from typing import Any

import pytest
from pydantic import ValidationError

from stronglens.settings.tiles import TilesSettings, tile_fields, with_catalogue_as_path

SKY = {"id": "id", "ra": "ra", "dec": "dec"}
PIXELS = {"id": "id", "x": "x", "y": "y", "origin": 1}


def tiles(images: Any = "/d/{band}/{tile}.fits", **more: Any) -> TilesSettings:
    return TilesSettings.model_validate({"images": images, **(more or SKY)})


def test_a_pattern_is_that_of_its_band() -> None:
    assert tiles().pattern("g") == "/d/g/{tile}.fits"
    each = tiles({"g": "/g/{tile}.fits", "r": "/r/{tile}-{band}.fits"})
    assert each.pattern("r") == "/r/{tile}-r.fits"
    assert each.pattern("i") is None


def test_other_names_in_braces_name_the_tile() -> None:
    assert tile_fields("/{band}/{tract}/{band}-{patch}-{tract}.fits") == ["tract", "patch"]
    assert tile_fields("/d/x.fits") == []


@pytest.mark.parametrize("given", [SKY, PIXELS, PIXELS | {"tile": "t"}, PIXELS | {"origin": 0}])
def test_places_are_in_the_sky_or_in_pixels(given: dict[str, Any]) -> None:
    tiles(**given)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"id": "id"}, "found none of them"),
        ({"id": "id", "ra": "ra"}, "found ra"),
        ({"id": "id", "x": "x", "y": "y"}, "found x, y"),
        (SKY | {"tile": "t"}, "found ra, dec, tile"),
        (SKY | PIXELS, "found ra, dec, x, y, origin"),
    ],
)
def test_places_are_said_in_one_way(given: dict[str, Any], found: str) -> None:
    with pytest.raises(ValidationError, match=f"give ra and dec, or x, y and origin .*{found};"):
        tiles(**given)


def test_patterns_are_refused_where_they_do_not_agree() -> None:
    with pytest.raises(ValidationError, match=r"names in braces must be words, found \{a b\}"):
        tiles("/d/{a b}.fits")
    with pytest.raises(ValidationError, match="images must name tiles in the same way in all bands"):
        tiles({"g": "/d/{tile}.fits", "r": "/d/{tract}.fits"})


def test_the_catalogue_is_the_path() -> None:
    given = {"label": "lens", "tiles": {"catalogue": "/c.csv", "id": "id"}}
    expected = {"label": "lens", "tiles": {"id": "id"}, "path": "/c.csv"}
    assert with_catalogue_as_path(given) == expected
    assert with_catalogue_as_path({"path": "/d"}) == {"path": "/d"}
    assert with_catalogue_as_path(None) is None
    with pytest.raises(ValueError, match=r"give either path or tiles\.catalogue"):
        with_catalogue_as_path(given | {"path": "/d"})
