"""Make a small data set in the challenge's format: rule `simulate`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stronglens.running.cli import Command, run
from stronglens.settings.data import SimulateSettings


class Simulate(Command):
    """Make a small data set of simulated lenses and look-alikes in the challenge's format."""

    out_dir: Path
    """Folder for labelled/, test_dataset_updated/, truth.csv and simulated.json."""
    settings: SimulateSettings = SimulateSettings()
    """Numbers of objects, and the seed."""
    processes: int | None = Field(None, ge=1)
    """Processes; as many as there are processors for this job if not given. Changes no byte."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(Simulate, _simulate, argv)


def _simulate(options: Simulate) -> None:
    from stronglens.simulation.data_set import simulate  # noqa: PLC0415 - --help need not wait for lenstronomy

    simulate(options.out_dir, options.settings, options.processes or len(os.sched_getaffinity(0)))


if __name__ == "__main__":
    sys.exit(main())
