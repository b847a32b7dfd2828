"""Find lenses that are known already in a test set: rule `match_known_lenses`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.formats.packed import parts_of
from stronglens.running.cli import Command, run
from stronglens.settings.products import KnownLensesSettings


class MatchKnownLenses(Command):
    """Match tables of known lenses with the objects of a test set: which were recovered, which missed."""

    ensemble_csv: Path
    """Table of the ensemble for the test set, test_ens.csv (or test_ens_labeled.csv)."""
    packed: list[Path]
    """Folder of the packed test set."""
    parts: int | None = Field(None, ge=1)
    """Number of parts in which it is cut (`part_0`, `part_1`, …); without it the folder itself is taken."""
    some: bool = False
    """The test set is some of the packed objects: what could not be read is no part of it."""
    out_dir: Path
    """Folder for known_lenses.csv and known_lenses.json."""
    settings: KnownLensesSettings
    """Tables of known lenses, and how near an object has to be."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(MatchKnownLenses, _match, argv)


def _match(options: MatchKnownLenses) -> None:
    from stronglens.cataloguing.known import match_known  # noqa: PLC0415 - --help need not wait for astropy

    packed = parts_of(options.packed, options.parts)
    match_known(options.ensemble_csv, packed, options.out_dir, options.settings, whole=not options.some)


if __name__ == "__main__":
    sys.exit(main())
