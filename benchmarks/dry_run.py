"""`snakemake -n` before anything is done, for 5 seeds and for 3 models x 30 seeds, and Snakemake's start."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import harness
import yaml
from harness import ROOT, Way

from fits_files import write_labelled, write_test_set

NETWORKS = ("convnextv2_atto", "convnextv2_nano", "convnextv2_tiny")


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    n_seeds = options.pick(tiny=2, short=30, full=30)
    n_parts = options.pick(tiny=2, short=100, full=1000)
    with tempfile.TemporaryDirectory() as folder:
        few, many, cut = Path(folder, "few"), Path(folder, "many"), Path(folder, "cut")
        small, large = "1 model x 5 seeds", f"3 models x {n_seeds} seeds"
        _write_project(few, 1, 5)
        _write_project(many, 3, n_seeds)
        _write_project(cut, 1, 5, n_parts)
        ways = [
            Way(small, lambda: _snakemake(few, "-n", "submission.csv"), 1),
            Way(large, lambda: _snakemake(many, "-n", "submission.csv"), 1),
            Way(f"1 model x 5 seeds x {n_parts} parts", lambda: _snakemake(cut, "-n", "submission.csv"), 1),
            Way("limit: snakemake --version", lambda: _snakemake(few, "--version"), 1),
        ]
        result = harness.race(ways, options.n_rounds)
    harness.print_title("A dry run", options, ["snakemake", "pydantic"])
    harness.print_race(result, "runs")
    for name, most in ((small, 4), (large, 20)):
        seconds = 1 / result.rate(name)
        harness.print_goal(f"under {most} s for {name}", f"{seconds:.1f} s", met=seconds < most)
    return 0


def _write_project(folder: Path, n_models: int, n_seeds: int, n_parts: int = 1) -> None:
    """A clone with data and a config of its own."""
    for part in ("rules", "workflow", "config", "envs"):
        shutil.copytree(
            ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "local.yaml")
        )
    shutil.copy(ROOT / "Snakefile", folder)
    names = [f"model_{number}" for number in range(n_models)]
    config = {
        "data": {"labelled": write_labelled(folder / "labelled", 2)},
        "testsets": {"challenge": {"path": str(folder / "blind"), "parts": n_parts}},
        "models": {
            name: {"network": network, "seeds": list(range(n_seeds))}
            for name, network in zip(names, NETWORKS, strict=False)
        },
        "ensembles": {"all": {"models": names}},
        "submission": {"ensemble": "all"},
    }
    write_test_set(folder / "blind", 2)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def _snakemake(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


if __name__ == "__main__":
    sys.exit(main())
