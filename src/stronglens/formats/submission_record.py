"""The record of a submission: everything that made it, and the hashes along the way."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from stronglens.formats.ensemble_table import Level
from stronglens.formats.sidecar import Part, Sidecar


class RecordedFolders(Part):
    """Where results of the steps before were, from the working folder; None or empty where not known."""

    ensemble_csv: str
    """The table of the ensemble, a file."""
    packed: list[str] = Field(default_factory=list)
    """Parts of the packed test set."""
    labelled: str | None = None
    splits: str | None = None
    members: list[str] = Field(default_factory=list)
    val_predictions: list[str] = Field(default_factory=list)
    test_predictions: list[str] = Field(default_factory=list)
    validation: str | None = None


class RecordedCode(Part):
    """Which code it was (see `stronglens.submitting.surroundings.code_state`)."""

    sha256: str
    revision: str | None
    dirty: bool | None
    changed: list[str] = Field(default_factory=list)


class RecordedEstimates(Part):
    """A lens parameter of a submission."""

    n_members: int
    """Members that estimate it."""
    n_objects: int
    """Objects with a value."""


class SubmissionRecord(Sidecar):
    """What `submission.json` says."""

    KIND: ClassVar[str] = "the record of a submission"
    FORMAT: ClassVar[int] = 2
    OLDEST: ClassVar[int] = 2

    n_rows: int
    n_lenses: int
    """Rows, and those of them that are called lenses."""
    threshold: float
    """t*."""
    simulated: bool
    """Whether the data are."""
    sha256: dict[str, str]
    """SHA-256 of the submission, by its name."""
    form: Literal["full", "template", "short", "probabilities"]
    """See `stronglens.submitting.submission_forms.FORMS`."""
    level: Level
    """What a row of the ensemble is."""
    members: list[dict[str, Any]]
    """What `best.json` says of each, and the fields of `stronglens.formats.prediction_files.Member`."""
    settings: dict[str, Any]
    """Of the steps before, by their names."""
    folders: RecordedFolders
    files: dict[str, str]
    """SHA-256 of the files that it came from, by path."""
    versions: dict[str, str]
    """Of Python and packages."""
    code: RecordedCode
    machine: dict[str, Any]
    ensemble: str | None = None
    testset: str | None = None
    """Their names."""
    data_sha256: list[dict[str, str]] = Field(default_factory=list)
    """SHA-256 of the files of each part of the packed test set, by their names."""
    unreadable: list[str] = Field(default_factory=list)
    """Objects of which nothing could be read."""
    unreadable_pred: int = 0
    """Their answer."""
    lens_parameters: dict[str, RecordedEstimates] = Field(default_factory=dict)

    @field_validator("sha256")
    @classmethod
    def _one_submission(cls, sha256: dict[str, str]) -> dict[str, str]:
        if len(sha256) != 1:
            raise ValueError(f"expected one submission, found {len(sha256)}")
        return sha256

    @property
    def submission(self) -> tuple[str, str]:
        """Name and SHA-256 of the submission."""
        (named,) = self.sha256.items()
        return named
