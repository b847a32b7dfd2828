"""What the end of a run says."""

from pathlib import Path

import pytest

from snakemake_call import call_snakemake
from stronglens.formats.artefact import write_json
from stronglens.reporting.ending import ending_lines

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def made(tmp_path: Path) -> dict[str, list[Path]]:
    record = {"n_rows": 1200, "n_lenses": 37, "threshold": 0.5018769106612369, "simulated": True}
    write_json(tmp_path / "submission.json", record | {"sha256": {"submission.csv": "0"}})
    scores = {"roc_auc": 0.95312, "intervals": {"roc_auc": [0.93111, 0.97499]}}
    write_json(tmp_path / "metrics.json", {"global": scores})
    (tmp_path / "index.html").touch()
    for name, dataset, n_rejected in (("a", "labelled", 3), ("b", "challenge", 1), ("c", "challenge", 0)):
        write_json(tmp_path / f"{name}.json", {"dataset": dataset, "n_rejected": n_rejected, "n_files": 5000})
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
        summary = {"dataset": f"set_{number}", "n_rejected": 1, "n_files": 9}
        write_json(tmp_path / f"{number}.json", summary)
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
    write_json(summary, {"dataset": "labelled", "n_rejected": 2, "n_files": 10})
    for name in ("cutouts.npy", "index.parquet", "parameters.parquet", "rejected.csv"):
        (summary.parent / name).touch()
    (tmp_path / target).parent.mkdir()
    for path in (tmp_path / target, tmp_path / "results/splits/objects.parquet", tmp_path / "submission.csv"):
        path.touch()
    record = {"n_rows": 1, "n_lenses": 1, "threshold": 0.5, "simulated": False}
    write_json(tmp_path / "submission.json", record | {"sha256": {"submission.csv": "0"}})
    code, said = call_snakemake(tmp_path, *options)
    assert code == 0, said
    assert "rejected    2 of 10 files of labelled; why: rejected.csv of each" in said
    assert "submission  " not in said
    code, said = call_snakemake(tmp_path, *options, "--no-hooks")
    assert code == 0, said
    assert "files of labelled" not in said
