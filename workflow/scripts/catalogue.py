"""Make a catalogue of a test set in the formats of other programs: rule `catalogue`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.formats.packed import parts_of
from stronglens.running.cli import Command, run
from stronglens.settings.products import CatalogueSettings


class MakeCatalogue(Command):
    """Write a catalogue of all objects of a test set as Parquet, FITS and VOTable, and a watch list of
    candidates.

    Units, UCDs and provenance are in the metadata of each file.
    """

    ensemble_csv: Path
    """Table of the ensemble for the test set, test_ens.csv (or test_ens_labeled.csv)."""
    packed: list[Path]
    """Folder of the packed test set."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which it is cut (`part_0`, `part_1`, …); without it the folder itself is taken."""
    members: list[Path]
    """Folder of a member; give it once for each."""
    known_lenses: Path | None = None
    """known_lenses.csv of this ensemble and test set, to mark known lenses."""
    some: bool = False
    """The test set is some of the packed objects: what could not be read is no part of it."""
    out_dir: Path
    """Folder for the files."""
    ensemble: str
    """Name of the ensemble."""
    testset: str
    """Name of the test set."""
    simulated: bool = False
    """Record that the data are simulated."""
    settings: CatalogueSettings = CatalogueSettings()
    """For the watch list."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(MakeCatalogue, _make, argv)


def _make(options: MakeCatalogue) -> None:
    from stronglens.cataloguing.catalogue import CatalogueOrigins, make_catalogue  # noqa: PLC0415 - astropy loads slowly

    origins = CatalogueOrigins(
        csv=options.ensemble_csv,
        packed=parts_of(options.packed, options.parts),
        members=options.members,
        known=options.known_lenses,
        whole=not options.some,
    )
    make_catalogue(
        origins,
        options.out_dir,
        options.settings,
        ensemble=options.ensemble,
        testset=options.testset,
        simulated=options.simulated,
    )


if __name__ == "__main__":
    sys.exit(main())
