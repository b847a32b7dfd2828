"""Every step on a full disk, on another disk, with changed files, and with killed or starved processes."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

import build_buckets
from fits_files import galaxy, primary_bytes
from step_by_step import SCRIPTS, call, do_all, write_data

PROJECT = Path(__file__).parents[2]
PAGE = 4096
"""Bytes that a file in memory takes at least."""

QUICK = {"split_objects", "threshold", "ensemble_test", "submission"}
IN_PART = [
    pytest.param(step, marks=pytest.mark.torture(only=step not in QUICK), id=step)
    for step in SCRIPTS
    if step != "simulate"
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All steps but the simulation, done once."""
    root = tmp_path_factory.mktemp("steps")
    write_data(root)
    do_all(root)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    """Files by their names. How far a training was at some moment, and how long it took, is no result."""
    return {
        str(path.relative_to(folder)): bytes(max(path.stat().st_size // PAGE * PAGE, 1))
        if path.name in ("progress.json", "state.pt")
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def without_place(files: dict[str, bytes], place: Path) -> dict[str, bytes]:
    """The same whatever folder the files lie in."""
    return {name: content.replace(str(place).encode(), b"") for name, content in files.items()}


# Full disks


MESSAGE = ": expected a file that can be written, found: "


@contextmanager
def small_disk(folder: Path, n_bytes: int) -> Iterator[Path]:
    """A file system in memory with room for so many bytes, of whole pages, maybe none."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes + PAGE}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        # A tmpfs of size 0 would have no limit.
        (folder / "filler").write_bytes(bytes(PAGE))
        yield folder / "out"
    finally:
        # Lazily: errors that were logged are kept, and with them writers whose files are open.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def n_pages(content: bytes) -> int:
    return -(-len(content) // PAGE)


def fill_disk_at_each_write(
    do: Callable[[Path], int],
    expected: dict[str, bytes],
    passing: dict[str, bytes],
    folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> list[str]:
    """Do a step on disks with more and more room, until there is enough: at each file none, then half of it.

    Returns
    -------
    list of str
        The files at which it failed, one for each disk.
    """
    room, failed_at = 0, list[str]()
    while True:
        with small_disk(folder / str(len(failed_at)), room * PAGE) as out:
            code = do(out)
            left = without_place(contents(out), out) if out.exists() else {}
        said, text = [line for line in caplog.messages if MESSAGE in line], caplog.text
        caplog.clear()
        if code == 0:
            assert left == expected
            return failed_at
        assert code == 1
        assert len(said) == 1, text
        assert "Traceback" not in text
        assert re.search("No space left|requested and .* written", said[0])
        # Whole files of this step are all that may be left, and what a training goes on from.
        assert left == {other: (expected | passing)[other] for other in left}
        # A folder of files, too, takes its name once it is complete.
        name = os.path.relpath(said[0].partition(MESSAGE)[0], out).removeprefix(".part.")
        # The lease of a training is there as long as it runs.
        size = 1 if name == "lease.json" else n_pages((expected | passing)[name])
        tried = failed_at.count(name)
        assert tried < 3, name
        room += size // 2 if tried == 0 and size > 1 else size - (size // 2 if tried else 0)
        failed_at.append(name)


@pytest.mark.torture
@pytest.mark.parametrize("step", IN_PART)
def test_a_disk_that_is_full_at_any_write(
    step: str,
    done: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = done / "results" / step
    expected = without_place(contents(reference), reference)
    with monkeypatch.context() as kept:
        # Files that a step removes again need room too.
        kept.setattr("stronglens.training.train_member.clear_state", lambda _: None)
        kept.setattr("stronglens.ensembling.merge.shutil.rmtree", lambda *_, **__: None)
        assert call(step, done, tmp_path / "all") == 0
    everything = without_place(contents(tmp_path / "all"), tmp_path / "all")
    passing = {name: everything[name] for name in set(everything) - set(expected)}
    failed_at = fill_disk_at_each_write(
        lambda out: call(step, done, out), expected, passing, tmp_path, caplog
    )
    # The room that a removed file had is enough for what comes after it.
    spared = {"val_ens.json", "test_ens.json"} if ".parts/0.arrow" in passing else set()
    assert set(failed_at) >= {*expected, *passing} - spared
    print(f"{step}: {len(failed_at)} full disks, at {len(set(failed_at))} files")  # noqa: T201


@pytest.mark.torture(only=True)
def test_a_disk_that_fills_up_while_data_are_simulated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert call("simulate", tmp_path, tmp_path / "reference") == 0
    whole = contents(tmp_path / "reference")
    total = sum(n_pages(content) for content in whole.values())
    for number, share in enumerate((0.02, 0.3, 0.6, 0.9, 0.99)):
        caplog.clear()
        with small_disk(tmp_path / str(number), int(share * total) * PAGE) as out:
            assert call("simulate", tmp_path, out) == 1
            assert re.search(r": expected a file that can be written, .*No space left", caplog.text)
            assert "simulated.json" not in contents(out)
            for name, content in contents(out).items():
                assert content == whole[name]


# Another disk


@pytest.mark.torture
@pytest.mark.parametrize("step", IN_PART)
def test_another_file_system_changes_no_byte(step: str, done: Path) -> None:
    other = Path("/dev/shm")  # noqa: S108 - there, a file system in memory that anyone may write to
    if not other.is_dir() or other.stat().st_dev == done.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    out = other / f"stronglens-{os.getpid()}"
    reference = done / "results" / step
    try:
        assert call(step, done, out) == 0
        assert without_place(contents(out), out) == without_place(contents(reference), reference)
    finally:
        shutil.rmtree(out, ignore_errors=True)


# Files changed behind Snakemake's back


READS = {
    "split_objects": ["build_buckets/index.parquet"],
    "inspect_data": ["build_buckets/cutouts.npy", "build_buckets/rejected.csv"],
    "plot_data": ["inspect_data/contact_sheet.npy"],
    "train": ["build_buckets/cutouts.npy", "build_buckets/index.parquet", "split_objects/objects.parquet"],
    "predict_val": ["train/best.pt", "build_buckets/cutouts.npy", "split_objects/objects.parquet"],
    "predict_test": ["train/best.pt", "build_test_buckets/cutouts.npy", "build_test_buckets/index.parquet"],
    "ensemble_val": ["predict_val/pred_val.csv", "build_buckets/index.parquet"],
    "ensemble_test": ["predict_test/pred_test.csv", "build_test_buckets/index.parquet"],
    "ensemble_test_labelled": ["predict_heldout/pred_test.csv"],
    "threshold": ["ensemble_val/val_ens.csv"],
    "evaluate_val": ["ensemble_val/val_ens.csv"],
    "evaluate_test": ["ensemble_test_labelled/test_ens_labeled.csv"],
    "plot_evaluation_val": ["ensemble_val/val_ens.csv"],
    "plot_evaluation_test": ["ensemble_test_labelled/test_ens_labeled.csv"],
    "candidates": [
        *("ensemble_test/test_ens.csv", "ensemble_test_labelled/test_ens_labeled.csv"),
        *("build_test_buckets/cutouts.npy", "build_buckets/cutouts.npy", "build_buckets/index.parquet"),
    ],
    "measure_transfer": ["ensemble_test_labelled/test_ens_labeled.csv"],
    "write_overview": ["ensemble_test/test_ens.csv"],
    "compare_data": [
        *("build_buckets/cutouts.npy", "build_test_buckets/cutouts.npy"),
        *("ensemble_val/val_ens.csv", "ensemble_test/test_ens.csv"),
    ],
    "plot_drift": ["compare_data/drift_values.parquet"],
    "submission": [
        *("ensemble_test/test_ens.csv", "build_test_buckets/index.parquet"),
        "build_test_buckets/rejected.csv",
    ],
}
"""Large files that steps read: Snakemake compares no more than their times."""


def flip_a_bit(content: bytearray) -> None:
    content[len(content) * 2 // 3] ^= 0x10


def cut_short(content: bytearray) -> None:
    del content[len(content) * 2 // 3 :]


def make_empty(content: bytearray) -> None:
    del content[:]


def add_a_byte(content: bytearray) -> None:
    content.append(10)


@pytest.mark.torture
@pytest.mark.parametrize(
    "change",
    [
        flip_a_bit,
        *(
            pytest.param(change, marks=pytest.mark.torture(only=True))
            for change in (cut_short, make_empty, add_a_byte)
        ),
    ],
)
@pytest.mark.parametrize(("step", "name"), [(step, name) for step, names in READS.items() for name in names])
def test_a_changed_file_is_found_before_it_is_used(
    step: str,
    name: str,
    change: Callable[[bytearray], None],
    done: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = done / "results" / name
    before = path.read_bytes()
    content = bytearray(before)
    change(content)
    path.write_bytes(content)
    try:
        assert call(step, done, tmp_path / "out") == 1
    finally:
        path.write_bytes(before)
    assert path.name in caplog.messages[-1]
    assert "Traceback" not in caplog.text
    assert not (tmp_path / "out").exists() or contents(tmp_path / "out") == {}


# Processes that share a step's work


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names enough for some seconds of reading, of few files."""
    folder = tmp_path_factory.mktemp("many")
    first = folder / "object_000000_g.fits"
    first.write_bytes(primary_bytes(galaxy(np.random.default_rng(0), lens=False, bands="g")[0]))
    for number in range(1, 40_000):
        (folder / f"object_{number:06d}_g.fits").hardlink_to(first)
    return folder


@pytest.mark.torture
def test_a_worker_that_is_killed_ends_the_step(many: Path, tmp_path: Path) -> None:
    """As the kernel does when memory runs out."""
    command = [sys.executable, str(PROJECT / "workflow/scripts/build_buckets.py")]
    command += ["--settings.path", str(many), "--settings.bands", '["g"]', "--processes", "2"]
    with subprocess.Popen(
        [*command, "--out-dir", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True
    ) as step:
        deadline = time.monotonic() + 300
        aside = tmp_path / "out" / ".part.cutouts.npy"
        while not aside.exists() or aside.stat().st_blocks * 512 < 2**20:  # until the first block is written
            assert step.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers = [
            child
            for child in psutil.Process(step.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        assert len(workers) == 2
        workers[0].send_signal(signal.SIGKILL)
        said = step.communicate(timeout=300)[1]
    assert step.returncode == 1
    assert "one of 2 processes was killed, perhaps for want of memory" in said
    assert "Traceback" not in said
    assert contents(tmp_path / "out") == {}
    assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)


@pytest.mark.torture
def test_a_worker_without_memory_ends_the_step(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("stronglens.running.worker_processes._begin", _starve)
    options = ["--settings.path", str(many), "--settings.bands", '["g"]', "--processes", "2"]
    options += ["--settings.size-px", "410"]  # a block of 641 MiB
    assert build_buckets.main([*options, "--out-dir", str(tmp_path / "out")]) == 1
    assert caplog.messages[-1].startswith("not enough memory: Unable to allocate 641. MiB")
    assert "Traceback" not in caplog.text
    assert contents(tmp_path / "out") == {}


def _starve(prepare: Callable[[], None]) -> None:
    prepare()
    limit = psutil.Process().memory_info().vms + 100 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def test_memory_that_is_not_to_be_had_is_told_without_a_traceback(
    done: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 3.00 TiB")

    monkeypatch.setattr("split_objects.split_objects", refuse)
    assert call("split_objects", done, tmp_path / "out") == 1
    assert caplog.messages[-1] == "not enough memory: Unable to allocate 3.00 TiB; give the job more"
    assert "Traceback" not in caplog.text
