"""Benchmarks run: each with a handful of items. How fast anything is, nobody asks here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = (
    *("packing", "archives", "tiles", "preprocessing", "training_step", "training_epoch", "inference"),
    *("dry_run", "ensembling", "start_up", "shared_device"),
)


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    # Two threads: a library that spins would hold up the other tests.
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_prints_its_table(stage: str) -> None:
    network = ("--network", "test_convnext", "--device", "cpu")
    told = run(f"{stage}.py", "--tiny", "--rounds", "1", *network)
    assert told.startswith("## ")
    assert "| n | s (median) |" in told or "images/s together (median)" in told
    assert "Python" in told


def test_make_bench_runs_every_stage() -> None:
    listed = next(
        line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("BENCHMARKS :=")
    )
    assert listed.partition(":=")[2].split() == list(STAGES)
    others = {"harness", "made_data", "watched", "networks_here", "item_by_item"}
    others |= {"growth", "experiments", "robustness", "gpu", "plain_ensemble"}
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == {*STAGES, *others}


def test_the_check_of_a_gpu_runs_on_a_cpu(tmp_path: Path) -> None:
    told = run("gpu.py", "--smoke", "--only", "env,equal,ways:atto", "--out", str(tmp_path))
    assert ", 0 bad;" in told
    assert "atto, batch 8, chosen by measuring" in told
    assert (tmp_path / "results.json").is_file()


def test_growth_keeps_what_was_measured(tmp_path: Path) -> None:
    (tmp_path / "growth.csv").write_text("stage,n_cutouts,seconds,private_mb\npacking,7,1.5,70\n")
    told = run("growth.py", "--cutouts", "100", "--stages", "pack", "decide", "--out-dir", str(tmp_path))
    lines = (tmp_path / "growth.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["packing", "7"],
        ["packing", "100"],
        ["ensemble val", "100"],
        ["threshold", "100"],
        ["ensemble test", "100"],
        ["submission", "100"],
    ]
    assert "| packing | 7 | 1.5 |" in told
    assert (tmp_path / "growth.png").stat().st_size > 1000
