"""Settings of the last steps: how probabilities become one, ensembles, the threshold, what is reported, the
submission.
"""

from typing import Annotated, Literal, Self

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


class EnsembleSettings(CombineSettings):
    """A named list of models; all their seeds take part, and unless set otherwise every member has
    the same weight. What is fitted (a logistic combiner of bands, weights of members, a calibration) is
    fitted on the validation objects, whose own probabilities are cross-fitted: those of each fifth of the
    objects come from the other four, and so t* and the scores of validation do not see what they were fitted
    on.
    """

    models: list[str] = Field(min_length=1, examples=["[nano]"])
    """Names of blocks under `models`."""
    level: Literal["object", "file"] = Field("object", examples=["object"])
    """What a row is: an object (the mean over its bands), or a file, as in the original pipeline."""

    @property
    def combination(self) -> CombineSettings:
        """How bands and members are combined."""
        return CombineSettings(**{key: getattr(self, key) for key in CombineSettings.model_fields})


MEMBER_METHODS = ("mean_of_members", "median_of_members")
"""Methods that start from the thresholds of members."""


class ThresholdSettings(Settings):
    """How t* is chosen on the validation ensemble."""

    method: Literal["youden", "mean_of_members", "median_of_members", "fbeta", "fpr", "purity"] = Field(
        "youden", examples=["youden"]
    )
    """`youden`: the threshold of the ensemble's probabilities with the highest Youden's J (true positive
    rate minus false positive rate). `mean_of_members`, `median_of_members`: of the thresholds that have the
    highest J for each member alone. `fbeta`: the highest F-beta. `fpr`, `purity`: the highest true positive
    rate with a false positive rate of at most `fpr`, or a purity of at least `purity`."""
    beta: float = Field(1.0, gt=0, le=100, examples=[0.1])
    """For `fbeta`: how many times completeness counts as much as purity; below 1, purity counts more."""
    fpr: float = Field(0.01, ge=0, lt=1, examples=[0.01])
    """For `fpr`: the false positive rate that is allowed."""
    purity: float = Field(0.9, gt=0, le=1, examples=[0.9])
    """For `purity`: the purity (fraction of lenses among what is called a lens) that is wanted."""
    prevalence: float | None = Field(None, gt=0, lt=1, examples=[1e-3])
    """For `fbeta` and `purity`: fraction of lenses in the sky, for which purity is computed; `null` takes
    that of the validation objects."""


FORMS_WITH_PARAMETERS = ("full", "template")
"""Forms of the submission that have columns for parameters of lenses."""


class SubmissionSettings(Settings):
    """What is submitted, and in which form."""

    ensemble: str = Field(examples=["nano"])
    """The ensemble that `submission.csv` comes from."""
    testset: str = Field("challenge", examples=["challenge"])
    """The test set that is submitted."""
    form: Literal["full", "template", "short", "probabilities"] = Field("full", examples=["full"])
    """Columns: `full`, 32 with -99 for what is not estimated; `template`, the organisers' 41 with -999;
    `short`, id and preds; `probabilities`, id and prob."""
    unreadable_pred: Literal[0, 1] = Field(0, examples=[0])
    """The answer for an object without a readable file: 0, no lens, or 1."""
    # Not in records where it is off: those of submissions without stay as they were before there was any.
    lens_parameters: bool = Field(False, exclude_if=lambda value: not value)
    """Write the ensemble's estimates of lens parameters into the columns that the form has for them, for
    objects that are called lenses; the filler stays everywhere else. Needs a model with `lens_parameters` in
    the ensemble, and the form `full` or `template`."""


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
