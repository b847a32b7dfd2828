"""What the end of a run says."""

from pathlib import Path

import pytest

from snakemake_call import call_snakemake
from stronglens.formats.packed import PackSummary
from stronglens.formats.score_files import Metrics
from stronglens.formats.submission_record import SubmissionRecord
from stronglens.reporting.ending import ending_lines

PROJECT = Path(__file__).parents[3]


def write_record(path: Path, n_rows: int, n_lenses: int, threshold: float, *, simulated: bool) -> None:
    counts = {"n_rows": n_rows, "n_lenses": n_lenses, "threshold": threshold, "simulated": simulated}
    made_by = {"code": {"sha256": "0", "revision": None, "dirty": None}, "versions": {}, "machine": {}}
    made_from = {"folders": {"ensemble_csv": "a.csv"}, "files": {}, "members": [], "settings": {}}
    shape = {"form": "full", "level": "object", "sha256": {"submission.csv": "0"}}
    SubmissionRecord.model_validate(counts | made_by | made_from | shape).write(path)


def write_summary(path: Path, dataset: str, n_rejected: int, n_files: int) -> None:
    counts = {"n_rejected": n_rejected, "n_files": n_files, "n_cutouts": n_files, "n_objects": n_files}
    shape = {"labelled": True, "size_px": 41, "bands": ["g"]}
    sha256 = {"cutouts.npy": "0", "index.parquet": "0"}
    PackSummary.model_validate({"dataset": dataset, "sha256": sha256} | counts | shape).write(path)


@pytest.fixture
def made(tmp_path: Path) -> dict[str, list[Path]]:
    write_record(tmp_path / "submission.json", 1200, 37, 0.5018769106612369, simulated=True)
    scores = {"roc_auc": 0.95312, "threshold": 0.5, "intervals": {"roc_auc": [0.93111, 0.97499]}}
    Metrics.model_validate({"global": scores}).write(tmp_path / "metrics.json")
    (tmp_path / "index.html").touch()
    for name, dataset, n_rejected in (("a", "labelled", 3), ("b", "challenge", 1), ("c", "challenge", 0)):
        write_summary(tmp_path / f"{name}.json", dataset, n_rejected, n_files=5000)
    return {
        "submission": [tmp_path / "submission.json"],
        "held-out": [tmp_path / "metrics.json"],
        "candidates": [tmp_path / "index.html"],
        "report": [tmp_path / "overview.html"],  # not there
        "rejected": [tmp_path / f"{name}.json" for name in "abc"],
    }


def test_the_end_says_what_there_is_and_nothing_of_what_there_is_not(
    made: dict[str, list[Path]], tmp_path: Path
) -> None:
    lines = [line.replace(f"{tmp_path}/", "") for line in ending_lines(made)]
    assert lines == [
        "submission  submission.csv: 1,200 objects, 37 called lenses at t* = 0.502, of simulated data",
        "held-out    AUC 0.953, 95 % interval 0.931 to 0.975 (metrics.json)",
        "candidates  index.html",
        "rejected    3 of 5,000 files of labelled, 1 of 10,000 files of challenge; why: rejected.csv of each",
    ]


def test_files_that_cannot_be_read_give_no_line(made: dict[str, list[Path]]) -> None:
    for name in ("submission", "held-out", "rejected"):
        made[name][0].write_bytes(b"")
    assert [line.split()[0] for line in ending_lines(made)] == ["candidates"]
    assert ending_lines({}) == []


def test_many_sets_stay_one_line(tmp_path: Path) -> None:
    for number in range(30):
        write_summary(tmp_path / f"{number}.json", f"set_{number}", n_rejected=1, n_files=9)
    (line,) = ending_lines({"rejected": [tmp_path / f"{number}.json" for number in range(30)]})
    assert line.endswith("and 26 more sets; why: rejected.csv of each")


def test_a_run_ends_with_what_it_made_or_needed_alone(tmp_path: Path) -> None:
    """A submission that was there before is no result of it."""
    summary = tmp_path / "results/buckets/labelled/summary.json"
    target = "results/splits/objects.json"
    options = (
        *("-s", str(PROJECT / "Snakefile"), "--configfile", str(PROJECT / "config/challenge.yaml")),
        *("--touch", "--force", "--cores", "1", target),
    )
    write_summary(summary, "labelled", n_rejected=2, n_files=10)
    for name in ("cutouts.npy", "index.parquet", "parameters.parquet", "rejected.csv"):
        (summary.parent / name).touch()
    (tmp_path / target).parent.mkdir()
    for path in (tmp_path / target, tmp_path / "results/splits/objects.parquet", tmp_path / "submission.csv"):
        path.touch()
    write_record(tmp_path / "submission.json", 1, 1, 0.5, simulated=False)
    code, said = call_snakemake(tmp_path, *options)
    assert code == 0, said
    assert "rejected    2 of 10 files of labelled; why: rejected.csv of each" in said
    assert "submission  " not in said
    code, said = call_snakemake(tmp_path, *options, "--no-hooks")
    assert code == 0, said
    assert "files of labelled" not in said
