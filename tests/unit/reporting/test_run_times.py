"""Run times of jobs: read as Snakemake wrote them, drawn by rule."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stronglens.reporting.jobs import Jobs
from stronglens.reporting.run_times import draw_run_times, read_benchmarks
from stronglens.running.errors import InputError


class AllOf(Jobs):
    """Every file of a folder."""

    def __init__(self) -> None:
        pass

    def benchmarks(self, folder: Path) -> list[Path]:
        return sorted(folder.rglob("*.tsv"))


def write(path: Path, s: str, rss: str, cpu: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{s}\t0:00:01\t{rss}\t{cpu}\n")


def test_a_row_a_job_with_gaps_where_nothing_was_measured(tmp_path: Path) -> None:
    write(tmp_path / "train/nano/42.tsv", "12.5", "900.25", "11")
    write(tmp_path / "submit.tsv", "0.1", "-", "NA")
    table = read_benchmarks(tmp_path, AllOf())
    assert table["rule"].tolist() == ["submit", "train"]
    assert table["job"].tolist() == ["", "nano/42"]
    assert table["run_time_s"].tolist() == [0.1, 12.5]
    assert table["memory_mb"].tolist()[1] == 900.25
    assert np.isnan(table["memory_mb"][0])
    assert np.isnan(table["cpu_time_s"][0])


@pytest.mark.parametrize("content", ["", "s\tmax_rss\n1\t2\n", "s\tmax_rss\tcpu_time\n"])
def test_what_is_no_benchmark_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text(content)
    with pytest.raises(InputError, match=r"x\.tsv: expected a benchmark of Snakemake, found something else"):
        read_benchmarks(tmp_path, AllOf())


def test_rules_are_drawn_the_longest_first() -> None:
    jobs = pd.DataFrame(
        {
            "rule": ["short", "long", "long", "long"],
            "job": ["", "a", "b", "c"],
            "run_time_s": [60.0, 3600.0, 1200.0, 2340.0],
            "memory_mb": [np.nan, 10.0, 30.0, 20.0],
        }
    )
    figure = draw_run_times(jobs)
    assert figure.get_suptitle().startswith("4 jobs, 2.00 hours in all")
    times, memory = figure.axes
    assert [label.get_text() for label in times.get_yticklabels()] == ["long (3)", "short (1)"]
    dots, median, *_ = times.lines
    assert np.asarray(dots.get_xydata()).tolist() == [[3600, 0], [1200, 0], [2340, 0]]
    assert np.asarray(median.get_xydata()).tolist() == [[2340, 0]]
    assert len(memory.lines) == 2  # of the short one nothing is known
    assert times.get_xscale() == "log"


def test_no_benchmarks_are_said() -> None:
    figure = draw_run_times(pd.DataFrame(columns=["rule", "job", "run_time_s", "memory_mb"]))
    assert [text.get_text() for text in figure.texts] == ["No benchmarks are there."]
