"""Settings of how objects, bands and pixels are found in what a source holds."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from stronglens.settings.base import Settings
from stronglens.settings.tiles import TilesSettings

PRESETS = {
    "challenge": r"(?P<object>[^/]+)_(?P<band>[^/_]+)",
    "folder_per_object": r"(?P<object>[^/]+)/(?P<band>[^/_]+)",
    "folder_per_object_and_survey": r"(?P<object>[^/]+)/(?P<survey>[^/_]+)_(?P<band>[^/_]+)",
    "hsc": r"(?P<object>[^/]+?)[-_](?:cutout[-_])?HSC-(?P<band>[GRIZY])2?(?:[-_][^/]*)?",
    "des": r"(?P<object>[^/]+)_(?P<band>[ugrizY])",
    "sdss": r"frame-(?P<band>[ugriz])-(?P<object>[^/]+)",
    "ps1": r"(?:cutout_)?(?P<object>[^/]+)\.stk\.(?P<band>[grizy])(?:\.[^/]*)?",
    "euclid": r"(?P<object>[^/]+?)[-_](?:NISP|NIR)?[-_]?(?P<band>VIS|Y|J|H)(?:[-_][^/]*)?",
    "lens_finding_challenge": r"image(?P<survey>[A-Z]+)_(?P<band>[A-Za-z0-9]+)-(?P<object>[^/]+)",
}
"""Patterns of names by the names of surveys, for the path of a file without its ending."""

Hdu = str | Annotated[int, Field(ge=0)]
Column = Literal["id", "band", "path", "image", "mask", "label", "domain", "ra", "dec"]


_WAYS_TO_THE_BAND = {"name_pattern", "band_keyword", "hdu", "band_axis", "axis_bands"}


class ReadSettings(Settings):
    """How a source is read: for all data (in `data`), for a test set, or for one bucket.

    What is not given is as for the data as a whole, and there as for files of the challenge.
    """

    name_pattern: str | None = Field(None, min_length=1, examples=["hsc"])
    """Where names state object and band: a regular expression with the groups `object`, `band` and, if names
    of several surveys are mixed, `survey`, which must match a file's whole name without `.fits` (with as
    many of its folders as the pattern has slashes), or one of these names: `challenge` (OBJECT_BAND),
    `folder_per_object` (OBJECT/BAND), `folder_per_object_and_survey` (OBJECT/SURVEY_BAND), `hsc`, `des`,
    `sdss`, `ps1`, `euclid`, `lens_finding_challenge`. `null`: as `challenge`, and names without a band are
    single cutouts."""
    ignore_pattern: str | None = Field(None, min_length=1, examples=[".*_(wht|mask)"])
    """Names, as `name_pattern` sees them, that are no cutouts: listed in `rejected.csv`, not read."""
    band_keyword: str | None = Field(None, min_length=1, examples=["FILTER"])
    """Keyword of the header whose value says the band, where names do not; the value is the band, or has it
    as one of its words (`HSC-G`, `g DECam SDSS`)."""
    max_depth: int | None = Field(None, ge=0, le=32, examples=[2])
    """How many folders deep files are looked for below a source's folder; `null`: 1."""
    hdu: Hdu | dict[str, Hdu] | None = Field(None, examples=["SCI"])
    """Which HDU of a FITS file holds the image: its EXTNAME, its number (0 is PRIMARY), or one for each band
    of a file that holds several, such as `{g: G_SCI, r: R_SCI}`. In a stack: the data set or column of each
    band. `null`: the only image, or the one named SCI or IMAGE."""
    band_axis: int | None = Field(None, ge=-1, le=2, examples=[0])
    """Axis of an image of three dimensions that counts its bands, slowest first: 0 for shape (band, y, x), -1
    for (y, x, band)."""
    axis_bands: list[str] | None = Field(None, min_length=1, examples=["[g, r, i, z, y]"])
    """The bands along `band_axis`, in their order; those not in `bands` are left out. `null`: `bands`."""
    mask_hdu: Hdu | dict[str, Hdu] | None = Field(None, examples=["MASK"])
    """HDU, or one for each band, with a mask of the image's shape; its pixels other than 0 are undefined."""
    mask_bits: list[Annotated[int, Field(ge=0, le=62)]] | None = Field(
        None, min_length=1, examples=["[0, 8]"]
    )
    """Bits of a mask, from 0, that make a pixel undefined; `null`: any."""
    sentinels: list[float] | None = Field(None, min_length=1, examples=["[-9999]"])
    """Pixel values, in the units of the image, that mean undefined. What becomes of undefined pixels:
    `non_finite`."""
    fit: Literal["refuse", "crop", "pad"] | None = Field(None, examples=["crop"])
    """What becomes of images of another size than `size_px`: `refuse` rejects them; `crop` takes the centre
    of larger ones; `pad` does that too, and surrounds smaller ones (down to half of `size_px`) with the
    median of their pixels. Of an odd number of pixels too many or too few, one more is at the upper end.
    Counted in `summary.json`. `null`: `refuse`."""
    columns: dict[Column, Annotated[str, Field(min_length=1)]] | None = Field(
        None, examples=["{id: object_id, ra: RAJ2000, dec: DEJ2000}"]
    )
    """Names of columns of a table, or of data sets of a stack, where they are not `id`, `band`, `path`,
    `image`, `mask`, `label`, `domain`, `ra` and `dec`."""
    coordinate_keywords: list[str] | None = Field(None, min_length=2, max_length=2, examples=["[RA, DEC]"])
    """Keywords of the header with right ascension and declination in degrees. `null`: the centre of the image
    by its WCS, if it has one. Columns `ra` and `dec` go before either."""
    unit: str | None = Field(None, min_length=1, examples=["nJy"])
    """Unit of the pixels, for the records; `null`: BUNIT of the header."""
    zero_point: float | Annotated[str, Field(min_length=1)] | None = Field(None, examples=[27.0])
    """AB magnitude of one unit, or the keyword of the header that states it, for the records."""

    @field_validator("name_pattern", "ignore_pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is None or pattern in PRESETS:
            # Spelt out, so that what a name stands for is among the parameters by which steps are rerun.
            return PRESETS[pattern] if pattern else None
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"found {pattern!r}, expected a regular expression ({error}), or one of {', '.join(PRESETS)}"
            ) from error
        return pattern

    @field_validator("name_pattern")
    @classmethod
    def _has_groups(cls, pattern: str | None) -> str | None:
        groups = set(re.compile(pattern).groupindex) if pattern else {"object"}
        if "object" not in groups or not groups <= {"object", "band", "survey"}:
            raise ValueError(
                f"found the groups {', '.join(sorted(groups)) or 'none'}, expected object, band and perhaps "
                f"survey; for example name_pattern: '{PRESETS['challenge']}'"
            )
        return pattern

    @model_validator(mode="after")
    def _one_way_to_the_band(self) -> Self:
        ways = {
            "name_pattern": self.name_pattern is not None and "band" in self.pattern.groupindex,
            "band_keyword": self.band_keyword is not None,
            "hdu": isinstance(self.hdu, dict),
            "band_axis": self.band_axis is not None,
        }
        said = [key for key, says in ways.items() if says]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} each say the band of an image; give one of them")
        if self.axis_bands is not None and self.band_axis is None:
            raise ValueError("axis_bands: expected band_axis beside it; for example band_axis: 0")
        return self

    @property
    def pattern(self) -> re.Pattern[str]:
        """`name_pattern`, compiled."""
        return re.compile(self.name_pattern or PRESETS["challenge"])

    @property
    def band_is_elsewhere(self) -> bool:
        """Whether something else than its name says the band of a file."""
        return self.band_keyword is not None or isinstance(self.hdu, dict) or self.band_axis is not None

    def column(self, name: Column) -> str:
        """The name that a column has in the source."""
        return (self.columns or {}).get(name, name)

    tiles: TilesSettings | None = None
    """Coadd tiles: `path` is then a catalogue of objects to be cut out of these images."""

    @property
    def reading(self) -> dict[str, Any]:
        """What is given here of how sources are read."""
        given = {key: getattr(self, key) for key in ReadSettings.model_fields}
        return {key: value for key, value in given.items() if value is not None}

    def within(self, outer: "ReadSettings") -> dict[str, Any]:
        """What is given here or, for what is not, for the whole that this is a part of.

        Of the ways to an image's band the whole's do not count where this gives one of its own.
        """
        given, of_whole = self.reading, outer.reading
        if _WAYS_TO_THE_BAND & set(given):
            of_whole = {key: value for key, value in of_whole.items() if key not in _WAYS_TO_THE_BAND}
        return of_whole | given

    @model_serializer(mode="wrap")
    def _given_alone(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not given: settings that came later do not rerun what was made before them."""
        dumped: dict[str, Any] = handler(self)
        unset = [key for key in ReadSettings.model_fields if getattr(self, key) is None]
        return {key: value for key, value in dumped.items() if key not in unset}
