"""Run times and memory of the jobs, by rule."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from stronglens.formats.artefact import write_text
from stronglens.formats.figures import BLUE, GREY, ORANGE, save_figure
from stronglens.reporting.jobs import Jobs
from stronglens.running.errors import InputError

log = logging.getLogger(__name__)

COLUMNS = {"s": "run_time_s", "max_rss": "memory_mb", "cpu_time": "cpu_time_s"}
"""Columns of Snakemake's benchmark files, and the names they get here: wall-clock seconds, largest resident
memory in MiB, seconds of CPU time."""


def plot_run_times(benchmarks: Path, jobs: Jobs, path: Path) -> None:
    """Draw run time and memory of each job, a line a rule, and write them as a table.

    Parameters
    ----------
    benchmarks : Path
        Folder of Snakemake's benchmark files, `{rule}/….tsv` or `{rule}.tsv`. It may be gone.
    jobs : Jobs
        Those of the run; other files in the folder are of other runs.
    path : Path
        A PNG file; PDF and CSV files of the same name are written beside it.

    Raises
    ------
    InputError
        One of their files is no benchmark.
    """
    measured = read_benchmarks(benchmarks, jobs)
    write_text(path.with_suffix(".csv"), measured.to_csv(index=False, lineterminator="\n"))
    save_figure(draw_run_times(measured), path)
    log.info("%s: %d jobs", path, len(measured))


def read_benchmarks(folder: Path, jobs: Jobs) -> pd.DataFrame:
    """Read the benchmark files of jobs: a row a job, with rule, job, and the values of `COLUMNS`.

    Memory and CPU time are NaN where a job was too short to be looked at.
    """
    rows = []
    for path in jobs.benchmarks(folder):
        try:
            # Snakemake writes "-" or "NA" for what it could not measure.
            first = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[0]
            values = {name: float(first[column]) for column, name in COLUMNS.items()}
        except (ValueError, KeyError, IndexError) as error:
            raise InputError(f"{path}: expected a benchmark of Snakemake, found something else") from error
        inside = path.relative_to(folder).with_suffix("")
        rows.append({"rule": inside.parts[0], "job": "/".join(inside.parts[1:]), **values})
    return pd.DataFrame(rows, columns=["rule", "job", *COLUMNS.values()])


def draw_run_times(jobs: pd.DataFrame) -> Figure:
    """A dot a job and a stroke for the median; times and memory on logarithmic axes."""
    rules = list(dict.fromkeys(jobs.sort_values("run_time_s", ascending=False)["rule"]))
    figure = Figure(figsize=(9.5, 0.34 * max(len(rules), 3) + 1.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, column, colour, name in (
        (panels[0], "run_time_s", BLUE, "run time (s)"),
        (panels[1], "memory_mb", ORANGE, "largest memory (MiB)"),
    ):
        for row, rule in enumerate(rules):
            values = jobs.loc[jobs["rule"] == rule, column].dropna().to_numpy(dtype=np.float64)
            values = values[values > 0]
            if not len(values):
                continue
            axes.plot(values, np.full(len(values), row), "o", color=colour, markersize=5, alpha=0.7)
            axes.plot(np.median(values), row, "|", color="black", markersize=16, markeredgewidth=1.6)
        axes.set(xlabel=name, xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelsize="small")
        axes.grid(alpha=0.3, axis="x")
    counts = jobs["rule"].value_counts()
    panels[0].set_yticks(range(len(rules)), [f"{rule} ({counts[rule]})" for rule in rules])
    panels[0].invert_yaxis()
    total_h = float(jobs["run_time_s"].sum()) / 3600
    if len(jobs):
        figure.suptitle(f"{len(jobs)} jobs, {total_h:.2f} hours in all (dot: a job; stroke: the median)")
    else:
        figure.text(0.5, 0.5, "No benchmarks are there.", ha="center", color=GREY)
    return figure
