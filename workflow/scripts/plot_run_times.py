"""Draw run times and memory of the jobs, by rule: rule `plot_run_times`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from stronglens.reporting.jobs import Jobs
from stronglens.running.cli import Command, run


class PlotRunTimes(Command):
    """Draw run time and memory of each job by rule: PNG and PDF, and a table as CSV."""

    benchmarks: Path
    """Folder of Snakemake's benchmark files."""
    jobs: Jobs
    """The jobs of the run; other files in the folder are of other runs."""
    out: Path
    """PNG file; PDF and CSV files of the same name are written beside it."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(PlotRunTimes, _plot, argv)


def _plot(options: PlotRunTimes) -> None:
    from stronglens.reporting.run_times import plot_run_times  # noqa: PLC0415 - --help need not wait for pandas

    plot_run_times(options.benchmarks, options.jobs, options.out)


if __name__ == "__main__":
    sys.exit(main())
