"""Splits: no group in two of them, shares met, nothing depends on the order of files."""

import json
import logging
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import split_objects as step
from fits_files import write_labelled
from lens_files import describe
from stronglens.packing.pack import build_buckets
from stronglens.settings.data import BUCKETS, PackSettings, SplitSettings
from stronglens.splitting.split import assign_splits, group_objects

SETTINGS = SplitSettings()


def index_of(links: list[tuple[int, int]], n_objects: int) -> pd.DataFrame:
    """An index of two cutouts an object; each link gives two objects one id, every second one one image."""
    rows = [
        {"object": f"{BUCKETS[n % 4]}/{n:03d}", "bucket": BUCKETS[n % 4], "label": 1 - n % 2, "header_id": ""}
        for n in range(n_objects)
    ]
    index = pd.DataFrame([*rows, *rows])
    index["pixel_hash"] = [f"own {n}" for n in range(len(index))]
    for number, (one, other) in enumerate(links):
        column = "header_id" if number % 2 else "pixel_hash"
        copies = index.iloc[[one, other]].assign(**{column: f"shared {number}"})
        index = pd.concat([index, copies])
    return index.reset_index(drop=True)


def objects_of(index: pd.DataFrame) -> pd.DataFrame:
    objects = index[["object", "bucket", "label"]].drop_duplicates("object", ignore_index=True)
    return objects.assign(group=group_objects(index))


def linked_sets(links: list[tuple[int, int]], n_objects: int) -> dict[int, set[int]]:
    """Sets of linked objects, found the slow way."""
    sets = {n: {n} for n in range(n_objects)}
    for one, other in links:
        together = sets[one] | sets[other]
        sets |= dict.fromkeys(together, together)
    return sets


N_OBJECTS = 40
LINKS = st.lists(st.tuples(st.integers(0, N_OBJECTS - 1), st.integers(0, N_OBJECTS - 1)), max_size=25)


@given(LINKS)
def test_a_group_is_what_is_linked_and_nothing_else(links: list[tuple[int, int]]) -> None:
    groups = group_objects(index_of(links, N_OBJECTS))
    sets = linked_sets(links, N_OBJECTS)
    for n in range(N_OBJECTS):
        assert set(np.flatnonzero(groups == groups[n])) == sets[n]


def test_an_empty_id_links_nothing() -> None:
    index = index_of([], 8).assign(header_id="", pixel_hash="")
    assert len(set(group_objects(index))) == 8


@given(LINKS, st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_splits_follow_from_objects_and_seed_alone(
    links: list[tuple[int, int]], seed: int, shuffle: random.Random
) -> None:
    settings = SplitSettings(seed=seed)
    index = index_of(links, N_OBJECTS)
    order = list(range(len(index)))
    shuffle.shuffle(order)
    one, other = objects_of(index), objects_of(index.iloc[order].reset_index(drop=True))
    for objects in (one, other):
        objects["split"] = assign_splits(objects, settings)
        assert (objects.groupby("group")["split"].nunique() == 1).all()
    pd.testing.assert_frame_equal(
        one.sort_values("object", ignore_index=True), other.sort_values("object", ignore_index=True)
    )


@given(
    st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=40), min_size=1, max_size=4),
    st.floats(0.02, 0.96),
    st.floats(0.02, 0.98),
    st.integers(0, 2**32 - 1),
)
def test_shares_are_met_to_within_one_group_of_each_bucket(
    sizes: list[list[int]], train: float, of_the_rest: float, seed: int
) -> None:
    rest = 1 - train
    settings = SplitSettings(train=train, val=rest * of_the_rest, test=rest * (1 - of_the_rest), seed=seed)
    rows = [
        {"object": f"{bucket}/{group}-{member}", "bucket": bucket, "group": (bucket, group)}
        for bucket, groups in zip(BUCKETS, sizes, strict=False)
        for group, size in enumerate(groups)
        for member in range(size)
    ]
    objects = pd.DataFrame(rows)
    objects["group"] = pd.factorize(objects["group"])[0]
    objects["split"] = assign_splits(objects, settings)
    for bucket, groups in zip(BUCKETS, sizes, strict=False):
        inside = objects[objects["bucket"] == bucket]
        for number, share in enumerate((settings.train, settings.val, settings.test)):
            assert abs((inside["split"] == number).sum() - share * len(inside)) < max(groups) + 1e-6


def test_groups_that_span_buckets_leave_the_shares_as_they_are() -> None:
    objects = objects_of(index_of([(4 * n, 4 * n + 1) for n in range(20)], 400))
    splits = assign_splits(objects, SETTINGS)
    for bucket in BUCKETS:
        counts = np.bincount(splits[objects["bucket"] == bucket], minlength=3)
        np.testing.assert_allclose(counts, [70, 15, 15], atol=1)


def test_another_seed_splits_otherwise() -> None:
    objects = objects_of(index_of([], 200))
    splits = [assign_splits(objects, SplitSettings(seed=seed)) for seed in (1, 2)]
    assert 0.3 < (splits[0] != splits[1]).mean() < 0.6


# The step


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    settings = PackSettings(size_px=9, labelled=write_labelled(folder, 8, size_px=9))
    build_buckets(settings, folder / "packed")
    return folder / "packed"


def test_the_step_writes_objects_and_what_they_were_made_from(packed: Path, tmp_path: Path) -> None:
    shares = json.dumps({"train": 0.5, "val": 0.25, "test": 0.25, "seed": 7})
    assert step.main(["--packed", str(packed), "--out-dir", str(tmp_path), "--settings", shares]) == 0
    objects = pd.read_parquet(tmp_path / "objects.parquet")
    assert list(objects.columns) == ["object", "group", "split", "bucket", "label"]
    assert objects["object"].tolist() == pd.read_parquet(packed / "index.parquet")["object"].unique().tolist()
    description = json.loads((tmp_path / "objects.json").read_text())
    summary = json.loads((packed / "summary.json").read_text())
    assert description["cutouts_sha256"] == summary["sha256"]["cutouts.npy"]
    assert description["index_sha256"] == summary["sha256"]["index.parquet"]
    assert description["settings"] == json.loads(shares)
    assert description["counts"]["bucket"] == {b: {"train": 4, "val": 2, "test": 2} for b in BUCKETS}
    assert description["counts"]["n_groups"] == 32


def test_a_changed_index_is_refused(packed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in packed.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    index = pd.read_parquet(tmp_path / "index.parquet")
    index.iloc[::-1].to_parquet(tmp_path / "index.parquet")
    out = tmp_path / "splits"
    assert step.main(["--packed", str(tmp_path), "--out-dir", str(out)]) == 1
    assert "index.parquet: expected sha256" in caplog.text
    assert not out.exists()


def test_a_class_that_is_absent_from_a_split_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    places = write_labelled(tmp_path, 2, size_px=9)
    build_buckets(PackSettings(size_px=9, labelled=places), tmp_path / "packed")
    command = ["--packed", str(tmp_path / "packed"), "--out-dir", str(tmp_path / "splits")]
    assert (
        step.main([*command, "--settings.train", "0.98", "--settings.val", "0.01", "--settings.test", "0.01"])
        == 1
    )
    assert "split val: expected at least one lens in a share of 0.01, found none" in caplog.text
    assert "slsim_lenses (2 objects), hsc_lenses (2 objects)" in caplog.text
    assert not (tmp_path / "splits").exists()


@pytest.mark.parametrize(
    ("column", "shown"), [("header_id", "id 'COSMOS' of 4 objects"), ("pixel_hash", "one image of ")]
)
def test_a_group_of_a_large_share_of_a_bucket_is_an_error_that_shows_the_id(
    packed: Path, tmp_path: Path, column: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One field's name in place of ids: all such objects would be in one split, and the shares not met."""
    share(packed, tmp_path, column, "COSMOS", 4)
    out = tmp_path / "splits"
    assert step.main(["--packed", str(tmp_path), "--out-dir", str(out)]) == 1
    assert "expected at most 25% of a bucket in one group, found 4 of 8 objects of hsc_lenses" in caplog.text
    assert shown in caplog.text
    assert "hsc_lenses/D2_L_00000000, hsc_lenses/D2_L_00000001" in caplog.text
    assert not out.exists()


@pytest.mark.parametrize(("value", "n"), [("COSMOS", 2), ("", 8)])
def test_a_small_group_or_no_id_at_all_is_none(packed: Path, tmp_path: Path, value: str, n: int) -> None:
    share(packed, tmp_path, "header_id", value, n)
    assert step.main(["--packed", str(tmp_path), "--out-dir", str(tmp_path / "splits")]) == 0


def share(packed: Path, folder: Path, column: str, value: str, n: int) -> None:
    """Copy a packed set, with one id or image for the first objects of `hsc_lenses`."""
    for path in packed.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    index = pd.read_parquet(folder / "index.parquet")
    names = index.loc[index["bucket"] == "hsc_lenses", "object"].unique()[:n]
    index.loc[index["object"].isin(names), column] = value
    index.to_parquet(folder / "index.parquet")
    describe(folder, "index.parquet")


def test_a_bucket_that_is_absent_from_a_split_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    places = write_labelled(tmp_path, 8, size_px=9)
    for path in Path(places["hsc_lenses"]).glob("*/*.fits"):
        if "_00000000_" not in path.name:
            path.unlink()
    build_buckets(PackSettings(size_px=9, labelled=places), tmp_path / "packed")
    with caplog.at_level(logging.WARNING):
        assert step.main(["--packed", str(tmp_path / "packed"), "--out-dir", str(tmp_path / "splits")]) == 0
    assert "split val: no object of hsc_lenses" in caplog.text


def test_a_set_without_labels_is_refused(
    packed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = json.loads((packed / "summary.json").read_text()) | {"labelled": False, "dataset": "challenge"}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert step.main(["--packed", str(tmp_path), "--out-dir", str(tmp_path)]) == 1
    assert "expected a labelled data set, found 'challenge'" in caplog.text
