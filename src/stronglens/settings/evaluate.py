"""Settings of evaluation."""

from typing import Annotated

from pydantic import Field

from stronglens.settings.base import Settings

Prevalence = Annotated[float, Field(gt=0, lt=1)]


class EvaluateSettings(Settings):
    """What is reported of an ensemble in addition to the standard metrics; it changes no other result."""

    prevalences: list[Prevalence] = Field([1e-2, 1e-3, 1e-4], examples=["[1e-2, 1e-3, 1e-4]"])
    """Fractions of lenses in the sky for which purity, F-beta, and completeness at a purity are given."""
    beta: float = Field(0.1, gt=0, le=100, examples=[0.1])
    """Of F-beta: how many times completeness counts as much as purity."""
    purity: float = Field(0.9, gt=0, le=1, examples=[0.9])
    """Purity at which completeness is reported."""
    magnitude_band: str = Field("i", min_length=1, examples=["i"])
    """Band of the lens and source magnitudes by which completeness is reported."""
    n_bins: int = Field(5, ge=1, le=100, examples=[5])
    """Bins of Einstein radius and magnitudes, with as many lenses in each."""
