"""Options that scoring probabilities and drawing them share: what is scored, at which threshold."""

from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from stronglens.running.cli import Command

if TYPE_CHECKING:
    from stronglens.scoring.scored import Scored


class ScoredOptions(Command):
    """Options of a step that takes labels, probabilities and a threshold."""

    csv: Path | None = None
    """Table with columns label and prob, and domain if known."""
    labels: Path | None = None
    """NPY file of labels, 1 lens and 0 none; needs --probs."""
    probs: Path | None = None
    """NPY file of probabilities, in the order of --labels."""
    threshold: float | None = Field(None, ge=0, le=1)
    """Objects with at least this probability are called lenses."""
    threshold_file: Path | None = None
    """File with the threshold, such as threshold.txt."""
    optimize_threshold: bool = False
    """Take the threshold with the highest Youden's J on these very objects: it flatters the result."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        by_arrays = self.labels is not None and self.probs is not None
        if (self.csv is not None) == by_arrays or (self.labels is None) != (self.probs is None):
            raise ValueError("give either --csv FILE, or --labels FILE and --probs FILE")
        n_thresholds = sum(
            (self.threshold is not None, self.threshold_file is not None, self.optimize_threshold)
        )
        if n_thresholds != 1:
            raise ValueError(
                "give one of --threshold NUMBER, --threshold-file FILE, --optimize-threshold; "
                f"found {n_thresholds or 'none'}"
            )
        return self

    def read(self) -> tuple["Scored", float]:
        """Read what the options name: labels and probabilities, and the threshold, from 0 to 1.

        Raises
        ------
        InputError
            See `stronglens.scoring.scored` and `stronglens.formats.threshold_file`.
        """
        # --help need not wait for pyarrow and scikit-learn.
        from stronglens.formats.threshold_file import read_threshold  # noqa: PLC0415
        from stronglens.scoring.operating_points import youden_threshold  # noqa: PLC0415
        from stronglens.scoring.scored import read_scored_csv, read_scored_npy  # noqa: PLC0415

        if self.csv is not None:
            scored = read_scored_csv(self.csv)
        elif self.labels is not None and self.probs is not None:
            scored = read_scored_npy(self.labels, self.probs)
        if self.threshold is not None:
            return scored, self.threshold
        if self.threshold_file is not None:
            return scored, read_threshold(self.threshold_file)
        return scored, youden_threshold(scored.labels, scored.probs)
