"""Settings of coadd tiles with a catalogue: where the images lie, and what the columns are called."""

import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from stronglens.settings.base import Settings

_FIELD = re.compile(r"\{([^{}]*)\}")


class MaskSettings(Settings):
    """A mask plane in each tile's file: pixels with one of these bits set have no value."""

    hdu: int | str = Field(examples=["MASK"])
    """Number (0 is PRIMARY) or EXTNAME of the HDU that holds the mask, an integer for each pixel."""
    bits: list[int] = Field(min_length=1, examples=["[8]"])
    """Bits that mark pixels without a value, for instance those for NO_DATA and SAT; 0 is the lowest."""

    @model_validator(mode="after")
    def _bits_exist(self) -> Self:
        wrong = [bit for bit in self.bits if not 0 <= bit < 64]
        if wrong:
            raise ValueError(f"bits must be numbers from 0 to 63, found {wrong}")
        return self

    @property
    def mask(self) -> int:
        """All bits together, as a number."""
        return sum(1 << bit for bit in set(self.bits))


class TilesSettings(Settings):
    """Coadd tiles (images of a survey, each with its WCS) and a catalogue of objects to be cut out of them.

    Give either `ra` and `dec`, or `x`, `y`, `origin` and, if there are several tiles, `tile`.
    """

    images: str | dict[str, str] = Field(
        min_length=1, examples=["/data/coadds/{band}/{tract}-{patch}.fits", "{g: …, r: …}"]
    )
    """Where the images lie: a pattern with `{band}`, or one for each band. Other names in braces, such as
    `{tile}` or `{tract}-{patch}`, name the tile and must be the same in all bands; `*` stands for anything
    in a name."""
    catalogue: str = Field(min_length=1, examples=["/data/catalogue.parquet"])
    """The objects: a table in CSV, Parquet or FITS."""
    id: str = Field(min_length=1, examples=["object_id"])
    """Column with the objects' names, text or integers."""
    ra: str | None = Field(None, min_length=1, examples=["ra"])
    """Column with right ascensions (ICRS) in degrees."""
    dec: str | None = Field(None, min_length=1, examples=["dec"])
    """Column with declinations (ICRS) in degrees."""
    x: str | None = Field(None, min_length=1, examples=["x"])
    """Column with positions along rows of pixels (FITS axis 1)."""
    y: str | None = Field(None, min_length=1, examples=["y"])
    """Column with positions across rows of pixels (FITS axis 2)."""
    origin: Literal[0, 1] | None = Field(None, examples=[1])
    """What `x` and `y` are at the centre of the first pixel: 1 in FITS, DS9 and SExtractor, 0 in NumPy and
    photutils."""
    tile: str | None = Field(None, min_length=1, examples=["tile"])
    """Column with the tile that `x` and `y` belong to: the names in braces, joined by a hyphen."""
    hdu: int | str | None = Field(None, examples=[1])
    """Number (0 is PRIMARY) or EXTNAME of the HDU that holds the image; if not given, the one named SCI or
    IMAGE, or the only image."""
    mask: MaskSettings | None = None
    """A mask plane in the same files."""

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
        if isinstance(self.images, str) and "{band}" not in self.images:
            raise ValueError(
                f"images must be a pattern with {{band}} or one for each band, found {self.images}; for "
                "example {g: /data/g/{tile}.fits, r: /data/r/{tile}.fits}"
            )
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


def tile_fields(pattern: str) -> list[str]:
    """The names in braces that make up the name of a tile, in their order."""
    return [name for name in dict.fromkeys(_FIELD.findall(pattern)) if name != "band"]
