"""Settings of coadd tiles with a catalogue: where the images are, and what the columns are called."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from stronglens.settings.base import Settings

_FIELD = re.compile(r"\{([^{}]*)\}")


Hdu = str | Annotated[int, Field(ge=0)]


class TilesSettings(Settings):
    """Coadd tiles (images of a survey, each with its WCS), from which the objects of a catalogue are cut out.

    The catalogue is the `path` of the bucket or test set, or `catalogue`. Give either `ra` and `dec`, or `x`,
    `y`, `origin` and, if there are several tiles, `tile`.
    """

    images: str | dict[str, str] = Field(
        min_length=1, examples=["/data/coadds/{band}/{tract}-{patch}.fits", "{g: …, r: …}"]
    )
    """Where the images are: a pattern with `{band}`, or one for each band. Other names in braces, such as
    `{tile}` or `{tract}-{patch}`, name the tile and must be the same in all bands; `*` stands for anything
    in a name."""
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
    hdu: Hdu | dict[str, Hdu] | None = Field(None, examples=["IMAGE"])
    """Which HDU of a file holds the image: its EXTNAME, its number (0 is PRIMARY), or one for each band of
    files that hold several. `null`: the only image, or the one named SCI or IMAGE."""
    mask_hdu: Hdu | dict[str, Hdu] | None = Field(None, examples=["MASK"])
    """HDU, or one for each band, with a mask of the image's shape; its pixels other than 0 have no value."""
    mask_bits: list[Annotated[int, Field(ge=0, le=62)]] | None = Field(
        None, min_length=1, examples=["[0, 8]"]
    )
    """Bits of the mask, from 0, that leave a pixel without a value; `null`: any."""

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
        if isinstance(self.images, str) and "{band}" not in self.images and not isinstance(self.hdu, dict):
            raise ValueError(
                f"images must be a pattern with {{band}} or one for each band, found {self.images}; for "
                "example {g: /data/g/{tile}.fits, r: /data/r/{tile}.fits}, or hdu: {g: 1, r: 2} for files "
                "with all bands"
            )
        patterns = [self.images] if isinstance(self.images, str) else list(self.images.values())
        for pattern in patterns:
            wrong = [name for name in _FIELD.findall(pattern) if not name.isidentifier()]
            if wrong:
                raise ValueError(f"names in braces must be words, found {{{wrong[0]}}} in {pattern}")
        if len({frozenset(tile_fields(pattern)) for pattern in patterns}) > 1:
            raise ValueError(f"images must name tiles in the same way in all bands, found {patterns}")
        return self

    def hdus(self, band: str) -> tuple[int | str | None, int | str | None]:
        """The HDUs of a band's image and mask, None where they are not given."""
        image, mask = (hdu.get(band) if isinstance(hdu, dict) else hdu for hdu in (self.hdu, self.mask_hdu))
        return image, mask

    @property
    def mask(self) -> int:
        """All bits that leave a pixel without a value, as a number."""
        return 2**64 - 1 if self.mask_bits is None else sum(1 << bit for bit in set(self.mask_bits))

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
