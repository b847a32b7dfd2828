"""Combine the predictions of an ensemble's members: rules `ensemble_val`, `ensemble_train` and others."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from stronglens.ensembling.ensemble import make_ensemble
from stronglens.formats.ensemble_table import Level
from stronglens.formats.packed import parts_of
from stronglens.formats.prediction_files import Which
from stronglens.formats.threshold_file import read_threshold
from stronglens.running.cli import Command, run
from stronglens.settings.decide import CombineSettings


class Ensemble(Command):
    """Combine the predictions of all members of an ensemble.

    The probability of an object is the mean over its cutouts for each member, then the mean over members,
    every member with the same weight, unless the settings say otherwise. Writes val_ens.csv, train_ens.csv or
    test_ens.csv (test_ens_labeled.csv) and a JSON file that describes it.
    """

    predictions: list[Path]
    """Folder with the predictions of one member; give it once for each member, and for each part of the data
    unless `--parts` is given."""
    packed: list[Path]
    """Folder of the packed data set that was predicted; may be given several times."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which every folder of `--predictions` and `--packed` is cut (`part_0`, `part_1`, …);
    without it the folders themselves are taken."""
    which: Which = "val"
    """Which predictions: pred_train.csv, pred_val.csv or pred_test.csv."""
    level: Level = "object"
    """What a row is: an object, or a file (not for models that stack the bands)."""
    threshold: Path | None = None
    """File with the threshold t*, for `--which test` and only there: adds the column pred, 1 where
    prob >= t*."""
    labelled: bool = False
    """The test set has labels: writes test_ens_labeled.csv."""
    settings: CombineSettings = CombineSettings()
    """How bands and members are combined, for `--which val`."""
    validation: Path | None = None
    """val_ens.json of the validation ensemble, for `--which train` and `test`: what was chosen and fitted
    there holds here. Without it, means are taken."""
    out_dir: Path
    """Folder for the results."""

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if (self.threshold is None) != (self.which != "test"):
            raise ValueError(
                f"--threshold FILE is needed with --which test and means nothing with --which {self.which}"
            )
        if self.validation is not None and self.which == "val":
            raise ValueError("--validation is not for --which val, which is combined as --settings say")
        if self.settings != CombineSettings() and self.which != "val":
            raise ValueError("--settings are for --which val; all else is combined as --validation says")
        if self.labelled and self.which != "test":
            raise ValueError("--labelled is for --which test; splits of labelled data always have labels")
        return self


def _combine(options: Ensemble) -> None:
    make_ensemble(
        parts_of(options.predictions, options.parts),
        parts_of(options.packed, options.parts),
        options.out_dir,
        which=options.which,
        level=options.level,
        threshold=None if options.threshold is None else read_threshold(options.threshold),
        labelled=options.labelled,
        settings=options.settings,
        validation=options.validation,
    )


def main(argv: Sequence[str] | None = None) -> int:
    return run(Ensemble, _combine, argv)


if __name__ == "__main__":
    sys.exit(main())
