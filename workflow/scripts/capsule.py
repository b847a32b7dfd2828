"""Put an ensemble into one file that others can use: rule `capsule`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.settings.products import CapsuleSettings


class MakeCapsule(Command):
    """Put an ensemble into one file: networks, preprocessing, calibration, t*, scores, and what made them.

    `stronglens.load` and the command `stronglens` apply it without this workflow.
    """

    ensemble: str
    """Name of the ensemble."""
    members: list[Path]
    """Folder of a member; give it once for each."""
    validation: Path
    """Folder of the validation ensemble, with threshold.txt."""
    labelled: Path
    """Folder of the packed labelled data."""
    heldout_metrics: Path | None = None
    """Metrics of the held-out objects, metrics_test_ens.json."""
    completeness: Path | None = None
    """completeness.csv of the held-out objects."""
    drift: dict[str, Path] = Field({})
    """drift.json of a test set, as NAME=PATH; may be given several times."""
    heldout_table: Path | None = None
    """test_ens_labeled.csv of the held-out objects, with --teacher."""
    teacher: dict[str, Path] = Field({})
    """That of the ensemble whose probabilities the members have learnt, as NAME=PATH: the model card states
    what is lost."""
    settings: CapsuleSettings = CapsuleSettings()
    """What the ensemble does not say of itself."""
    simulated: bool = False
    """Record that the data are simulated."""
    out: Path
    """The capsule."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(MakeCapsule, _make, argv)


def _make(options: MakeCapsule) -> None:
    from stronglens.finder.making import CapsuleOrigins, make_capsule  # noqa: PLC0415 - --help need not wait for PyTorch

    origins = CapsuleOrigins(
        members=options.members,
        validation=options.validation,
        labelled=options.labelled,
        heldout_metrics=options.heldout_metrics,
        completeness=options.completeness,
        drift=options.drift,
        heldout_table=options.heldout_table,
        teachers=options.teacher,
    )
    make_capsule(options.ensemble, origins, options.out, options.settings, simulated=options.simulated)


if __name__ == "__main__":
    sys.exit(main())
