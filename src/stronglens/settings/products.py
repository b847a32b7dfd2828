"""Settings of what is made of a finished ensemble: candidates, capsules, catalogues, known lenses found."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stronglens.settings.base import Settings


class CandidatesSettings(Settings):
    """What the page of candidates, `results/candidates/index.html`, shows, and how.

    It is of the ensemble and the test set that are submitted. A change makes the page anew, nothing else.
    """

    n_best: int = Field(1000, ge=1, le=100_000, examples=[1000])
    """Objects of the test set with the highest probabilities. 10,000 take 100 MB and are still quick."""
    n_uncertain: int = Field(200, ge=0, le=100_000, examples=[200])
    """Objects of the test set whose probabilities are nearest to t*."""
    n_mistakes: int = Field(200, ge=0, le=100_000, examples=[200])
    """False positives of the held-out objects, and as many false negatives, the most certain first."""
    leave_out_known: bool = False
    """Whether the lenses of `known_lenses` are left out of the views of the test set; else they are
    marked."""
    colour_bands: list[str] | None = Field(None, examples=["[i, r, g]"])
    """Bands shown as red, green and blue. `null`: `[i, r, g]` where the data have them, else the first three
    of `data.bands`, the last of them as red."""
    stretch: float = Field(20.0, gt=0, le=1e6, examples=[20.0])
    """Up to about this brightness colours are linear (Lupton et al. 2004), in units of the sky noise."""
    softening: float = Field(8.0, gt=0, le=1e6, examples=[8.0])
    """How much fainter the bright parts beyond are shown (Q of Lupton et al. 2004)."""

    @field_validator("colour_bands")
    @classmethod
    def _three_bands(cls, bands: list[str] | None) -> list[str] | None:
        if bands is not None and len(bands) != 3:
            raise ValueError(f"expected three bands, found {bands}")
        return bands

    def colours(self, bands: list[str]) -> list[str]:
        """The bands shown as red, green and blue, if the data have these bands (in order of wavelength)."""
        if self.colour_bands is not None:
            return self.colour_bands
        if {"g", "r", "i"} <= set(bands):
            return ["i", "r", "g"]
        # With one or two bands the last is repeated, which makes grey or two colours.
        return [bands[min(index, len(bands) - 1)] for index in (2, 1, 0)]


class CapsuleSettings(Settings):
    """What is in a capsule beside the ensemble. Capsules are made on demand, by
    `snakemake results/capsules/nano.capsule`; a change here makes them
    anew, and with `pixel_scale_arcsec` the candidates page; nothing else.
    """

    pixel_scale_arcsec: float | None = Field(None, gt=0, le=60, examples=[0.2])
    """Side of a pixel of the data, for whoever uses the capsule and for the scale bar of the candidates page;
    `null`: not stated, and the bar is in pixels."""
    licence: str | None = Field(None, min_length=1, examples=["CC-BY-4.0"])
    """Licence of the weights. `null`: "not stated", or CC BY-NC 4.0 where a member starts from timm's
    published weights of ConvNeXt V2."""
    citation: str | None = Field(None, min_length=1, examples=["Doe et al. (2026)"])
    """What users of the capsule should cite; `null`: the citation file of this software."""
    drift: list[str] = Field([], examples=["[challenge]"])
    """Test sets of the config: how they differ from the training data is in the capsule. They are packed and
    predicted for it."""
    distil: bool = False
    """Whether each ensemble, say `nano`, has a `nano_distilled` of one network that learns the ensemble's
    probabilities: `snakemake results/capsules/nano_distilled.capsule` trains it and makes its capsule, whose
    model card states what is lost. It has the settings and the first seed of the ensemble's first model; for
    others write a model with `distil_from`."""
    distil_on: list[str] = Field([], examples=["[challenge]"], exclude_if=lambda value: not value)
    """With `distil`, the `distil_on` of those networks: test sets without labels whose objects they learn
    from too."""
    onnx: bool = False
    """Whether the ensemble is in the capsule as an ONNX graph too, from raw pixels to probability, which
    onnxruntime runs without PyTorch. Doubles the capsule's size; needs `pip install .[onnx]`."""


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
