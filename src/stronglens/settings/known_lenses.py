"""Settings of lenses that are known already, and of catalogues."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from stronglens.settings.base import Settings


class KnownTableSettings(Settings):
    """A table of lenses that are known already. `NAME: PATH` for short."""

    path: str = Field(min_length=1, examples=["/data/masterlens.csv"])
    """CSV, Parquet, FITS or VOTable, by the ending of its name (`.csv`, `.parquet`, `.fits`, `.vot`)."""
    ra: str = Field("ra", min_length=1, examples=["RAJ2000"])
    """Column of the right ascension (ICRS), in degrees."""
    dec: str = Field("dec", min_length=1, examples=["DEJ2000"])
    """Column of the declination (ICRS), in degrees."""
    name: str | None = Field(None, min_length=1, examples=["system_name"])
    """Column of the lenses' names; `null`: `name` if there is one, else they are numbered."""


def _spelt_out(tables: Any) -> Any:
    if not isinstance(tables, Mapping):
        return tables
    return {name: {"path": one} if isinstance(one, str) else one for name, one in tables.items()}


TableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
KnownTables = Annotated[
    dict[TableName, KnownTableSettings],
    BeforeValidator(_spelt_out, json_schema_input_type=dict[TableName, str | KnownTableSettings]),
]


class KnownLensesSettings(Settings):
    """Lenses that are known already: which of them a test set holds, and which of these are found again."""

    tables: KnownTables = Field({}, examples=["{masterlens: /data/masterlens.csv}"])
    """Where they are listed, by names of your choice."""
    radius_arcsec: float = Field(2.0, gt=0, le=60, examples=[2.0])
    """How far an object may be from a known lens to be taken for it."""

    @model_validator(mode="after")
    def _some_table(self) -> Self:
        # Not a required key: the command line asks for those one by one.
        if not self.tables:
            raise ValueError("found no table of known lenses; for example tables: {mine: /data/lenses.csv}")
        return self


class CatalogueSettings(Settings):
    """What is in the watch list beside a catalogue. Catalogues are made on demand, by
    `snakemake results/catalogue/nano/challenge/catalogue.fits`; a change here makes them anew, nothing else.
    """

    watch_radius_arcsec: float = Field(2.0, gt=0, le=3600, examples=[2.0])
    """Radius around each candidate in which a broker looks for alerts."""
