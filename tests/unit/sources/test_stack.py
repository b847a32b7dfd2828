"""Stacks of images: the same rows from each kind of file."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyarrow import parquet

from stronglens.running.errors import InputError
from stronglens.settings.reading import ReadSettings
from stronglens.sources.protocol import Entry, Reading, Request
from stronglens.sources.rejected import Rejected
from stronglens.sources.stack import StackSource, open_stack

IMAGES = np.random.default_rng(1).normal(0, 1, (12, 5, 5)).astype(np.float32)
IDS = [f"o{number // 2}" for number in range(12)]
COLUMNS: dict[str, Any] = {
    "id": IDS,
    "band": ["g", "r"] * 6,
    "label": [1, 0] * 6,
    "domain": ["hsc"] * 12,
    "ra": [150.0 + number for number in range(12)],
    "dec": [-2.0] * 12,
}


def write_npz(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


def write_hdf5(path: Path, arrays: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def write_parquet(path: Path, arrays: dict[str, Any]) -> None:
    columns = {
        name: np.asarray(values).tolist() if np.ndim(values) > 1 else list(values)
        for name, values in arrays.items()
    }
    parquet.write_table(pa.table(columns), path, row_group_size=5)


WRITERS: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    "npz": write_npz,
    "h5": write_hdf5,
    "parquet": write_parquet,
}


def source_of(path: Path, bands: str = "gr", **settings: Any) -> StackSource:
    return StackSource(path, 5, ReadSettings.model_validate(settings), tuple(bands))


def read(source: StackSource, *entries: Entry) -> list[Reading | Rejected]:
    requests = [Request(entry.path, entry.position, entry.band) for entry in entries]
    return list(source.reader().read_block(requests))


def pixels_of(source: StackSource, *entries: Entry) -> npt.NDArray[np.floating]:
    found = read(source, *entries)
    assert all(isinstance(one, Reading) for one in found), found
    return np.stack([one.pixels for one in found if isinstance(one, Reading)])


@pytest.mark.parametrize("ending", WRITERS)
def test_a_row_is_an_image_with_what_is_known_of_it(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"stack.{ending}"
    WRITERS[ending](path, {"image": IMAGES} | COLUMNS)
    source = source_of(path, unit="nJy", zero_point=31.4)
    entries = list(source.entries())
    assert [(entry.object, entry.band) for entry in entries] == list(zip(IDS, COLUMNS["band"], strict=True))
    assert [entry.label for entry in entries] == COLUMNS["label"]
    assert {entry.domain for entry in entries} == {"hsc"}
    assert [entry.ra for entry in entries] == COLUMNS["ra"]
    assert entries[7].path == f"{path.resolve()}::7"
    order = [entries[number] for number in (11, 0, 5, 4)]  # in any order, over groups of rows
    np.testing.assert_array_equal(pixels_of(source, *order), IMAGES[[11, 0, 5, 4]])
    (reading,) = read(source, entries[3])
    assert isinstance(reading, Reading)
    assert (reading.unit, reading.zero_point) == ("nJy", 31.4)


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
@pytest.mark.parametrize(("axis", "moved"), [(0, 1), (-1, 3), (2, 3)])
def test_bands_along_an_axis(ending: str, axis: int, moved: int, tmp_path: Path) -> None:
    cubes = np.moveaxis(IMAGES.reshape(4, 3, 5, 5), 1, moved)
    path = tmp_path / f"stack.{ending}"
    if ending == "npy":
        np.save(path, cubes)
    else:
        WRITERS[ending](path, {"image": cubes})
    source = source_of(path, band_axis=axis, axis_bands=["g", "x", "r"])
    entries = list(source.entries())
    assert [(entry.object, entry.band) for entry in entries] == [
        (f"stack_{number}", band) for number in range(4) for band in "gr"
    ]
    expected = IMAGES.reshape(4, 3, 5, 5)[:, [0, 2]].reshape(8, 5, 5)
    np.testing.assert_array_equal(pixels_of(source, *entries), expected)


def test_one_image_with_a_band_axis_is_one_object(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", IMAGES[:2])
    source = source_of(tmp_path / "one.npy", band_axis=0, axis_bands=["r", "g"])
    entries = list(source.entries())
    assert [(entry.object, entry.band) for entry in entries] == [("one_0", "r"), ("one_0", "g")]
    np.testing.assert_array_equal(pixels_of(source, *entries), IMAGES[:2])


def test_a_data_set_a_band(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "x.h5", {"in/g": IMAGES[:6], "in/r": IMAGES[6:]})
    source = source_of(tmp_path / "x.h5", hdu={"g": "in/g", "r": "in/r"})
    entries = list(source.entries())
    assert len(entries) == 12
    np.testing.assert_array_equal(pixels_of(source, entries[2], entries[3]), IMAGES[[1, 7]])
    write_hdf5(tmp_path / "y.h5", {"in/g": IMAGES[:6], "in/r": IMAGES[7:]})
    with pytest.raises(InputError, match=r"expected as many images in each band, found \[5, 6\]"):
        list(source_of(tmp_path / "y.h5", hdu={"g": "in/g", "r": "in/r"}).entries())


def test_masks_undefine_pixels(tmp_path: Path) -> None:
    mask = np.zeros((12, 5, 5), dtype=np.int16)
    mask[3, 1, 2], mask[3, 4, 4] = 4, 2
    write_npz(
        tmp_path / "x.npz", {"image": IMAGES, "mask": mask} | {key: COLUMNS[key] for key in ("id", "band")}
    )
    for bits, n_bad in ((None, 2), ([2], 1), ([0], 0)):
        source = source_of(tmp_path / "x.npz", mask_bits=bits)
        entry = list(source.entries())[3]
        assert np.isnan(pixels_of(source, entry)).sum() == n_bad


def test_images_that_are_none_are_rejected_one_by_one(tmp_path: Path) -> None:
    cells = [IMAGES[0].tolist(), None, IMAGES[1].tolist()]
    parquet.write_table(pa.table({"image": cells}), tmp_path / "x.parquet")
    source = source_of(tmp_path / "x.parquet", bands="g")
    first, second, third = read(source, *source.entries())
    assert isinstance(first, Reading)
    assert str(second) == "no image (an empty cell)"
    assert isinstance(third, Reading)
    np.save(tmp_path / "text.npy", np.full((1, 5, 5), "a"))
    source = source_of(tmp_path / "text.npy", bands="g")
    assert str(read(source, *source.entries())[0]) == "no image (values of type <U1)"
    np.save(tmp_path / "flat.npy", np.zeros((2, 25)))
    source = source_of(tmp_path / "flat.npy", bands="g")
    flat, _ = read(source, *source.entries())
    assert str(flat) == "wrong shape (expected an image of two dimensions, found 25)"


@pytest.mark.parametrize(
    ("arrays", "settings", "said"),
    [
        ({"image": IMAGES}, {}, r"expected the bands of the images \(g, r\), found none; give band_axis"),
        ({"flux": IMAGES}, {}, r"expected images in image, found flux; for example columns: \{image: flux\}"),
        ({"image": IMAGES}, {"columns": {"id": "name"}}, "columns: expected id in name, found image"),
        ({"image": IMAGES, "id": IDS[:3]}, {}, "id: expected 12 values, one an image, found 3"),
        (
            {"image": IMAGES} | COLUMNS | {"id": ["", *IDS[1:]]},
            {},
            "row 0: expected a value in id, found none",
        ),
        ({"image": IMAGES} | COLUMNS | {"label": [7] * 12}, {}, "row 0: expected a label"),
    ],
)
def test_what_is_wrong_with_a_stack_is_said(
    arrays: dict[str, Any], settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    write_npz(tmp_path / "x.npz", arrays)
    with pytest.raises(InputError, match=rf"x\.npz: .*{said}"):
        list(source_of(tmp_path / "x.npz", **settings).entries())


@pytest.mark.parametrize("suffix", WRITERS)
def test_ids_in_single_precision_that_are_those_of_others_are_refused(suffix: str, tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.float32) // 2 + 2**24  # 2^24 and 2^24 + 1 are one number there
    WRITERS[suffix](tmp_path / f"x.{suffix}", {"image": IMAGES} | COLUMNS | {"id": ids})
    with pytest.raises(InputError, match="row 0: expected an id as an integer or text, found the float 1677"):
        list(source_of(tmp_path / f"x.{suffix}").entries())


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        open_stack(tmp_path / "x.npy")
    with pytest.raises(InputError, match=r"x\.npy"):
        list(source_of(tmp_path / "x.npy").entries())
    with pytest.raises(InputError, match="expected a stack of images, but it does not exist"):
        source_of(tmp_path / "none.npy").check()


def test_columns_of_one_value_a_row_are_unwrapped(tmp_path: Path) -> None:
    columns = {"id": np.array(IDS)[:, None], "band": np.array(COLUMNS["band"])[:, None]}
    write_npz(tmp_path / "x.npz", {"image": IMAGES} | columns)
    assert [entry.object for entry in source_of(tmp_path / "x.npz").entries()] == IDS
    write_npz(
        tmp_path / "y.npz", {"image": IMAGES, "id": np.array([["a", "b"]] * 12), "band": COLUMNS["band"]}
    )
    with pytest.raises(InputError, match="id: expected one value an image, found several"):
        list(source_of(tmp_path / "y.npz").entries())


def test_what_is_not_given_is_nowhere(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES)
    entries = list(source_of(tmp_path / "x.npy", bands="i").entries())
    assert [entry.object for entry in entries[:2]] == ["x_00", "x_01"]
    assert (entries[0].label, entries[0].domain, entries[0].band) == (-1, "", "i")
    assert math.isnan(entries[0].ra)


@pytest.mark.parametrize("kind", WRITERS)
def test_bands_of_rows_must_be_those_along_the_axis(kind: str, tmp_path: Path) -> None:
    """As in MultimodalUniverse, whose rows list the bands of their images."""
    bands = [["DES-G", "DES-R", "DES-Z"]] * 4
    listed: Any = [[text.encode() for text in row] for row in bands] if kind == "h5" else bands
    path = tmp_path / f"x.{kind}"
    WRITERS[kind](path, {"image": IMAGES.reshape(4, 3, 5, 5), "survey_band": listed})
    reading = {"band_axis": 0, "columns": {"band": "survey_band"}}
    entries = list(source_of(path, "grz", axis_bands=["g", "r", "z"], **reading).entries())
    assert [entry.band for entry in entries[:3]] == ["g", "r", "z"]
    with pytest.raises(InputError, match="survey_band: expected z, r, g along band_axis, found DES-G, DES-R"):
        list(source_of(path, "grz", axis_bands=["z", "r", "g"], **reading).entries())


def test_the_bands_of_one_image_must_be_those_along_the_axis(tmp_path: Path) -> None:
    write_npz(tmp_path / "x.npz", {"image": IMAGES[:3], "band": ["g", "r", "z"]})
    assert len(list(source_of(tmp_path / "x.npz", band_axis=0, axis_bands=["g", "r", "z"]).entries())) == 2
    with pytest.raises(InputError, match="found g, r, z in row 0"):
        list(source_of(tmp_path / "x.npz", band_axis=0, axis_bands=["r", "g", "z"]).entries())


def test_the_likely_array_of_images_is_proposed(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "x.h5", {"answer": np.arange(12), "image_scale": np.ones(12), "images": IMAGES})
    with pytest.raises(InputError, match=r"for example columns: \{image: images\}, one array for all"):
        list(source_of(tmp_path / "x.h5").entries())


def test_structures_are_no_images(tmp_path: Path) -> None:
    images = np.zeros((4, 2), [("band", "S5"), ("flux", "f4", (5, 5))])
    np.save(tmp_path / "x.npy", images)
    source = source_of(tmp_path / "x.npy", band_axis=0, axis_bands=["g", "r"])
    assert str(read(source, *source.entries())[0]).startswith("no image (values of type [('band', 'S5'), ")
