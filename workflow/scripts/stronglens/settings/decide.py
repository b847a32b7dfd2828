"""Settings of the last steps: ensembles, the threshold, the submission."""

from typing import Literal

from pydantic import Field

from stronglens.settings.base import Settings


class EnsembleSettings(Settings):
    """A named list of models; all their seeds take part, every member with the same weight."""

    models: list[str] = Field(min_length=1, examples=["[nano]"])
    """Names of blocks under `models`."""
    level: Literal["object", "file"] = Field("object", examples=["object"])
    """What a row is: an object (the mean over its bands), or a file, as in the original pipeline."""


class ThresholdSettings(Settings):
    """How t* is chosen on the validation ensemble."""

    method: Literal["youden", "mean_of_members", "median_of_members"] = Field("youden", examples=["youden"])
    """`youden`: the threshold of the ensemble's probabilities with the highest Youden's J (true positive
    rate minus false positive rate). `mean_of_members`, `median_of_members`: of the thresholds that have the
    highest J for each member alone."""


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
    """The answer for an object of which no file could be read: 0, no lens, or 1."""
