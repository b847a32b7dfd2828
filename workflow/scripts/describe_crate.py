"""Say what made a submission in the terms of RO-Crate: rule `describe_crate`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import Command, run
from stronglens.submitting.crate import write_crate


class DescribeCrate(Command):
    """Write ro-crate-metadata.json: a submission, what it came from, the software, the licence."""

    record: Path
    """submission.json, from submission.py; the submission is beside it."""
    licence: str | None = None
    """Licence of the submission."""
    out: Path
    """The metadata; its folder is the root of the crate."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(DescribeCrate, _describe, argv)


def _describe(options: DescribeCrate) -> None:
    write_crate(options.record, options.out, licence=options.licence)


if __name__ == "__main__":
    sys.exit(main())
