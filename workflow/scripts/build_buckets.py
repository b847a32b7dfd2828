"""Pack the cutouts of a data set: rule `build_buckets`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.settings.data import PackSettings


class BuildBuckets(Command):
    """Find, check and pack the cutouts of a data set: read every FITS file once, never again."""

    settings: PackSettings
    """Where the data set is, and what its cutouts must be."""
    out_dir: Path
    """Folder for cutouts.npy, index.parquet, parameters.parquet, rejected.csv and summary.json."""
    part: int = Field(0, ge=0)
    """Which part of the set to pack."""
    parts: int = Field(1, ge=1)
    """Number of parts the set is cut into."""
    processes: int | None = Field(None, ge=1)
    """Processes that read; as many as there are processors for this job if not given."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(BuildBuckets, _build_buckets, argv)


def _build_buckets(options: BuildBuckets) -> None:
    # Processes that read begin with this file, and need little of what packing imports.
    from stronglens.packing.pack import build_buckets  # noqa: PLC0415

    build_buckets(
        options.settings,
        options.out_dir,
        n_processes=options.processes or len(os.sched_getaffinity(0)),
        part=options.part,
        n_parts=options.parts,
    )


if __name__ == "__main__":
    sys.exit(main())
