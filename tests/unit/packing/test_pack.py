"""Packing: what lands where, what is refused, and nothing lost on the way."""

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

import build_buckets as step
from fits_files import (
    BANDS,
    CutoutReader,
    galaxy,
    plant_faults,
    primary_bytes,
    table_bytes,
    write_labelled,
    write_single_band,
    write_test_set,
)
from stronglens.formats.packed import open_packed
from stronglens.packing import blocks
from stronglens.packing.pack import build_buckets
from stronglens.running.errors import InputError
from stronglens.settings.data import (
    BUCKETS,
    DataSettings,
    PackSettings,
    TestSetSettings,
)

FILES = ["cutouts.npy", "index.parquet", "parameters.parquet", "rejected.csv", "summary.json"]
COLUMNS = [
    "object",
    "band",
    "path",
    "bucket",
    "domain",
    "label",
    "header_id",
    "pixel_hash",
    "ra",
    "dec",
    "unit",
    "zero_point",
]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_labelled(tmp_path_factory.mktemp("labelled"), 3)


def settings_of(places: dict[str, str], **others: Any) -> PackSettings:
    return PackSettings(labelled=places, **others)


def rejected(folder: Path) -> list[dict[str, str]]:
    with (folder / "rejected.csv").open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return content


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# Labelled data


def test_a_labelled_set_is_packed_in_order(labelled: dict[str, str], tmp_path: Path) -> None:
    build_buckets(settings_of(labelled), tmp_path)
    packed = open_packed(tmp_path)
    assert packed.cutouts.dtype == np.dtype("<f4")
    assert packed.cutouts.shape == (60, 41, 41)
    assert list(packed.index.columns) == COLUMNS
    assert packed.index["bucket"].unique().tolist() == list(BUCKETS)
    assert packed.index["object"].unique().tolist()[:2] == [
        "slsim_lenses/D1_L_00000000",
        "slsim_lenses/D1_L_00000001",
    ]
    assert packed.index["band"].tolist() == [*BANDS] * 12
    assert packed.index.groupby("bucket")["label"].unique().map(list).to_dict() == {
        "slsim_lenses": [1],
        "slsim_nonlenses": [0],
        "hsc_lenses": [1],
        "hsc_nonlenses": [0],
    }
    assert set(packed.index["domain"]) == {"slsim", "hsc"}
    assert packed.index["label"].dtype == np.int8
    assert packed.index["header_id"][0] == "D1_L-0-000000"
    assert packed.index["pixel_hash"].is_unique
    for row in (0, 17, 59):
        image = fits.getdata(packed.index["path"][row], 1)[f"band_{packed.index['band'][row]}"][0]
        np.testing.assert_array_equal(packed.cutouts[row], image.astype(np.float32))


def test_the_summary_counts(labelled: dict[str, str], tmp_path: Path) -> None:
    build_buckets(settings_of(labelled), tmp_path)
    found = summary(tmp_path)
    assert {key: found[key] for key in ("format", "dataset", "labelled", "size_px", "bands")} == {
        "format": 1,
        "dataset": "labelled",
        "labelled": True,
        "size_px": 41,
        "bands": [*BANDS],
    }
    assert {key: found[key] for key in ("n_files", "n_cutouts", "n_objects", "n_rejected")} == {
        "n_files": 60,
        "n_cutouts": 60,
        "n_objects": 12,
        "n_rejected": 0,
    }
    assert found["counts"] == {
        "bucket": dict.fromkeys(sorted(BUCKETS), 15),
        "domain": {"hsc": 30, "slsim": 30},
        "label": {"0": 30, "1": 30},
        "band": dict.fromkeys(sorted(BANDS), 12),
    }
    assert found["leftovers"] == {"no FITS file by its name": 4, "table of parameters": 3}
    assert found["missing_bands"] == {}
    assert found["n_objects_incomplete"] == 0
    assert found["settings"] == settings_of(labelled).model_dump(mode="json")
    assert sorted(found["sha256"]) == sorted(FILES[:4])


def test_leftovers_are_in_the_list_of_what_was_not_packed(labelled: dict[str, str], tmp_path: Path) -> None:
    build_buckets(settings_of(labelled), tmp_path)
    rows = rejected(tmp_path)
    assert {(Path(row["path"]).name, row["object"], row["band"]) for row in rows} == {
        ("_manifest.txt", "", ""),
        ("parameters.fits", "", ""),
    }
    assert all(row["reason"].startswith("not a cutout") for row in rows)


def test_right_ascensions_are_below_360_however_a_table_states_them(tmp_path: Path) -> None:
    images = np.random.default_rng(1).normal(0, 1, (3, 9, 9)).astype(np.float32)
    np.savez(tmp_path / "set.npz", image=images, id=["a", "b", "c"], ra=[-0.25, 360.0, 12.5], dec=np.zeros(3))
    settings = PackSettings(dataset="new", path=str(tmp_path / "set.npz"), size_px=9, bands=("g",))
    build_buckets(settings, tmp_path / "out")
    assert open_packed(tmp_path / "out").index["ra"].tolist() == [359.75, 0.0, 12.5]


def test_any_number_of_processes_gives_the_same_bytes(
    labelled: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {bucket: str(shutil.copytree(path, tmp_path / bucket)) for bucket, path in labelled.items()}
    for n in range(3):  # the first of a block, one within, and a whole block
        (tmp_path / "slsim_lenses" / "slsim_lenses" / f"D1_L_0000000{n}_i.fits").write_bytes(b"")
    for path in (tmp_path / "hsc_lenses" / "hsc_lenses").glob("*.fits"):
        path.write_bytes(b"")
    monkeypatch.setattr(blocks, "BLOCK_FILES", 7)
    monkeypatch.setattr("stronglens.packing.pack.BLOCK_FILES", 7)
    settings = settings_of(places, max_rejected=0.5)
    for n_processes in (1, 3):
        build_buckets(settings, tmp_path / str(n_processes), n_processes=n_processes)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    packed = open_packed(tmp_path / "1")
    assert len(packed.cutouts) == 42
    reader = CutoutReader(41)
    for path, cutout in zip(packed.index["path"], packed.cutouts, strict=True):
        np.testing.assert_array_equal(cutout, reader.read(path)[0])


def test_a_killed_process_ends_the_step(
    labelled: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stronglens.packing.blocks.BLOCK_FILES", 20)
    monkeypatch.setattr("stronglens.packing.pack.BLOCK_FILES", 20)
    monkeypatch.setattr("stronglens.running.worker_processes._begin", _kill_oneself)
    with pytest.raises(InputError, match="was killed, perhaps for want of memory"):
        build_buckets(settings_of(labelled), tmp_path / "out", n_processes=2)
    assert list((tmp_path / "out").iterdir()) == []


def _kill_oneself(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_cannot_be_started_are_not_taken_for_a_full_disk(
    labelled: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stronglens.packing.blocks.BLOCK_FILES", 20)
    monkeypatch.setattr("stronglens.packing.pack.BLOCK_FILES", 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 2, hard))  # the array, and one end of a pipe
    try:
        with pytest.raises(InputError, match=r"expected to start 2 processes, found: .*Too many open files"):
            build_buckets(settings_of(labelled), tmp_path / "out", n_processes=2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert list((tmp_path / "out").iterdir()) == []


PARENT = """
import multiprocessing, os, signal, time
from concurrent.futures import ProcessPoolExecutor
from stronglens.running.worker_processes import end_with_parent

pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_parent)
print(pool.submit(os.getpid).result(), flush=True)
pool.submit(time.sleep, 60)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_parent_leaves_no_process_that_still_writes() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(step.__file__).parent)}
    with subprocess.Popen([sys.executable, "-c", PARENT], env=environment, stdout=PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.wait() == -signal.SIGKILL
    child = Path(f"/proc/{pid}")
    for _ in range(100):
        if not (child / "stat").exists() or ") Z " in (child / "stat").read_text():  # Z: dead, not yet buried
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the process outlived its parent by ten seconds")


def test_a_full_disk_leaves_no_half_file(
    labelled: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stronglens.packing.pack.parquet.write_table", fail)
    with pytest.raises(
        InputError, match=r"index\.parquet: expected a file that can be written, .*No space left"
    ):
        build_buckets(settings_of(labelled), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cutouts.npy"]


# Oddities are found and named


def test_every_fault_is_found_and_no_file_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_test_set(tmp_path / "set", 20)
    faults = plant_faults(tmp_path / "set")
    settings = PackSettings(dataset="blind", path=str(tmp_path / "set"), max_rejected=0.1)
    with caplog.at_level("INFO"):
        build_buckets(settings, tmp_path / "out")
    rows = rejected(tmp_path / "out")
    assert {
        Path(row["path"]).name: row["reason"].partition(" (")[0] for row in rows if row["object"]
    } == faults
    index = open_packed(tmp_path / "out").index
    assert {*index["path"], *(row["path"] for row in rows)} == {
        str(path) for path in (tmp_path / "set").iterdir()
    }
    found = summary(tmp_path / "out")
    assert found["rejected"] == dict.fromkeys(sorted(faults.values()), 1)
    assert found["missing_bands"] == {"r": {"n_objects": 1, "first": ["object_00006"]}}
    assert found["n_objects_incomplete"] == 7
    assert found["unreadable_objects"] == []
    for name, kind in faults.items():
        assert any(name in line and kind in line for line in caplog.messages)
    assert any("no file in band r: 'object_00006'" in line for line in caplog.messages)
    assert any(".DS_Store" in line for line in caplog.messages)


@pytest.mark.parametrize("n_processes", [1, 2])
def test_pixels_that_are_not_finite_are_filled_where_the_settings_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, n_processes: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_FILES", 20)
    monkeypatch.setattr("stronglens.packing.pack.BLOCK_FILES", 20)
    write_test_set(tmp_path / "set", 7)
    path = tmp_path / "set/object_00005_z.fits"
    image = np.random.default_rng(3).normal(size=(41, 41))
    image[3, 4:9] = np.nan
    path.write_bytes(primary_bytes(image))
    settings = PackSettings(path=str(tmp_path / "set"), max_rejected=0, non_finite="fill")
    with caplog.at_level("INFO"):
        build_buckets(settings, tmp_path / "out", n_processes=n_processes)
    found = summary(tmp_path / "out")
    assert found["filled"] == {"n_cutouts": 1, "n_pixels": 5, "first": [str(path)]}
    assert found["n_rejected"] == 0
    assert any("5 pixels of 1 cutouts were not finite" in line for line in caplog.messages)
    packed = open_packed(tmp_path / "out")
    (row,) = np.flatnonzero(packed.index["path"] == str(path))
    assert (packed.cutouts[row] == np.float32(np.nanmedian(image))).sum() >= 5
    with pytest.raises(InputError, match="1 x non-finite pixels"):
        build_buckets(settings.model_copy(update={"non_finite": "reject"}), tmp_path / "again")


def test_an_object_without_any_readable_cutout_is_named(tmp_path: Path) -> None:
    write_test_set(tmp_path / "set", 4)
    for band in BANDS:
        (tmp_path / "set" / f"object_00002_{band}.fits").write_bytes(b"")
    settings = PackSettings(dataset="blind", path=str(tmp_path / "set"), max_rejected=0.25)
    build_buckets(settings, tmp_path / "out")
    found = summary(tmp_path / "out")
    assert found["unreadable_objects"] == ["object_00002"]
    assert found["n_objects"] == 3
    assert {row["object"] for row in rejected(tmp_path / "out")} == {"object_00002"}


def test_too_many_rejects_are_refused_with_reasons_and_leave_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_test_set(tmp_path / "set", 10)
    faults = plant_faults(tmp_path / "set")
    options = [
        "--out-dir",
        str(tmp_path / "out"),
        "--settings.path",
        str(tmp_path / "set"),
        "--processes",
        "1",
    ]
    assert step.main(options) == 1
    message = caplog.messages[-1]
    assert "expected at most 1 % of the files to be unreadable (max_rejected), found 6 of 49" in message
    for kind in faults.values():
        assert f"1 x {kind}, such as '" in message
    for name in faults:
        assert any(name in line for line in caplog.messages[:-1])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_set_of_which_nothing_can_be_read_is_refused_in_parts_too(tmp_path: Path) -> None:
    write_test_set(tmp_path / "set", 10)
    for path in (tmp_path / "set").iterdir():
        path.write_bytes(b"no")
    settings = PackSettings(dataset="blind", path=str(tmp_path / "set"))
    for part in range(2):
        with pytest.raises(InputError, match=r"100 %"):
            build_buckets(settings, tmp_path / "out", part=part, n_parts=2)


@pytest.mark.parametrize("n_parts", [1, 2])
def test_a_set_of_which_nothing_can_be_read_is_refused_whatever_share_is_allowed(
    n_parts: int, tmp_path: Path
) -> None:
    write_test_set(tmp_path / "set", 10)
    for path in (tmp_path / "set").iterdir():
        path.write_bytes(b"no")
    settings = PackSettings(dataset="blind", path=str(tmp_path / "set"), max_rejected=1)
    for part in range(n_parts):
        with pytest.raises(InputError, match=r"expected less than all .*\(100 %\): \d+ x not FITS, such as"):
            build_buckets(settings, tmp_path / "out", part=part, n_parts=n_parts)
    assert list((tmp_path / "out").iterdir()) == []


def test_max_rejected_is_the_share_that_is_allowed(tmp_path: Path) -> None:
    write_test_set(tmp_path / "set", 4)
    (tmp_path / "set" / "object_00000_g.fits").write_bytes(b"")
    place = {"dataset": "blind", "path": str(tmp_path / "set")}
    build_buckets(PackSettings(max_rejected=0.05, **place), tmp_path / "out")
    with pytest.raises(InputError, match="1 of 20"):
        build_buckets(PackSettings(max_rejected=0.0499, **place), tmp_path / "out2")


def test_shared_ids_and_identical_images_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    places = write_labelled(tmp_path, 3)
    lenses, others = (Path(places[bucket]) / bucket for bucket in ("hsc_lenses", "hsc_nonlenses"))
    image = galaxy(np.random.default_rng(9), lens=True)[0]
    (lenses / "D2_L_00000002_g.fits").write_bytes(table_bytes(image, "D2_L-0-000000"))
    shutil.copyfile(lenses / "D2_L_00000001_z.fits", others / "D2_N_00000001_z.fits")
    build_buckets(settings_of(places), tmp_path / "out")
    found = summary(tmp_path / "out")
    assert found["shared_header_ids"] == {
        "n": 2,
        "n_members": 4,
        "n_both_labels": 1,
        "first": [
            ["hsc_lenses/D2_L_00000000", "hsc_lenses/D2_L_00000002"],
            ["hsc_lenses/D2_L_00000001", "hsc_nonlenses/D2_N_00000001"],
        ],
    }
    assert found["identical_cutouts"] == {
        "n": 1,
        "n_members": 2,
        "n_both_labels": 1,
        "first": [[str(lenses / "D2_L_00000001_z.fits"), str(others / "D2_N_00000001_z.fits")]],
    }
    assert "1 images belong to lenses and to non-lenses" in caplog.messages


def test_names_of_all_kinds_survive(tmp_path: Path) -> None:
    images = galaxy(np.random.default_rng(0), lens=False)
    names = ["with space", 'it\'s "quoted", so', "ünï", "new\nline", "$(touch x)"]
    for name in names:
        for band, image in zip(BANDS, images, strict=True):
            (tmp_path / f"{name}_{band}.fits").write_bytes(primary_bytes(image))
    (tmp_path / "emp\nty_g.fits").write_bytes(b"")
    odd = os.fsdecode(b"caf\xe9_g.fits")
    (tmp_path / odd).write_bytes(primary_bytes(images[0]))
    settings = PackSettings(dataset="blind", path=str(tmp_path), max_rejected=0.1)
    build_buckets(settings, tmp_path / "out" / "deep")
    index = open_packed(tmp_path / "out" / "deep").index
    assert set(index["object"]) == set(names)
    reasons = {row["object"]: row["reason"] for row in rejected(tmp_path / "out" / "deep") if row["object"]}
    assert reasons == {"emp\nty": "empty file", "caf\\udce9": "name is not UTF-8"}


# Test sets


def test_an_unlabelled_set_knows_no_buckets(tmp_path: Path) -> None:
    write_test_set(tmp_path / "set", 4)
    build_buckets(PackSettings(dataset="blind", path=str(tmp_path / "set")), tmp_path / "out")
    index = open_packed(tmp_path / "out").index
    assert index["object"].unique().tolist() == [f"object_{n:05d}" for n in range(4)]
    assert {*index["bucket"], *index["header_id"]} == {""}
    assert set(index["domain"]) == {"unknown"}
    assert set(index["label"]) == {-1}
    assert len(pd.read_parquet(tmp_path / "out" / "parameters.parquet")) == 0


def test_bare_names_are_objects_of_one_cutout(tmp_path: Path) -> None:
    names = write_single_band(tmp_path / "set")
    settings = PackSettings(dataset="blind", path=str(tmp_path / "set"))
    build_buckets(settings, tmp_path / "five")
    build_buckets(settings.model_copy(update={"bands": ["r"]}), tmp_path / "one")
    for folder, band in (("five", "single"), ("one", "r")):
        index = open_packed(tmp_path / folder).index
        assert index["object"].tolist() == names
        assert set(index["band"]) == {band}
        assert summary(tmp_path / folder)["missing_bands"] == {}
        assert summary(tmp_path / folder)["n_objects_incomplete"] == 0


def as_list(data: Path, work: Path) -> dict[str, Any]:
    (work / "list.txt").write_text("".join(f"{path}\n" for path in sorted(data.iterdir(), reverse=True)))
    return {"path": str(work / "list.txt")}


def as_links_spread_by_name(data: Path, work: Path) -> dict[str, Any]:
    for number, path in enumerate(sorted(data.iterdir())):
        folder = work / BUCKETS[number % 4]
        folder.mkdir(exist_ok=True)
        (folder / path.name).symlink_to(path)
    return {"buckets": {bucket: str(work / bucket) for bucket in BUCKETS}}


def as_four_that_hold_everything(data: Path, work: Path) -> dict[str, Any]:
    for bucket in BUCKETS:
        (work / bucket).symlink_to(data)
    return {"buckets": {bucket: str(work / bucket) for bucket in BUCKETS}}


@pytest.mark.parametrize("way", [as_list, as_links_spread_by_name, as_four_that_hold_everything])
def test_whichever_way_a_set_is_given_the_same_is_packed(
    way: Callable[[Path, Path], dict[str, Any]], tmp_path: Path
) -> None:
    write_test_set(tmp_path / "set", 5)
    (tmp_path / "set" / "object_00003_i.fits").write_bytes(b"")
    (tmp_path / "work").mkdir()
    ways = [{"path": str(tmp_path / "set")}, way(tmp_path / "set", tmp_path / "work")]
    packed = []
    for number, place in enumerate(ways):
        folder = tmp_path / f"out{number}"
        build_buckets(PackSettings(dataset="blind", max_rejected=0.1, **place), folder)
        packed.append({name: content for name, content in contents(folder).items() if name != "summary.json"})
    assert packed[0] == packed[1]


def test_parts_hold_the_same_as_the_whole(tmp_path: Path) -> None:
    write_test_set(tmp_path / "set", 12)
    (tmp_path / "set" / "object_00003_i.fits").write_bytes(b"")
    (tmp_path / "set" / ".DS_Store").write_bytes(b"x")
    settings = PackSettings(dataset="blind", path=str(tmp_path / "set"), max_rejected=0.05)
    build_buckets(settings, tmp_path / "whole")
    whole = open_packed(tmp_path / "whole")
    rows, pixels, lost = [], [], []
    for part in range(3):
        build_buckets(settings, tmp_path / str(part), part=part, n_parts=3)
        packed = open_packed(tmp_path / str(part))
        rows.append(packed.index)
        pixels.append(packed.cutouts)
        lost += rejected(tmp_path / str(part))
        assert summary(tmp_path / str(part))["parts"] == 3
    index = pd.concat(rows, ignore_index=True)
    order = index.set_index(["object", "band"]).index.get_indexer(
        whole.index.set_index(["object", "band"]).index
    )
    pd.testing.assert_frame_equal(index.iloc[order].reset_index(drop=True), whole.index)
    np.testing.assert_array_equal(np.concatenate(pixels)[order], whole.cutouts)
    assert sorted(row["path"] for row in lost) == sorted(row["path"] for row in rejected(tmp_path / "whole"))


def test_a_part_may_be_empty(tmp_path: Path) -> None:
    write_test_set(tmp_path / "set", 1)
    settings = PackSettings(dataset="blind", path=str(tmp_path / "set"))
    sizes = []
    for part in range(3):
        build_buckets(settings, tmp_path / str(part), part=part, n_parts=3)
        sizes.append(len(open_packed(tmp_path / str(part)).cutouts))
    assert sorted(sizes) == [0, 0, 5]


def test_a_labelled_test_set_is_packed_with_its_labels(labelled: dict[str, str], tmp_path: Path) -> None:
    data = DataSettings(labelled=labelled, size_px=41)
    testset = TestSetSettings(buckets=data.labelled, labelled=True)
    settings = PackSettings.of_testset("scored", testset, data)
    assert settings.model_dump() | {"dataset": "labelled"} == PackSettings.of_labelled(data).model_dump()
    build_buckets(settings, tmp_path)
    assert set(open_packed(tmp_path).index["label"]) == {0, 1}
    blind = PackSettings.of_testset("blind", TestSetSettings(buckets=data.labelled), data)
    build_buckets(blind, tmp_path / "blind")
    assert set(open_packed(tmp_path / "blind").index["label"]) == {-1}


# Parameters


def parameters(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "parameters.parquet")


def test_parameters_are_joined_where_the_id_is_unique(tmp_path: Path) -> None:
    places = write_labelled(tmp_path, 4)
    bucket = Path(places["slsim_lenses"])
    image = galaxy(np.random.default_rng(9), lens=True)[0]
    # Object 3 takes the id of object 2, and the table has object 1 twice and one that was never released.
    for band in BANDS:
        path = bucket / "slsim_lenses" / f"D1_L_00000003_{band}.fits"
        path.write_bytes(table_bytes(image, "D1_L-0-000002", column=f"band_{band}"))
    rows = [
        {"Lens ID": f"D1_L-0-00000{n}", "Rein": rein, "vel disp": 200}
        for n, rein in enumerate([-999.0, 1, 2])
    ]
    rows += [rows[1], {"Lens ID": "other", "Rein": 3.0, "vel disp": -999}]
    Table(rows).write(bucket / "parameters.fits", overwrite=True)
    build_buckets(settings_of(places), tmp_path / "out")
    table = parameters(tmp_path / "out")
    lenses = table[table["bucket"] == "slsim_lenses"]
    assert lenses["object"].tolist() == ["slsim_lenses/D1_L_00000000"]
    assert np.isnan(lenses["Rein"].item())
    assert lenses["vel disp"].item() == 200
    assert np.isnan(lenses["z_central"].item())
    assert "slsim_nonlenses" not in set(table["bucket"])
    counts = summary(tmp_path / "out")["parameters"]
    assert counts["slsim_lenses"] == {
        "path": str(bucket / "parameters.fits"),
        "n_rows": 5,
        "n_matched": 1,
        "n_objects": 4,
    }
    assert counts["hsc_lenses"]["n_matched"] == 4


def test_parameters_lie_beside_or_inside_the_bucket(tmp_path: Path) -> None:
    places = write_labelled(tmp_path, 2)
    inner = {bucket: str(Path(path) / bucket) for bucket, path in places.items()}
    (tmp_path / "lists").mkdir()
    lists = {}
    for bucket, folder in inner.items():
        lists[bucket] = str(tmp_path / "lists" / bucket)
        Path(lists[bucket]).write_text("".join(f"{path}\n" for path in Path(folder).iterdir()))
    tables = []
    for number, way in enumerate((places, inner, lists)):
        build_buckets(settings_of(way), tmp_path / f"out{number}")
        tables.append(parameters(tmp_path / f"out{number}"))
    assert len(tables[0]) == 6
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_a_set_without_parameters(tmp_path: Path) -> None:
    build_buckets(settings_of(write_labelled(tmp_path, 2, parameters=False)), tmp_path / "out")
    assert len(parameters(tmp_path / "out")) == 0


def test_parameters_that_are_no_table_are_an_error(tmp_path: Path) -> None:
    places = write_labelled(tmp_path, 2)
    path = Path(places["hsc_lenses"]) / "parameters.fits"
    path.write_bytes(b"no table")
    with pytest.raises(InputError, match=r"hsc_lenses/parameters\.fits: expected a FITS table"):
        build_buckets(settings_of(places), tmp_path / "out")
    path.write_bytes(primary_bytes(np.eye(9)))
    with pytest.raises(InputError, match=r"hsc_lenses/parameters\.fits: expected a FITS table"):
        build_buckets(settings_of(places), tmp_path / "out")


# The command line


def test_the_step_takes_json_or_single_options(labelled: dict[str, str], tmp_path: Path) -> None:
    as_json = json.dumps({"labelled": labelled})
    single = ["--settings.labelled", json.dumps(labelled)]
    one, other = tmp_path / "one", tmp_path / "other"
    log = tmp_path / "x.log"
    assert (
        step.main(["--out-dir", str(one), "--settings", as_json, "--processes", "1", "--log", str(log)]) == 0
    )
    assert step.main(["--out-dir", str(other), *single, "--processes", "1"]) == 0
    assert contents(one) == contents(other)
    assert sorted(contents(one)) == sorted(FILES)
    assert "60 cutouts of 12 objects packed" in log.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give exactly one of labelled, path and buckets"),
        (["--settings.path", "x", "--settings.size-px", "0"], "size_px: 41"),
        (["--settings", '{"path": "x", "colour": 1}'], "settings.colour: unknown key"),
    ],
)
def test_wrong_settings_stop_before_anything_is_read(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert step.main(["--out-dir", str(tmp_path / "out"), "--settings.max-rejected", "0.01", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_part_that_does_not_exist(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = [
        "--out-dir",
        str(tmp_path / "out"),
        "--settings.path",
        str(tmp_path),
        "--part",
        "2",
        "--parts",
        "2",
    ]
    assert step.main(options) == 1
    assert "part: expected 0 to 1, found 2" in caplog.text
