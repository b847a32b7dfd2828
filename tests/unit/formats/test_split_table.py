"""The table of a split: read as it was written, of its own data, and without a leak."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from packed_files import state_index, write_objects, write_packed, write_splits
from stronglens.formats.artefact import sha256_of
from stronglens.formats.packed import PackedSet, open_packed
from stronglens.formats.split_table import SplitCounts, SplitTable, open_splits
from stronglens.formats.split_table import write_splits as write_table
from stronglens.running.errors import InputError


@pytest.fixture
def packed(tmp_path: Path) -> PackedSet:
    return open_packed(write_packed(tmp_path / "packed", n_per_bucket=4, size_px=9, bands="gr"))


def objects_of(packed: PackedSet) -> pd.DataFrame:
    objects = packed.index.drop_duplicates("object")[["object", "bucket", "label"]].reset_index(drop=True)
    number = np.arange(len(objects))
    return objects.assign(group=number, split=np.array(["train", "val", "test", "train"])[number % 4])


def written(packed: PackedSet, folder: Path, objects: pd.DataFrame | None = None) -> SplitTable:
    folder.mkdir(exist_ok=True)
    table = objects_of(packed) if objects is None else objects
    write_table(folder, table, packed.summary, {"seed": 3}, SplitCounts(n_objects=len(table)))
    return open_splits(folder, packed)


def test_what_is_written_is_read_and_says_of_which_data_it_is(packed: PackedSet, tmp_path: Path) -> None:
    table = written(packed, tmp_path / "splits")
    pd.testing.assert_frame_equal(table.objects, objects_of(packed), check_dtype=False)
    description = table.description
    assert description.objects_sha256 == sha256_of(tmp_path / "splits/objects.parquet")
    assert description.cutouts_sha256 == sha256_of(packed.folder / "cutouts.npy")
    assert description.index_sha256 == sha256_of(packed.folder / "index.parquet")
    assert (description.settings, description.counts.n_objects) == ({"seed": 3}, 16)


def test_cutouts_are_chosen_by_the_split_of_their_object(packed: PackedSet, tmp_path: Path) -> None:
    table = written(packed, tmp_path / "splits")
    # Two cutouts an object; of four objects the first and the last are for training.
    assert table.choose(packed.index, "train").tolist() == [True, True, *[False] * 4, True, True] * 4
    assert table.choose(packed.index, "val").tolist() == [False, False, True, True, *[False] * 4] * 4
    assert table.choose(packed.index, "all").all()
    shuffled = SplitTable(table.objects.sample(frac=1, random_state=1), table.description)
    assert np.array_equal(shuffled.choose(packed.index, "test"), table.choose(packed.index, "test"))


def test_objects_in_no_split_are_named(packed: PackedSet, tmp_path: Path) -> None:
    table = written(packed, tmp_path / "splits", objects_of(packed).iloc[2:])
    with pytest.raises(InputError, match="2 packed objects are in no split, slsim_lenses/D_00000000 first"):
        table.choose(packed.index, "all")


def test_a_changed_table_is_refused(packed: PackedSet, tmp_path: Path) -> None:
    written(packed, tmp_path / "splits")
    objects_of(packed).iloc[:3].to_parquet(tmp_path / "splits/objects.parquet")
    with pytest.raises(InputError, match=r"objects\.parquet: expected sha256 "):
        open_splits(tmp_path / "splits", packed)


@pytest.mark.parametrize("changed", ["index", "cutouts"])
def test_the_split_of_other_data_is_refused(packed: PackedSet, tmp_path: Path, changed: str) -> None:
    written(packed, tmp_path / "splits")
    seed, n_per_bucket = (1, 4) if changed == "cutouts" else (0, 5)
    other = write_packed(tmp_path / "other", n_per_bucket=n_per_bucket, size_px=9, bands="gr", seed=seed)
    with pytest.raises(InputError, match=f"expected the split of {other}, found one of other data"):
        open_splits(tmp_path / "splits", open_packed(other))


def test_a_group_in_two_splits_is_refused(packed: PackedSet, tmp_path: Path) -> None:
    objects = objects_of(packed)
    objects.loc[1, "group"] = 0
    with pytest.raises(InputError, match="group 0 is in more than one split: slsim_lenses/D_00000000, slsim"):
        written(packed, tmp_path / "splits", objects)


@pytest.mark.parametrize(("column", "kind"), [("pixel_hash", "image"), ("header_id", "id")])
@pytest.mark.parametrize("shared", ["the same", ""])
def test_an_image_or_id_in_two_splits_is_refused_whatever_groups_say(
    tmp_path: Path, column: str, kind: str, shared: str
) -> None:
    """An empty id is none, and links nothing."""
    folder = write_packed(tmp_path / "packed", n_per_bucket=4, size_px=9, bands="gr")
    index = pd.read_parquet(folder / "index.parquet")
    index.loc[[0, 7], column] = shared  # the first object is trained on, the fourth held out
    index.to_parquet(folder / "index.parquet")
    state_index(folder)
    packed = open_packed(folder)
    splits = write_splits(tmp_path / "splits", folder)
    if not shared:
        assert len(open_splits(splits, packed).objects) == 16
        return
    with pytest.raises(InputError, match=f"expected each {kind} in one split, found 1 in more, .* of slsim_"):
        open_splits(splits, packed)


def test_a_description_without_its_table_is_refused(packed: PackedSet, tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    write_objects(tmp_path / "splits", objects_of(packed), packed.folder)
    (tmp_path / "splits/objects.parquet").unlink()
    with pytest.raises(InputError, match=r"objects\.parquet: expected the file that .*objects\.json"):
        open_splits(tmp_path / "splits", packed)
