"""Check a submission against the record of what made it: by hand."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.running.cli import Command, run


class CheckSubmission(Command):
    """Check a submission against the record of what made it.

    The submission must be the file that the record states; the results it came from, where they are still
    there, must be those that the record states; and t*, the ensemble and the submission are computed again
    from the predictions. Ends with exit code 1 and a line for each thing that differs.
    """

    submission: Path = Path("submission.csv")
    """The submission."""
    record: Path = Path("submission.json")
    """The record beside it."""
    root: Path | None = None
    """Folder that the record's paths are relative to, where Snakemake ran; the record's own folder if
    not given."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(CheckSubmission, _check, argv)


def _check(options: CheckSubmission) -> None:
    from stronglens.submitting.recheck import check_against_record  # noqa: PLC0415 - --help need not wait

    check_against_record(options.submission, options.record, options.root or options.record.parent)


if __name__ == "__main__":
    sys.exit(main())
