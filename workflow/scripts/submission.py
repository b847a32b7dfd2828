"""Write a challenge submission: rule `submission`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from stronglens.formats.packed import parts_of
from stronglens.running.cli import Command, run
from stronglens.settings.decide import SubmissionSettings, ThresholdSettings
from stronglens.submitting.record import Origins
from stronglens.submitting.submission import make_submission


class Submission(Command):
    """Write a challenge submission: one row for each object of the test set, and a record of what made it.

    What is given for the record must be what the answers come from; what is not given is not in it.
    """

    # The parser would ask for --settings.ensemble though it stands in --settings; the class checks it anyway.
    model_config = SettingsConfigDict(cli_enforce_required=False)

    ensemble_csv: Path
    """test_ens.csv of the ensemble; test_ens.json is in the same folder."""
    packed: list[Path]
    """Folder of the packed test set; may be given several times, once for each part."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which every folder of `--packed` is cut (`part_0`, `part_1`, …); without it the
    folders themselves are taken."""
    out: Path
    """File for the submission."""
    provenance: Path
    """JSON file that says what made the submission."""
    settings: SubmissionSettings
    """Form, and the answer for objects that could not be read."""
    simulated: bool = False
    """Record that the data are simulated."""
    labelled: Path | None = None
    """Folder of the packed labelled data, for the record, as all that follows."""
    splits: Path | None = None
    """Folder of the split."""
    members: list[Path] = Field(default_factory=list)
    """Folder of a member; give it once for each."""
    val_predictions: list[Path] = Field(default_factory=list)
    """Folder of a member's validation predictions; give it once for each."""
    test_predictions: list[Path] = Field(default_factory=list)
    """Folder of a member's predictions of the test set; give it once for each. Holds `part_0`, … if `--parts`
    is given."""
    validation: Path | None = None
    """Folder of the validation ensemble, with threshold.txt."""
    threshold: ThresholdSettings | None = None
    """How t* was chosen."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(Submission, _submit, argv)


def _submit(options: Submission) -> None:
    make_submission(
        options.ensemble_csv,
        parts_of(options.packed, options.parts),
        options.out,
        options.provenance,
        options.settings,
        simulated=options.simulated,
        origins=Origins(
            labelled=options.labelled,
            splits=options.splits,
            members=options.members,
            val_predictions=options.val_predictions,
            test_predictions=parts_of(options.test_predictions, options.parts),
            validation=options.validation,
        ),
        threshold_settings=options.threshold,
    )


if __name__ == "__main__":
    sys.exit(main())
