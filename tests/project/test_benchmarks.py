"""Benchmarks run: each with a handful of items. How fast anything is, nobody asks here."""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.image import imread

from drawn_figures import count_pixels
from packed_files import write_packed, write_splits

ROOT = Path(__file__).parents[2]
STAGES = (
    *(
        "packing",
        "archives",
        "tiles",
        "preprocessing",
        "training_step",
        "optimisers",
        "training_epoch",
        "inference",
        "finder",
    ),
    *("dry_run", "ensembling", "start_up", "shared_device"),
)

GPU_SECTIONS = (
    *("env,equal", "resume,auc", "train,shared", "predict:nano,predict:atto,predict:recipe,stream"),
    "ways:nano,ways:atto,ways:recipe,naive",  # what goals are about
)


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    # Two threads: a library that spins would hold up the other tests.
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_prints_its_table(stage: str) -> None:
    network = ("--network", "test_convnext", "--device", "cpu")
    told = run(f"{stage}.py", "--tiny", "--rounds", "1", *network)
    assert told.startswith("## ")
    assert "| n | s (median) |" in told or "images/s together (median)" in told
    assert "Python" in told


def test_the_clock_of_archives_sees_what_is_shorter_than_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    clock = importlib.import_module("archives").processor_seconds
    for _ in range(5):
        before, until = clock(), time.process_time() + 0.001
        while time.process_time() < until:
            pass
        assert clock() > before


def test_make_bench_runs_every_stage() -> None:
    listed = next(
        line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("BENCHMARKS :=")
    )
    assert listed.partition(":=")[2].split() == list(STAGES)
    others = {"harness", "made_data", "watched", "networks_here", "item_by_item"}
    others |= {"growth", "batch_growth", "experiments", "robustness", "gpu", "gpu_goals", "plain_ensemble"}
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == {*STAGES, *others}


@pytest.mark.parametrize("sections", GPU_SECTIONS)
def test_the_check_of_a_gpu_runs_on_a_cpu_without_snakemake(
    sections: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "snakemake.py").write_text("raise ImportError('not on that machine')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    told = run("gpu.py", "--smoke", "--only", sections, "--out", str(tmp_path / "out"))
    assert ", 0 bad;" in told
    records = json.loads((tmp_path / "out/results.json").read_text())
    assert {one["section"] for one in records} == {*sections.split(","), "all", "goals"}
    worked_out = [one for one in records if one["section"] == "goals"]
    assert all(one["ok"] is None for one in worked_out)  # a CPU is not asked for any
    if "naive" in sections:
        assert len(worked_out) == 9 + 3  # goals, and shares of the peak
        assert not [one["name"] for one in worked_out if one["value"] == "not measured"]


def test_every_section_of_the_check_of_a_gpu_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    sections = importlib.import_module("gpu").SECTIONS
    assert sorted(",".join(GPU_SECTIONS).split(",")) == sorted(sections)


WAITS_ITS_TURN = """
import sys, time
section = sys.argv[sys.argv.index("--section") + 1]
sys.stdin.read()
if section == "slow":
    time.sleep(300)
sys.exit(3 if section == "wrong" else 0)
"""


@pytest.fixture
def parent_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Makes what starts the sections of the check of a GPU; of these each only waits its turn."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("gpu")
    (tmp_path / "section.py").write_text(WAITS_ITS_TURN)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "section.py"))
    monkeypatch.setattr("signal.signal", lambda *given: None)

    def make(sections: dict[str, float], limit_s: float) -> Any:
        monkeypatch.setattr(module, "SECTIONS", sections)
        common = {
            "only": ",".join(sections),
            "ways": "eager,whole_compiled",
            "batches": "128",
            "smoke": False,
        }
        given = argparse.Namespace(out=tmp_path, work=tmp_path, limit=limit_s, **common)
        return module._Parent(given, None)

    return make


SECTIONS = {"env": 60.0, "equal": 60.0, "wrong": 60.0, "slow": 1.0, "ways:nano": 60.0, "predict:nano": 60.0}


@pytest.mark.parametrize(
    ("sections", "limit_s", "left_out", "begun"),
    [
        (
            SECTIONS,
            300,
            {"wrong": "exit 3", "slow": "TIMED OUT"},
            {*SECTIONS, "warm:nano:compiled", "warm:nano:look"},
        ),
        (SECTIONS, 10, dict.fromkeys(SECTIONS, "SKIPPED"), set()),  # there is no time for any
        ({"equal": 60.0}, 10, {"env": "SKIPPED", "equal": "SKIPPED"}, set()),
        ({"equal": 60.0, "slow": 1.0}, 300, {"slow": "TIMED OUT"}, {"env", "equal", "slow"}),
    ],
    ids=["all", "no time", "no time for some", "some"],
)
def test_sections_of_the_check_of_a_gpu_that_do_not_end_are_named(
    sections: dict[str, float],
    limit_s: float,
    left_out: dict[str, str],
    begun: set[str],
    parent_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    parent = parent_of(sections, limit_s)
    parent.run()
    records = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {one["name"].removeprefix("section "): one["value"] for one in records[:-1]} == left_out
    assert set(records[-1]["of"]["left_out"]) == set(left_out)
    assert set(parent._took) == begun
    assert parent._took.get("equal", 0) < 60
    goal = next(row for row in sys.modules["gpu"].goals(records) if row["name"].startswith("all sections"))
    assert goal["ok"] is False
    assert not parent._running


def test_sections_of_the_check_of_a_gpu_end_with_it(
    parent_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    parent = parent_of({"slow": 60.0}, 300)
    monkeypatch.setattr(parent, "_start", lambda name, start=parent._start: name == "env" or start(name))
    monkeypatch.setattr(sys.modules["gpu"].time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        parent.run()
    assert [section.process.poll() for section in parent._running.values()] == [-9]


def _way(kind: str, way: str, setup_s: float, step_s: float, *, agrees: bool = True) -> dict[str, Any]:
    of = {"what": "way", "kind": kind, "batch": 128, "way": way, "agrees": agrees}
    return {"value": 128 / step_s, "of": of | {"setup_s": setup_s, "step_s": step_s}}


def _gpu_records(card: str, chosen: str) -> list[dict[str, Any]]:
    """Made-up rates; the whole step, compiled, takes 2.5 ms, and eager steps 40 ms."""
    ways = [("eager", 1, 0.040), ("whole", 2, 0.0065), ("whole_compiled", 50, 0.0025)]
    records: list[dict[str, Any]] = [{"value": card, "of": {"what": "card"}}, {"value": 1, "of": None}]
    for kind in ("nano", "atto", "recipe"):
        records += [_way(kind, *way) for way in ways]
        records += [_way(kind, "compiled", 50, 0.001, agrees=False)]  # fast, and wrong
        records += [{"value": chosen, "of": {"what": "chosen", "kind": kind, "batch": 128}}]
        records += [{"value": 53_000.0, "of": {"what": "limit", "kind": kind, "batch": 128}}]
        records += [{"value": 4e8, "of": {"what": "work", "kind": kind}}]
    took = {"what": "took", "left_out": [], "whole": True}
    naive = {"what": "naive", "kind": "atto"}
    return [*records, {"value": 1500.0, "of": naive}, {"value": 400.0, "of": took}]


@pytest.mark.parametrize(
    ("card", "chosen", "met"),
    [
        ("NVIDIA H100 80GB HBM3", "whole_compiled", [True] * 9),
        # 19,692 images/s: 37 % of the limit, 13 x the naive loader, 47 minutes.
        ("NVIDIA H100 80GB HBM3", "whole", [False] * 7 + [False, True]),
        ("NVIDIA A100-SXM4-80GB", "whole", [False] * 7 + [None, True]),
        ("A card of tomorrow", "whole_compiled", [True] * 7 + [None, True]),
    ],
)
def test_goals_of_a_gpu_by_made_up_rates(
    card: str, chosen: str, met: list[bool | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    goals = importlib.import_module("gpu_goals").goals
    records = _gpu_records(card, chosen)
    assert [row["ok"] for row in goals(records)] == met
    assert [row["ok"] for row in goals(records, demanded=False)] == [None] * 9
    missing = list(goals([*records[:2], records[-1]]))[:-1]
    assert {(row["value"], row["ok"]) for row in missing} == {("not measured", False)}
    # Of a part of the sections only what was measured is asked for.
    assert {(row["value"], row["ok"]) for row in goals(records[:2])} == {("not measured", None)}


@pytest.mark.parametrize(
    ("card", "precision", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989),
        ("NVIDIA H100 PCIe", "bf16", 756),
        ("NVIDIA H200", "tf32", 494),
        ("NVIDIA A100-SXM4-80GB", "float32", 19.5),
        ("NVIDIA A10", "bf16", 125),
        ("NVIDIA L40S", "bf16", 362),
        ("NVIDIA L4", "bf16", 121),
        ("Tesla T4", "bf16", None),
        ("NVIDIA A10G", "bf16", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bf16", None),
        ("Quadro", "bf16", None),
        ("", "bf16", None),
    ],
)
def test_the_peak_of_a_card_is_known_by_its_name_or_unknown(
    card: str, precision: str, tflops: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("gpu_goals")
    assert module.peak_tflops(card, precision) == tflops
    share = next(module.shares_of_peak(_gpu_records(card, "whole"), precision))
    # The fastest way, wrong or not, makes 128,000 images/s of 4e8 operations.
    assert share["value"] == ("unknown" if tflops is None else pytest.approx(51.2 / tflops))


def test_larger_batches_are_trained_once_and_compared_seed_by_seed(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", n_per_bucket=40)
    splits = write_splits(tmp_path / "splits", packed)
    network = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}}
    arguments = ["--packed", str(packed), "--splits", str(splits), "--out", str(tmp_path / "rows.csv")]
    settings = {"network": network, "train": {"epochs": 2, "batch_size": 128, "lr": 1e-3}}
    arguments += ["--settings", json.dumps(settings), "--seeds", "1", "2", "--device", "cpu"]
    # None begins without time; then the first; then those that are left.
    assert run("batch_growth.py", *arguments, "--minutes", "0").count("\n| ") == 0
    told = run("batch_growth.py", *arguments, "--batches", "128")
    assert "| 128 | 2 | 0.001 | 8 |" in told
    first = (tmp_path / "rows.csv").read_text()
    told = run("batch_growth.py", *arguments, "--batches", "128", "512")
    assert (tmp_path / "rows.csv").read_text().startswith(first)
    assert "| 512 | 2 | 0.002 | 2 |" in told  # twice the rate: the square root of four


def test_auc_of_a_batch_holds_only_where_its_interval_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("batch_growth")
    of_batch = {
        128: [0.950, 0.952, 0.951],
        256: [0.951, 0.951, 0.952],  # +0.0003 +- 0.0029
        512: [0.900, 0.990, 0.960],  # -0.001 +- 0.11
        1024: [0.900, 0.904, 0.903],  # -0.0487 +- 0.0029
    }
    common = {"rate": 1e-3, "n_steps": 10, "seconds": 1.0, "cpu_seconds": 1.0}
    rows = [
        {"batch": batch, "seed": seed, "auc": auc} | common
        for batch, aucs in of_batch.items()
        for seed, auc in enumerate(aucs)
    ]
    header, found = module.table(pd.DataFrame(rows), 128)
    verdicts = [row[header.index("against 128, 95 % interval")] for row in found]
    assert verdicts[0] == ""
    assert verdicts[1] == "+0.0003 [-0.0025, +0.0032], holds"
    assert verdicts[2].endswith("not shown to hold")
    assert verdicts[3].startswith("-0.0487 [-0.0")
    assert verdicts[3].endswith(", lower")
    assert found[0][header.index("AUC held out")] == "0.9510 ± 0.0010"


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
    # Two panels, seconds and memory, of lines in matplotlib's colours.
    pixels = imread(tmp_path / "growth.png")[..., :3]
    assert all(count_pixels(pixels, colour) > 20 for colour in ("C0", "C1"))
