"""The same set from each kind of source: the same cutouts, byte for byte."""

import gzip
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table
from pyarrow import parquet

from fits_files import plant_faults, primary_bytes, write_test_set
from stronglens.packing.pack import build_buckets
from stronglens.running.errors import InputError
from stronglens.settings.data import PackSettings

SIZE, BANDS = 12, ("g", "r")
OBJECTS = [f"object_{number:03d}" for number in range(7)]
IMAGES = np.random.default_rng(5).normal(0, 3, (len(OBJECTS), len(BANDS), SIZE, SIZE)).astype(np.float32)
IMAGES = IMAGES.astype(np.float64)  # values that a file of float32 holds too
RA, DEC = np.linspace(10, 20, len(OBJECTS)), np.linspace(-5, 5, len(OBJECTS))

Source = tuple[str, dict[str, Any]]
"""Name of the source in its folder, and what the config says of it."""


def files() -> dict[str, bytes]:
    return {
        f"{name}_{band}.fits": primary_bytes(IMAGES[number, b])
        for number, name in enumerate(OBJECTS)
        for b, band in enumerate(BANDS)
    }


def write_files(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, content in files().items():
        (folder / name).write_bytes(content)


def as_folder(work: Path) -> Source:
    write_files(work / "set")
    return "set", {}


def as_deep_folder(work: Path) -> Source:
    write_files(work / "set/a/b/c")
    return "set", {"max_depth": 3}


def as_list(work: Path) -> Source:
    write_files(work / "set")
    (work / "list.txt").write_text("".join(f"set/{name}\n" for name in files()))
    return "list.txt", {}


def as_folder_per_object(work: Path) -> Source:
    for name, content in files().items():
        path = work / "set" / name.rpartition("_")[0] / f"DES_{name.rpartition('_')[2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return "set", {"name_pattern": "(?P<object>[^/]+)/DES_(?P<band>.)"}


def as_hsc_names(work: Path) -> Source:
    (work / "set").mkdir()
    for name, content in files().items():
        stem, _, band = name.removesuffix(".fits").rpartition("_")
        (work / "set" / f"{stem}-cutout-HSC-{band.upper()}-9813-pdr3_wide.fits").write_bytes(content)
    return "set", {"name_pattern": "hsc"}


def as_headers_with_bands(work: Path) -> Source:
    (work / "set").mkdir()
    for number, (name, content) in enumerate(files().items()):
        stem, _, band = name.removesuffix(".fits").rpartition("_")
        with fits.open(io.BytesIO(content)) as hdus:
            hdus[0].header["FILTER"] = f"{band} DECam SDSS c0001 4720.0 1520.0"
            hdus.writeto(work / "set" / f"{stem}.{number}.fits")
    return "set", {"name_pattern": r"(?P<object>[^/]+)\.[0-9]+", "band_keyword": "FILTER"}


def as_many_hdus(work: Path) -> Source:
    (work / "set").mkdir()
    for name, image in zip(OBJECTS, IMAGES, strict=True):
        hdus = [fits.PrimaryHDU()]
        for b, band in enumerate(BANDS):
            hdus.append(fits.ImageHDU(image[b], name=f"{band}_SCI"))
            hdus.append(fits.ImageHDU(np.ones((SIZE, SIZE)), name=f"{band}_ERR"))
        fits.HDUList(hdus).writeto(work / "set" / f"{name}.fits")
    return "set", {"hdu": {band: f"{band}_sci" for band in BANDS}}


def as_cubes(work: Path) -> Source:
    (work / "set").mkdir()
    for name, image in zip(OBJECTS, IMAGES, strict=True):
        cube = np.stack([image[1], np.zeros((SIZE, SIZE)), image[0]])
        fits.PrimaryHDU(cube).writeto(work / "set" / f"{name}.fits")
    return "set", {"band_axis": 0, "axis_bands": ["r", "i", "g"]}


def as_larger_images(work: Path) -> Source:
    (work / "set").mkdir()
    for n, (name, content) in enumerate(files().items()):
        image = fits.getdata(io.BytesIO(content))
        wide = np.full((SIZE + 2 * n, SIZE + 1), 1e3)
        wide[n : n + SIZE, :SIZE] = image
        (work / "set" / name).write_bytes(primary_bytes(wide))
    return "set", {"fit": "crop"}


def as_tar(work: Path) -> Source:
    with tarfile.open(work / "set.tar", "w") as archive:
        for name, content in reversed(files().items()):
            member = tarfile.TarInfo(f"a/{'b' * 120}/{name}")  # a name too long for the header
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return "set.tar", {}


def as_compressed_tar(work: Path) -> Source:
    as_tar(work)
    with gzip.open(work / "set.tar.gz", "wb") as packed:
        packed.write((work / "set.tar").read_bytes())
    return "set.tar.gz", {}


def as_zip(work: Path) -> Source:
    with zipfile.ZipFile(work / "set.zip", "w") as archive:
        for number, (name, content) in enumerate(files().items()):
            archive.writestr(f"a/{name}", content, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED][number % 2])
    return "set.zip", {}


class _Stream(io.BytesIO):
    """A file that a zip file cannot go back in: sizes and checksums follow the data."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def as_streamed_zip(work: Path) -> Source:
    stream = _Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files().items():
            archive.writestr(name, content)
    (work / "set.zip").write_bytes(stream.getvalue())
    return "set.zip", {}


def rows(work: Path) -> pd.DataFrame:
    write_files(work / "any")
    names = [f"{number}.fits" for number in range(len(files()))]
    for old, new in zip(files(), names, strict=True):
        (work / "any" / old).rename(work / "any" / new)
    return pd.DataFrame(
        {
            "name": np.repeat(OBJECTS, len(BANDS)),
            "band": list(BANDS) * len(OBJECTS),
            "path": [f"any/{name}" for name in names],
            "ra": np.repeat(RA, len(BANDS)),
            "dec": np.repeat(DEC, len(BANDS)),
        }
    )


def as_csv(work: Path) -> Source:
    rows(work).to_csv(work / "set.csv", index=False, encoding="utf-8-sig")
    return "set.csv", {"columns": {"id": "name"}}


def as_parquet_table(work: Path) -> Source:
    rows(work).to_parquet(work / "set.parquet")
    return "set.parquet", {"columns": {"id": "name"}}


def as_fits_table(work: Path) -> Source:
    Table.from_pandas(rows(work)).write(work / "set.fits")
    return "set.fits", {"columns": {"id": "name"}}


def as_votable(work: Path) -> Source:
    Table.from_pandas(rows(work)).write(work / "set.vot", format="votable")
    return "set.vot", {"columns": {"id": "name"}}


def as_hdf5(work: Path) -> Source:
    with h5py.File(work / "set.h5", "w") as file:
        file["cutouts"], file["id"] = IMAGES[::-1], OBJECTS[::-1]
        file["ra"], file["dec"] = RA[::-1], DEC[::-1]
    return "set.h5", {"columns": {"image": "cutouts"}, "band_axis": 0}


def as_hdf5_with_a_data_set_a_band(work: Path) -> Source:
    with h5py.File(work / "set.h5", "w") as file:
        file["image_g"], file["image_r"], file["id"] = IMAGES[:, 0], IMAGES[:, 1], OBJECTS
    return "set.h5", {"hdu": {"g": "image_g", "r": "image_r"}}


def as_npy(work: Path) -> Source:
    np.save(work / "object.npy", np.moveaxis(IMAGES, 1, -1))
    return "object.npy", {"band_axis": -1}


def as_npz(work: Path) -> Source:
    flat = IMAGES.reshape(-1, SIZE, SIZE)
    np.savez(work / "set.npz", image=flat, id=np.repeat(OBJECTS, 2), band=list(BANDS) * len(OBJECTS))
    return "set.npz", {}


def as_parquet_of_lists(work: Path) -> Source:
    table = pa.table({"id": OBJECTS, "image": pa.array(IMAGES.tolist()), "ra": RA, "dec": DEC})
    parquet.write_table(table, work / "set.parquet", row_group_size=3)
    return "set.parquet", {"band_axis": 0}


def as_parquet_of_files(work: Path) -> Source:
    images = [{"bytes": content, "path": "x"} for content in files().values()]
    table = {"id": np.repeat(OBJECTS, 2), "band": list(BANDS) * len(OBJECTS), "image": images}
    parquet.write_table(pa.table(table), work / "set.parquet", row_group_size=4)
    return "set.parquet", {}


def as_zarr(work: Path) -> Source:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(work / "set.zarr", mode="w")
    group.create_array("image", data=IMAGES)
    return "set.zarr", {"band_axis": 0}


WAYS: list[Callable[[Path], Source]] = [
    *(as_deep_folder, as_list, as_folder_per_object, as_hsc_names, as_headers_with_bands),
    *(as_many_hdus, as_cubes, as_larger_images, as_tar, as_compressed_tar, as_zip, as_streamed_zip),
    *(as_csv, as_parquet_table, as_fits_table, as_votable),
    *(as_hdf5, as_hdf5_with_a_data_set_a_band, as_npy, as_npz, as_parquet_of_lists, as_parquet_of_files),
    as_zarr,
]


def pack(work: Path, source: Source, **others: Any) -> Path:
    path, reading = source
    settings = PackSettings(
        path=str(work / path), size_px=SIZE, bands=list(BANDS), max_rejected=0, **reading | others
    )
    build_buckets(settings, work / "packed")
    return work / "packed"


@pytest.fixture(scope="module")
def of_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("folder")
    return pack(work, as_folder(work))


@pytest.mark.parametrize("way", WAYS)
def test_the_same_cutouts_from_each_kind_of_source(
    way: Callable[[Path], Source], of_folder: Path, tmp_path: Path
) -> None:
    packed = pack(tmp_path, way(tmp_path))
    assert (packed / "cutouts.npy").read_bytes() == (of_folder / "cutouts.npy").read_bytes()
    index, expected = pd.read_parquet(packed / "index.parquet"), pd.read_parquet(of_folder / "index.parquet")
    columns = ["band", "pixel_hash"] if way in (as_npy, as_zarr) else ["object", "band", "pixel_hash"]
    pd.testing.assert_frame_equal(index[columns], expected[columns])
    assert not list(packed.glob(".*"))


@pytest.mark.parametrize(
    "way", [as_csv, as_parquet_table, as_fits_table, as_votable, as_hdf5, as_parquet_of_lists]
)
def test_coordinates_of_tables_and_stacks(way: Callable[[Path], Source], tmp_path: Path) -> None:
    index = pd.read_parquet(pack(tmp_path, way(tmp_path)) / "index.parquet")
    np.testing.assert_allclose(index["ra"], np.repeat(RA, 2))
    np.testing.assert_allclose(index["dec"], np.repeat(DEC, 2))


def whole_and_broken(folder: Path) -> dict[str, str]:
    """A set with the faults of real downloads; the reason of each broken file."""
    write_test_set(folder, 8, size_px=SIZE, bands=BANDS)
    return plant_faults(folder)


@pytest.mark.parametrize("kind", ["tar", "gztar", "zip"])
def test_archives_reject_what_folders_do(kind: str, tmp_path: Path) -> None:
    whole_and_broken(tmp_path / "set")
    archive = shutil.make_archive(str(tmp_path / "packed_set"), kind, tmp_path / "set")
    others: dict[str, Any] = {"size_px": SIZE, "bands": list(BANDS), "max_rejected": 0.9}
    for name, path in (("of_folder", tmp_path / "set"), ("of_archive", archive)):
        build_buckets(PackSettings(path=str(path), **others), tmp_path / name)
    found = [
        [
            (Path(row["path"].rpartition("::")[2]).name, str(row["object"]), row["reason"])
            for row in pd.read_csv(tmp_path / name / "rejected.csv").to_dict("records")
        ]
        for name in ("of_folder", "of_archive")
    ]
    assert len(found[0]) > 5
    assert sorted(found[0]) == sorted(found[1])
    assert (tmp_path / "of_folder/cutouts.npy").read_bytes() == (
        tmp_path / "of_archive/cutouts.npy"
    ).read_bytes()


@pytest.mark.parametrize("way", [as_tar, as_compressed_tar, as_zip, as_hdf5, as_parquet_of_files])
def test_parts_and_processes_change_nothing(
    way: Callable[[Path], Source], of_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reading = way(tmp_path)
    settings = PackSettings(path=str(tmp_path / path), size_px=SIZE, bands=list(BANDS), **reading)
    for part in range(2):
        build_buckets(settings, tmp_path / str(part), part=part, n_parts=2, n_processes=2)
    parts = pd.concat([pd.read_parquet(tmp_path / str(part) / "index.parquet") for part in range(2)])
    whole = pd.read_parquet(of_folder / "index.parquet")
    assert sorted(parts["pixel_hash"]) == sorted(whole["pixel_hash"])
    assert parts.groupby("object")["band"].agg(list).tolist() == [list(BANDS)] * len(OBJECTS)


def test_damaged_archives(tmp_path: Path) -> None:
    """A member whose bytes have changed is rejected; an archive that ends too early is an error."""
    as_zip(tmp_path)
    content = bytearray((tmp_path / "set.zip").read_bytes())
    at = content.find(IMAGES[0, 0].astype(">f8").tobytes())
    content[at + 100] ^= 1
    (tmp_path / "set.zip").write_bytes(content)
    settings = PackSettings(path=str(tmp_path / "set.zip"), size_px=SIZE, bands=list(BANDS), max_rejected=0.1)
    build_buckets(settings, tmp_path / "packed")
    rejected = pd.read_csv(tmp_path / "packed/rejected.csv")
    assert rejected["reason"].tolist() == ["checksum does not match (CRC of the zip file)"]
    (tmp_path / "set.zip").write_bytes(content[:-100])
    with pytest.raises(
        InputError, match=r"set\.zip: expected a whole archive \(tar, zip\), found: no directory"
    ):
        build_buckets(settings, tmp_path / "packed")
    (tmp_path / "set.tar.gz").write_bytes(gzip.compress(b"x" * 5000)[:-20])
    with pytest.raises(InputError, match=r"set\.tar\.gz: expected a whole archive"):
        build_buckets(settings.model_copy(update={"path": str(tmp_path / "set.tar.gz")}), tmp_path / "other")
    assert not (tmp_path / "other").exists() or not list((tmp_path / "other").iterdir())


def test_labels_and_domains_of_rows(tmp_path: Path) -> None:
    """Rows say what objects are; a bucket for each label and domain, so that a split divides each."""
    table = rows(tmp_path)
    table["is_lens"] = np.repeat([1, 0, 1, 0, 0, 1, 1], 2)
    table["survey"] = np.repeat(["des", "des", "hsc", "hsc", "des", "des", "hsc"], 2)
    table.sample(frac=1, random_state=1).to_csv(tmp_path / "set.csv", index=False)
    columns = {"id": "name", "label": "is_lens", "domain": "survey"}
    settings = PackSettings(
        labelled={"mine": {"path": str(tmp_path / "set.csv"), "columns": columns}},
        size_px=SIZE,
        bands=list(BANDS),
    )
    build_buckets(settings, tmp_path / "packed")
    index = pd.read_parquet(tmp_path / "packed/index.parquet")
    assert index["bucket"].drop_duplicates().tolist() == [
        *("mine_des_lenses", "mine_hsc_lenses", "mine_des_nonlenses", "mine_hsc_nonlenses")
    ]
    objects = (
        index.drop_duplicates("object").set_index(index["object"].drop_duplicates().str[-10:]).sort_index()
    )
    assert objects["label"].tolist() == [1, 0, 1, 0, 0, 1, 1]
    assert objects["domain"].tolist() == ["des", "des", "hsc", "hsc", "des", "des", "hsc"]


def test_masks_bits_and_sentinels_leave_pixels_undefined(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    mask = np.zeros((SIZE, SIZE), np.int32)
    mask[0, :3], mask[1, 1] = 4, 2
    image = IMAGES[0, 0].copy()
    image[5, 5] = -9999
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(image.astype(np.float32), name="IMAGE"),
        fits.ImageHDU(mask, name="MASK"),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "set/object_g.fits")
    n_filled = {}
    for name, reading in {
        "all": {"mask_hdu": "mask", "sentinels": [-9999]},
        "bit": {"mask_hdu": "MASK", "mask_bits": [1]},
        "none": {"hdu": 1},
    }.items():
        settings = PackSettings(
            path=str(tmp_path / "set"), size_px=SIZE, bands=["g"], non_finite="fill", **reading
        )
        build_buckets(settings, tmp_path / name)
        n_filled[name] = json.loads((tmp_path / name / "summary.json").read_text())["filled"]["n_pixels"]
    assert n_filled == {"all": 5, "bit": 1, "none": 0}


def test_images_of_many_sizes_are_fitted_and_counted(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    images = {}
    for number, shape in enumerate([(12, 12), (13, 12), (14, 15), (11, 12), (10, 9), (6, 6)]):
        images[number] = np.random.default_rng(number).normal(size=shape)
        (tmp_path / f"set/{number}_g.fits").write_bytes(primary_bytes(images[number]))
    (tmp_path / "set/6_g.fits").write_bytes(primary_bytes(np.random.default_rng(6).normal(size=(5, 12))))
    settings = PackSettings(path=str(tmp_path / "set"), size_px=12, bands=["g"], fit="pad", max_rejected=0.2)
    build_buckets(settings, tmp_path / "packed")
    summary = json.loads((tmp_path / "packed/summary.json").read_text())
    assert (summary["n_fitted"], summary["n_rejected"]) == (5, 1)
    cutouts = np.load(tmp_path / "packed/cutouts.npy")
    np.testing.assert_array_equal(cutouts[2], images[2][1:13, 1:13].astype(np.float32))
    np.testing.assert_array_equal(cutouts[4][1:11, 1:10], images[4].astype(np.float32))
    assert cutouts[4][0, 0] == np.float32(np.median(images[4]))


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["2-cutout-HSC-{}-9813-pdr3_wide"], "name_pattern: hsc, which reads 2 in band "),
        (["obj1_{}_sci", "obj2_{}_sci"], r"name_pattern: '(?P<object>.+)_(?P<band>[A-Za-z0-9]+)_sci'"),
        (["rings.v3.skycell.0796.084.stk.{}.unconv"], "name_pattern: ps1"),
        (["frame-{}-001234-1-0012"], "name_pattern: sdss"),
        (["KiDS_129.0_-0.5_{}_sci"], r"name_pattern: '(?P<object>.+)_(?P<band>[A-Za-z0-9]+)_sci'"),
    ],
)
def test_the_error_says_which_line_to_write(names: list[str], line: str, tmp_path: Path) -> None:
    for name in names:
        for band in BANDS:
            path = tmp_path / "set" / f"{name.format(band.upper() if 'HSC' in name else band)}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(primary_bytes(IMAGES[0, 0]))
    with pytest.raises(InputError) as caught:
        build_buckets(
            PackSettings(path=str(tmp_path / "set"), size_px=SIZE, bands=list(BANDS)), tmp_path / "out"
        )
    assert line in str(caught.value)


def test_surveys_of_one_object_stay_in_one_group(tmp_path: Path) -> None:
    for survey in ("DES", "PS1"):
        for b, band in enumerate(BANDS):
            path = tmp_path / f"set/SN2006bh/{survey}_{band}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(primary_bytes(IMAGES[len(survey + band) % 3, b]))
    packed = pack(tmp_path, ("set", {"name_pattern": "folder_per_object_and_survey"}))
    index = pd.read_parquet(packed / "index.parquet")
    assert index["object"].unique().tolist() == ["SN2006bh_DES", "SN2006bh_PS1"]
    assert set(index["header_id"]) == {"SN2006bh"}


def test_coordinates_unit_and_zero_point_of_headers(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    header = fits.Header({"RA": 12.5, "DEC": "-30.25", "BUNIT": "nJy", "ZP": 31.4})
    for band in BANDS:
        fits.PrimaryHDU(IMAGES[0, 0] if band == "g" else IMAGES[0, 1], header).writeto(
            tmp_path / f"set/object_{band}.fits"
        )
    packed = pack(tmp_path, ("set", {"coordinate_keywords": ["RA", "DEC"], "zero_point": "ZP"}))
    index = pd.read_parquet(packed / "index.parquet")
    assert index[["ra", "dec", "unit", "zero_point"]].to_numpy().tolist() == [[12.5, -30.25, "nJy", 31.4]] * 2
