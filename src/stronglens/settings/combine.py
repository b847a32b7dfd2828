"""Settings of the way from the probabilities of bands and members to one."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stronglens.settings.base import Settings
from stronglens.settings.domains import Domain


class CombineSettings(Settings):
    """How the probabilities of bands and members become one: bands first, then members, then calibration.

    What is fitted is fitted on the validation objects. Their own probabilities are cross-fitted (five folds
    of objects), so that t* and the scores of validation come from probabilities that were fitted without the
    object.
    """

    combine_bands: Literal["mean", "logistic"] = Field("mean", examples=["logistic"])
    """From the bands of an object to one probability, for members that see single cutouts: `mean`, or
    `logistic`, a logistic regression on the logits of the bands, fitted for each member; a missing band adds
    nothing."""
    combine_members: Literal["mean_of_probs", "mean_of_logits", "weighted"] = Field(
        "mean_of_probs", examples=["mean_of_logits"]
    )
    """From members to one probability: `mean_of_probs`; `mean_of_logits`; `weighted`, the mean of
    probabilities with the weights (0 or more, of sum 1) of highest likelihood."""
    calibration: Literal["none", "temperature", "platt", "isotonic"] = Field("none", examples=["temperature"])
    """Of the combined probability: `temperature`, one factor on the logit; `platt`, a factor and an offset;
    `isotonic`, a rising function of steps, which makes some probabilities equal. The uncalibrated one is kept
    as `prob_raw`."""
    sky_prevalence: float | None = Field(None, gt=0, lt=1, examples=[1e-4])
    """Fraction of lenses in the sky: adds the column `prob_sky`, the probability corrected for it; needs a
    calibration. `prob` itself, t* and the scores stay those of the validation data; `null` adds nothing."""
    validation_domains: list[Domain] | None = Field(None, min_length=1, examples=["[slsim]"])
    """Domains whose validation objects take part in fitting and in choosing t*; `null` takes all."""

    @model_validator(mode="after")
    def _domains_differ(self) -> Self:
        domains = self.validation_domains or []
        if len(set(domains)) < len(domains):
            raise ValueError(f"validation_domains: found one twice in {domains}; for example [slsim]")
        return self

    @property
    def is_fitted(self) -> bool:
        """Whether anything is learnt from the validation objects."""
        return (
            self.combine_bands == "logistic"
            or self.combine_members == "weighted"
            or self.calibration != "none"
            or self.sky_prevalence is not None
        )

    @property
    def is_plain(self) -> bool:
        """Whether an object's probability is the mean over bands and members, and nothing else."""
        return not self.is_fitted and self.combine_members == "mean_of_probs"
