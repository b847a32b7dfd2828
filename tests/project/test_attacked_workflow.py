"""The whole workflow, killed in every step, on another disk, with wrong clocks: always to the same bytes."""

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kills import TARGETS, Attack, Run, carry_out_all, run, run_timed
from step_by_step import NETWORK, write_checkpoint

PROJECT = Path(__file__).parents[2]
KILLS_EACH = 3
SEED = 6

pytestmark = [pytest.mark.e2e, pytest.mark.torture(only=True)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All rules on simulated data, run without disturbance."""
    folder = tmp_path_factory.mktemp("attacked") / "project"
    for part in ("rules", "workflow", "envs"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "Snakefile", folder)
    write_checkpoint(folder / "old.pt", 41)
    simulated = "results/simulated"
    buckets = [f"{domain}_{kind}" for domain in ("slsim", "hsc") for kind in ("lenses", "nonlenses")]
    config = {
        "simulate": {"objects_per_bucket": 10, "test_objects": 8, "seed": 1},
        "data": {"labelled": {name: f"{simulated}/labelled/{name}" for name in buckets}},
        "testsets": {"challenge": {"path": f"{simulated}/test_dataset_updated"}},
        "models": {
            "new": {
                "network": NETWORK,
                "seeds": [1],
                "train": {"epochs": 6, "batch_size": 16},
                "lens_parameters": {"targets": ["Rein"]},
            },
            "old": {"network": NETWORK, "checkpoints": {2: "old.pt"}},
        },
        "ensembles": {"both": {"models": ["new", "old"]}},
        "submission": {"ensemble": "both"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder.parent / "durations.json").write_text(json.dumps(run_timed(folder)))
    return folder


def products(folder: Path) -> dict[str, bytes]:
    """All results but times and logs."""
    files = [folder / "submission.csv", folder / "submission.json", *folder.glob("results/**/*")]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if path.is_file()
        and path.suffix != ".log"
        and "benchmarks" not in path.parts
        and path.stem not in ("run_times", "progress")
    }


@pytest.fixture
def anew(project: Path) -> Iterator[Path]:
    """The same folder before anything was run: paths stand in results, so that another place gives others."""
    kept = project.with_name("kept")
    kept.mkdir()
    made = [project / name for name in ("results", "logs", ".snakemake", "submission.csv", "submission.json")]
    for path in made:
        path.rename(kept / path.name)
    yield project
    for path in made:
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path)
        (kept / path.name).rename(path)
    kept.rmdir()


def test_killed_in_every_step(project: Path, request: pytest.FixtureRequest) -> None:
    expected = products(project)
    durations = json.loads((project.parent / "durations.json").read_text())
    assert set(durations) == set(TARGETS)
    folder = request.getfixturevalue("anew")
    generator = random.Random(SEED)  # noqa: S311 - no secret
    attacks = [
        Attack(
            rule,
            target,
            generator.uniform(0, durations[rule]),
            ("step", "everything")[(place + number) % 2],
        )
        for place, (rule, target) in enumerate(TARGETS.items())
        for number in range(KILLS_EACH)
    ]
    n_kills = carry_out_all(folder, attacks)
    run(folder, "--rerun-incomplete")
    found = products(folder)
    print(f"{n_kills} kills of {len(TARGETS)} steps, {len(found)} files")  # noqa: T201
    assert n_kills >= 50
    assert set(found) == set(expected)
    assert [name for name in found if found[name] != expected[name]] == []
    assert "Nothing to be done" in run(folder, "-n")


def test_what_is_left_after_a_kill_is_told(project: Path, tmp_path: Path) -> None:
    """Of all processes at once: the lock stays, and so do the files that the step had finished."""
    folder = shutil.copytree(project, tmp_path / "killed", symlinks=True)
    target, first = TARGETS["plot_evaluation"], folder / "results/evaluation/both/val/roc.png"
    one = Run(folder, target, "--forcerun", target)
    while one.step("plot_evaluation") is None or not first.exists():
        assert one.process.poll() is None, one.said
    one.kill()
    assert not (folder / target).exists()
    incomplete = Run(folder, target)
    assert incomplete.wait() == 1
    assert "--rerun-incomplete" in incomplete.said
    locked = Run(folder, target, "--rerun-incomplete")
    assert locked.wait() == 1
    assert "Directory cannot be locked" in locked.said
    assert "--unlock" in locked.said
    run(folder, "--unlock")
    run(folder, target, "--rerun-incomplete")
    assert products(folder) == products(project)


def test_results_on_another_file_system(project: Path, request: pytest.FixtureRequest) -> None:
    other = Path("/dev/shm")  # noqa: S108 - there, a file system in memory that anyone may write to
    if not other.is_dir() or other.stat().st_dev == project.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    kinds = ("submission.csv", ".pt", ".npy", "threshold.txt")
    expected = {name: content for name, content in products(project).items() if name.endswith(kinds)}
    folder = request.getfixturevalue("anew")
    there = other / f"stronglens-{os.getpid()}"
    there.mkdir()
    try:
        (folder / "results").symlink_to(there)
        run(folder)
        found = {name: (folder / name).read_bytes() for name in expected}
        assert [name for name in found if found[name] != expected[name]] == []
        assert "Nothing to be done" in run(folder, "-n")
    finally:
        shutil.rmtree(there)


def set_clocks(folder: Path, generator: random.Random, longest_s: float) -> None:
    """Times up to so far in the past or the future, as of files from machines with clocks of their own."""
    for path in folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            moment = time.time() + generator.uniform(-longest_s, longest_s)
            os.utime(path, (moment, moment))


def test_clocks_that_differ(project: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(project, tmp_path / "clocks", symlinks=True)
    before = products(folder)
    for longest_s in (3600, 400 * 86_400):
        set_clocks(folder, random.Random(SEED), longest_s)  # noqa: S311 - no secret
        assert "Nothing to be done" in run(folder, "-n")
        assert "Nothing to be done" in run(folder)
    assert products(folder) == before


def test_an_input_from_the_future_is_named_and_touching_it_is_enough(project: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(project, tmp_path / "clocks", symlinks=True)
    before = products(folder)
    target, late = TARGETS["threshold"], folder / TARGETS["ensemble_val"]
    soon = time.time() + 3600
    os.utime(late, (soon, soon))
    one = Run(folder, target, "--forcerun", target)
    assert one.wait() == 1
    assert "clock skew" in one.said
    assert TARGETS["ensemble_val"] in one.said
    late.touch()
    assert run(folder, target, "--rerun-incomplete").count("rule threshold:") == 1
    assert "Nothing to be done" in run(folder)
    assert products(folder) == before
