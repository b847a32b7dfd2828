"""Settings of coadd tiles with a catalogue: where the images are, and what the columns are called."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from stronglens.settings.base import Settings

_FIELD = re.compile(r"\{([^{}]*)\}")


class TilesSettings(Settings):
    """Coadd tiles (images of a survey, each with its WCS), from which the objects of a catalogue are cut out.

    The catalogue is the `path` of the bucket or test set, or `catalogue`. Give either `ra` and `dec`, or `x`,
    `y`, `origin` and, if there are several tiles, `tile`. Beside this block `hdu`, `mask_hdu`, `mask_bits`,
    `sentinels`, `unit` and `zero_point` say of the images what they say of other files.
    """

    images: str | dict[str, str] = Field(
        min_length=1, examples=["/data/coadds/{band}/{tract}-{patch}.fits", "{g: …, r: …}"]
    )
    """Where the images are: a pattern with `{band}`, or one for each band; without `{band}` if `hdu` says in
    which HDU of a file each band is. Other names in braces, such as `{tile}` or `{tract}-{patch}`, name the
    tile and must be the same in all bands; `*` stands for anything in a name."""
    catalogue: str | None = Field(None, min_length=1, examples=["/data/catalogue.parquet"])
    """The objects: another way to write the `path` of a bucket or test set, a table in CSV, Parquet, FITS or
    VOTable."""
    id: str = Field(min_length=1, examples=["object_id"])
    """Column with the objects' names, text or integers."""
    ra: str | None = Field(None, min_length=1, examples=["ra"])
    """Column with right ascensions (ICRS), in degrees."""
    dec: str | None = Field(None, min_length=1, examples=["dec"])
    """Column with declinations (ICRS), in degrees."""
    x: str | None = Field(None, min_length=1, examples=["x"])
    """Column with positions along rows of pixels (FITS axis 1)."""
    y: str | None = Field(None, min_length=1, examples=["y"])
    """Column with positions across rows of pixels (FITS axis 2)."""
    origin: Literal[0, 1] | None = Field(None, examples=[1])
    """What `x` and `y` are at the centre of the first pixel: 1 in FITS and SExtractor, 0 in NumPy."""
    tile: str | None = Field(None, min_length=1, examples=["tile"])
    """Column with the tile that `x` and `y` belong to: the names in braces, joined by a hyphen."""

    @model_validator(mode="after")
    def _one_position(self) -> Self:
        sky = [name for name in ("ra", "dec") if getattr(self, name)]
        pixel = [name for name in ("x", "y", "origin", "tile") if getattr(self, name) is not None]
        if len(sky) == 2 and not pixel:
            return self
        if not sky and {"x", "y", "origin"} <= set(pixel):
            return self
        raise ValueError(
            "give ra and dec, or x, y and origin (0 or 1: x and y at the centre of the first pixel), "
            f"found {', '.join([*sky, *pixel]) or 'none of them'}; for example ra: ra, dec: dec"
        )

    @model_validator(mode="after")
    def _patterns_agree(self) -> Self:
        patterns = [self.images] if isinstance(self.images, str) else list(self.images.values())
        for pattern in patterns:
            wrong = [name for name in _FIELD.findall(pattern) if not name.isidentifier()]
            if wrong:
                raise ValueError(f"names in braces must be words, found {{{wrong[0]}}} in {pattern}")
        if len({frozenset(tile_fields(pattern)) for pattern in patterns}) > 1:
            raise ValueError(f"images must name tiles in the same way in all bands, found {patterns}")
        return self

    def pattern(self, band: str) -> str | None:
        """The pattern of a band's images; None if there is none."""
        pattern = self.images.get(band) if isinstance(self.images, Mapping) else self.images
        return pattern and pattern.replace("{band}", band)


def with_catalogue_as_path(given: Any) -> Any:
    """A bucket or test set, as it is given, with the catalogue of its tiles as its path.

    Raises
    ------
    ValueError
        It has a path, too.
    """
    tiles = given.get("tiles") if isinstance(given, Mapping) else None
    if not isinstance(tiles, Mapping) or tiles.get("catalogue") is None:
        return given
    if given.get("path") is not None:
        raise ValueError("give either path or tiles.catalogue: both are the table of objects")
    without = {key: value for key, value in tiles.items() if key != "catalogue"}
    return {**given, "path": tiles["catalogue"], "tiles": without}


def tile_fields(pattern: str) -> list[str]:
    """The names in braces that make up the name of a tile, in their order."""
    return [name for name in dict.fromkeys(_FIELD.findall(pattern)) if name != "band"]
