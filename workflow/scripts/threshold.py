"""Choose the threshold t* on the validation ensemble: rule `threshold`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from stronglens.running.cli import Command, run
from stronglens.settings.decide import MEMBER_METHODS, ThresholdSettings


class Threshold(Command):
    """Choose the threshold t* on the validation ensemble.

    Writes threshold.txt, which holds t* alone, and metrics_val_ens.json, the ensemble's metrics at t*.
    """

    ensemble_csv: Path
    """val_ens.csv of the ensemble; val_ens.json is in the same folder."""
    predictions: list[Path] = Field(default_factory=list)
    """Folder with the validation predictions of one member; give it once for each member. Needed for the
    methods mean_of_members and median_of_members, not read for the others."""
    out_dir: Path
    """Folder for the results."""
    settings: ThresholdSettings = ThresholdSettings()
    """The method."""

    @model_validator(mode="after")
    def _members_are_given(self) -> Self:
        if self.settings.method in MEMBER_METHODS and not self.predictions:
            raise ValueError(f"method {self.settings.method} needs --predictions FOLDER for each member")
        return self


def main(argv: Sequence[str] | None = None) -> int:
    return run(Threshold, _choose, argv)


def _choose(options: Threshold) -> None:
    from stronglens.scoring.threshold import choose_threshold  # noqa: PLC0415 - --help need not wait for scikit-learn

    choose_threshold(options.ensemble_csv, options.out_dir, options.settings, options.predictions)


if __name__ == "__main__":
    sys.exit(main())
