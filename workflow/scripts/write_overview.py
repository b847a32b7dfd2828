"""Write the first pages of the report: rule `write_overview`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run


class WriteOverview(Command):
    """Write the numbers that matter, with their intervals, as an HTML page that needs nothing beside it."""

    ensemble: str
    """Name of the ensemble."""
    validation: Path
    """metrics_val_ens.json of the ensemble."""
    scored: dict[str, Path]
    """metrics_test_ens.json of each labelled test set: NAME=FILE."""
    field: dict[str, Path] = Field(default_factory=dict)
    """field_metrics.json of validation and of each labelled test set: NAME=FILE."""
    blind: dict[str, Path] = Field(default_factory=dict)
    """test_ens.csv of each test set without labels: NAME=FILE."""
    drift: dict[str, Path] = Field(default_factory=dict)
    """drift.json of each of these: NAME=FILE."""
    known_lenses: dict[str, Path] = Field(default_factory=dict)
    """known_lenses.csv of each test set in which known lenses were looked for: NAME=FILE."""
    members: list[Path]
    """Folder of a member; give it once for each."""
    simulated: bool = False
    """Say that the data are simulated."""
    citation: Path | None = None
    """CITATION.cff, for how to cite."""
    out: Path
    """HTML file."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(WriteOverview, _write, argv)


def _write(options: WriteOverview) -> None:
    from stronglens.reporting.overview import Results, write_overview  # noqa: PLC0415 - --help need not wait for pandas

    write_overview(
        Results(
            validation=options.validation,
            scored=options.scored,
            blind=options.blind,
            drift=options.drift,
            members=options.members,
            field=options.field,
            known=options.known_lenses,
        ),
        options.out,
        ensemble=options.ensemble,
        simulated=options.simulated,
        citation=options.citation,
    )


if __name__ == "__main__":
    sys.exit(main())
