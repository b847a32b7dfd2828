"""Settings of the page of candidates."""

from pydantic import Field, field_validator

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
        return [bands[min(place, len(bands) - 1)] for place in (2, 1, 0)]
