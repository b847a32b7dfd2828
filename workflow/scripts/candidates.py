"""Make the page of candidates: rule `candidates`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.formats.packed import parts_of
from stronglens.running.cli import Command, run
from stronglens.settings.products import CandidatesSettings


class Candidates(Command):
    """Make a page to look at candidates with: index.html, and what it needs beside it.

    It opens from disk in any browser, with neither a server nor a network.
    """

    ensemble_csv: Path
    """Table of the ensemble for the test set, test_ens.csv (or test_ens_labeled.csv)."""
    packed: list[Path]
    """Folder of the packed test set."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which it is cut (`part_0`, `part_1`, …); without it the folder itself is taken."""
    heldout_csv: Path
    """The same table for the held-out objects, test_ens_labeled.csv."""
    labelled: Path
    """Folder of the packed labelled data."""
    out_dir: Path
    """Folder for the files."""
    ensemble: str
    """Name of the ensemble, for the page."""
    testset: str
    """Name of the test set, for the page and for exported grades."""
    simulated: bool = False
    """Say on the page that the data are simulated."""
    known_lenses: Path | None = None
    """known_lenses.csv of this ensemble and test set: such objects are marked, or left out."""
    pixel_scale_arcsec: float | None = Field(None, gt=0)
    """Side of a pixel, for the scale bar; without it the bar is in pixels."""
    settings: CandidatesSettings = CandidatesSettings()
    """How many objects, and how colours are made."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(Candidates, _make, argv)


def _make(options: Candidates) -> None:
    from stronglens.candidates.page import make_page  # noqa: PLC0415 - --help need not wait for astropy

    make_page(
        options.ensemble_csv,
        parts_of(options.packed, options.parts),
        options.heldout_csv,
        options.labelled,
        options.out_dir,
        options.settings,
        ensemble=options.ensemble,
        testset=options.testset,
        simulated=options.simulated,
        known_lenses=options.known_lenses,
        pixel_scale_arcsec=options.pixel_scale_arcsec,
    )


if __name__ == "__main__":
    sys.exit(main())
