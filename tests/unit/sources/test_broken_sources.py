"""Tables, archives and stacks as people have them: what is wrong in them is refused, or a row, never lost."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from pyarrow import parquet

from fits_files import primary_bytes
from stronglens.packing.pack import build_buckets
from stronglens.running.errors import InputError
from stronglens.settings.data import PackSettings

SIZE = 12
IMAGES = np.random.default_rng(3).normal(0, 3, (4, 2, SIZE, SIZE)).astype(np.float32)
IDS = [f"obj{number}" for number in range(4)]


def pack(path: Path, bands: str = "gr", **reading: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Index and rejected rows."""
    out = path.parent / "packed"
    settings = PackSettings(
        **({"path": str(path)} if "labelled" not in reading else {}),
        **{"size_px": SIZE, "bands": list(bands), "max_rejected": 0.9} | reading,
    )
    build_buckets(settings, out)
    return pd.read_parquet(out / "index.parquet"), pd.read_csv(out / "rejected.csv")


# tables


def rows(folder: Path) -> pd.DataFrame:
    found = []
    for number, name in enumerate(IDS):
        for b, band in enumerate("gr"):
            (folder / f"{number}{b}.fits").write_bytes(primary_bytes(IMAGES[number, b]))
            found.append((name, band, f"{number}{b}.fits", number % 2, "des", 10.0 + number, -5.0))
    columns = ["id", "band", "path", "label", "domain", "ra", "dec"]
    return pd.DataFrame(found, columns=columns).astype({"id": object, "label": object, "ra": object})


def as_csv(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path.with_suffix(".csv"), index=False)
    return path.with_suffix(".csv")


def as_parquet(table: pd.DataFrame, path: Path) -> Path:
    texts = {name: [None if pd.isna(one) else str(one) for one in table[name]] for name in table}
    parquet.write_table(pa.table(texts), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def as_votable(table: pd.DataFrame, path: Path) -> Path:
    columns = {}
    for name in table:
        empty = [bool(pd.isna(one)) for one in table[name]]
        values = ["" if no else str(one) for no, one in zip(empty, table[name], strict=True)]
        columns[name] = MaskedColumn(values, mask=empty)
    Table(columns).write(path.with_suffix(".vot"), format="votable")
    return path.with_suffix(".vot")


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_votable])
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("id", None, r"row 3: expected a value in column id, found none"),
        ("band", None, r"row 3: expected a value in column band, found none"),
        ("path", None, r"row 3: expected a value in column path, found none"),
        (
            "path",
            "gone.fits",
            r"expected a file in every line, found 1 that name none: line 3: '.*gone.fits'",
        ),
        ("band", "u", r"configured bands alone .* found 1 of others"),
        ("band", "g and r", r"configured bands alone .* found 1 of others"),
        ("band", "r", r"expected one file for each band of an object, found 1 more"),
        ("id", "obj0", r"expected one label and domain in all rows of an object"),
        ("label", 2, r"row 3: expected a label \(lens, nonlens, 1 or 0\), found '2'"),
        ("label", None, r"row 3: expected a label .*, found ''"),
        ("label", 0, r"expected one label and domain in all rows of an object, found .* for 'obj1'"),
        ("domain", "hsc", r"expected one label and domain in all rows of an object"),
        ("ra", "01:23:45", r"row 3: expected ra and dec in degrees, found '01:23:45' and '-5'"),
        ("ra", 1e4, r"row 3: expected ra and dec in degrees, found '10000(.0)?' and"),
        ("dec", None, r"row 3: expected ra and dec in degrees, found '11(.0)?' and ''"),
    ],
)
def test_a_wrong_cell_of_a_table_is_an_error(
    write: Callable[[pd.DataFrame, Path], Path], column: str, value: Any, message: str, tmp_path: Path
) -> None:
    table = rows(tmp_path).astype(object)
    table.loc[2, column] = value
    path = write(table, tmp_path / "set")
    columns = {"label": "label", "domain": "domain"}
    with pytest.raises(InputError, match=message.replace("'-5'", "'-5(.0)?'")):
        pack(path, labelled={"mine": {"path": str(path), "columns": columns}})


def test_masked_integers_of_a_table_are_no_numbers(tmp_path: Path) -> None:
    table = rows(tmp_path)
    masked = Table({name: table[name].astype(str).to_list() for name in ("id", "band", "path", "domain")})
    masked["label"] = MaskedColumn(table["label"].astype(int), mask=[False] * 7 + [True])
    for name in ("set.vot", "set.fits"):
        masked.write(tmp_path / name, format="votable" if name.endswith("vot") else "fits")
        labelled = {"mine": {"path": str(tmp_path / name), "columns": {"label": "label", "domain": "domain"}}}
        with pytest.raises(InputError, match=r"row 8: expected a label .*, found ''"):
            pack(tmp_path / name, labelled=labelled)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"label": "lens", "domain": "des"}, "expected label lens, as bucket mine has it, found nonlens in"),
        ({"label": "nonlens", "domain": "hsc"}, "found lens in its row|expected domain hsc, .* found des in"),
    ],
)
def test_rows_that_contradict_their_bucket_are_refused(
    stated: dict[str, str], message: str, tmp_path: Path
) -> None:
    """A bucket of lenses whose table says otherwise would train on wrong labels."""
    path = as_csv(rows(tmp_path), tmp_path / "set")
    with pytest.raises(InputError, match=message):
        pack(path, labelled={"mine": {"path": str(path), **stated}})
    table = rows(tmp_path).assign(label=1)
    path = as_csv(table, tmp_path / "set")
    one = {"path": str(path), "label": "lens", "domain": "des"}
    assert set(pack(path, labelled={"mine": one})[0]["label"]) == {1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,band,path,path\na,g,00.fits,01.fits\n", "expected one column path, found 2"),
        (
            "id,band,file\na,g,00.fits\n",
            r"expected a column path, found id, band, file; .*columns: \{path: id\}",
        ),
        ("id,band,path\na,g\n", "expected a CSV table, found something else"),
        ("id;band;path\na;g;00.fits\n", "expected commas between columns, found semicolons: 'id;band;path'"),
        ("", "expected FITS cutouts .* found nothing"),
        ("id,band,path\n", "expected FITS cutouts .* found nothing"),
    ],
)
def test_tables_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    rows(tmp_path)
    (tmp_path / "set.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        pack(tmp_path / "set.csv")


def test_a_column_that_the_config_names_must_be_there(tmp_path: Path) -> None:
    path = as_csv(rows(tmp_path), tmp_path / "set")
    with pytest.raises(InputError, match="expected a column RAJ2000, found id, band, path"):
        pack(path, columns={"ra": "RAJ2000", "dec": "dec"})


# archives


def tar_of(members: dict[str, bytes], kinds: dict[str, bytes] | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, kind in (kinds or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "a/obj0_g.fits"
            archive.addfile(member)
    return file.getvalue()


MEMBERS = {
    f"a/{name}_{band}.fits": primary_bytes(IMAGES[n, b])
    for n, name in enumerate(IDS)
    for b, band in enumerate("gr")
}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    "prefix", ["", "/data/", "../../", "d/" * 120, "d\N{LATIN SMALL LETTER E WITH ACUTE}/"]
)
def test_names_of_members_lead_nowhere_else(form: int, prefix: str, tmp_path: Path) -> None:
    """Absolute names and `..` are names; nothing is written where they point."""
    if form == tarfile.USTAR_FORMAT and len(prefix) > 200:
        prefix = "d/" * 60
    content = tar_of({prefix + name: content for name, content in MEMBERS.items()}, format=form)
    (tmp_path / "set.tar").write_bytes(content)
    index, rejected = pack(tmp_path / "set.tar")
    assert (len(index), len(rejected)) == (8, 0)
    assert index["path"][0] == f"{tmp_path}/set.tar::{prefix}a/obj0_g.fits"
    assert {path.name for path in tmp_path.iterdir()} == {"set.tar", "packed"}
    with tarfile.open(tmp_path / "set.tar") as archive:
        assert sorted(archive.getnames()) == sorted(path.partition("::")[2] for path in index["path"]) or (
            prefix.startswith("/")
        )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "a link in an archive"),
        (tarfile.LNKTYPE, "a link in an archive"),
        (tarfile.FIFOTYPE, "neither file nor link"),
        (tarfile.CHRTYPE, "neither file nor link"),
        (b"Z", "neither file nor link"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_members_without_content_are_rejected_rows(
    kind: bytes, reason: str, packed: bool, tmp_path: Path
) -> None:
    content = tar_of(MEMBERS, {"a/obj9_g.fits": kind, "a/notes": kind, "a/folder_g.fits": tarfile.DIRTYPE})
    path = tmp_path / ("set.tar.gz" if packed else "set.tar")
    path.write_bytes(gzip.compress(content) if packed else content)
    index, rejected = pack(path)
    assert len(index) == 8
    reasons = dict(zip(rejected["path"].str.rpartition("/")[2], rejected["reason"], strict=True))
    assert set(reasons) == {"obj9_g.fits", "notes"}
    assert reason in reasons["obj9_g.fits"]
    assert dict(zip(rejected["path"].str.rpartition("/")[2], rejected["object"], strict=True))[
        "obj9_g.fits"
    ] == ("obj9")


def test_the_same_member_twice_is_an_error(tmp_path: Path) -> None:
    """`tar --append` leaves both; which one counts is not for the pipeline to say."""
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        for name in [*MEMBERS, "a/obj0_g.fits"]:
            member = tarfile.TarInfo(name)
            member.size = len(MEMBERS[name])
            archive.addfile(member, io.BytesIO(MEMBERS[name]))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for name in [*MEMBERS, "a/obj0_g.fits"]:
            archive.writestr(name, MEMBERS[name])
    for name in ("set.tar", "set.zip"):
        with pytest.raises(InputError, match=r"expected one file for each band of an object, found 1 more"):
            pack(tmp_path / name)


def cut_within_a_member(content: bytes) -> bytes:
    return content[:9000]


def cut_between_members(content: bytes) -> bytes:
    return content[: content.index(b"a/obj2_g.fits")]


def with_a_broken_header(content: bytes) -> bytes:
    at = content.index(b"a/obj2_g.fits")
    return content[: at + 130] + b"9" + content[at + 131 :]


def with_another_behind_it(content: bytes) -> bytes:
    return content + tar_of({"a/obj8_g.fits": b"x"})


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (cut_within_a_member, "truncated"),
        (cut_between_members, "without the end of an archive: truncated"),
        (with_a_broken_header, "no header of a member at byte .*: truncated, or broken"),
        (with_another_behind_it, "more after its end, at byte"),
        (lambda _: b"x" * 2000, "no tar file"),
    ],
)
def test_a_tar_file_that_is_not_whole_is_an_error(
    spoil: Callable[[bytes], bytes], found: str, packed: bool, tmp_path: Path
) -> None:
    """Python's tarfile says nothing of the second, third and fourth, and gives what is before."""
    content = spoil(tar_of(MEMBERS))
    path = tmp_path / ("set.tgz" if packed else "set.tar")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(InputError, match=rf"expected a whole archive \(tar, zip\), found: .*{found}"):
        pack(path)


@pytest.mark.parametrize("n_bytes", [20, 500, 5000])
def test_a_truncated_gz_is_an_error(n_bytes: int, tmp_path: Path) -> None:
    (tmp_path / "set.tar.gz").write_bytes(gzip.compress(tar_of(MEMBERS))[:-n_bytes])
    with pytest.raises(InputError, match=r"set\.tar\.gz: expected a whole archive"):
        pack(tmp_path / "set.tar.gz")


def test_zip_files_of_more_members_than_are_counted(tmp_path: Path) -> None:
    """Old writers count modulo 65,536: the directory itself counts."""
    with zipfile.ZipFile(tmp_path / "set.zip", "w", allowZip64=True) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
    content = (tmp_path / "set.zip").read_bytes()
    at = content.rindex(b"PK\5\6")
    for n in (7, 9):
        wrong = content[: at + 8] + n.to_bytes(2, "little") * 2 + content[at + 12 :]
        (tmp_path / "set.zip").write_bytes(wrong)
        with pytest.raises(InputError, match=f"8 members in its directory, which states {n}"):
            pack(tmp_path / "set.zip")


# stacks


def stack(path: Path, **arrays: Any) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".zarr":
        group = pytest.importorskip("zarr").open_group(path, mode="w")
        for name, values in arrays.items():
            group.create_array(name, data=np.asarray(values))
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    return path


@pytest.mark.parametrize("ending", [".h5", ".npz", ".zarr"])
@pytest.mark.parametrize(
    ("arrays", "reading", "message"),
    [
        (
            {"image": IMAGES[:, 0]},
            {},
            r"expected the bands of the images \(g, r\), found none; give band_axis",
        ),
        ({"image": IMAGES}, {}, "expected the bands of the images"),
        ({"image": np.moveaxis(IMAGES, 1, -1)}, {"band_axis": 0}, "expected 2 bands along axis 0, found 12"),
        ({"image": IMAGES}, {"band_axis": 0, "axis_bands": ["g", "r", "i"]}, "expected 3 bands along axis 0"),
        ({"image": IMAGES.reshape(4, 2, -1)}, {"band_axis": 0}, "found 4 x 2 x 144"),
        ({"image": np.moveaxis(IMAGES, 0, -1)}, {"band_axis": 0}, "wrong shape"),
        ({"image": IMAGES > 0}, {"band_axis": 0}, "values of type bool"),
        ({"image": IMAGES.astype(complex)}, {"band_axis": 0}, "values of type complex"),
        (
            {"pictures": IMAGES},
            {"band_axis": 0},
            r"expected images in image, found pictures; .*\{image: pictures\}",
        ),
        (
            {"image": IMAGES, "id": [1, 2, 3]},
            {"band_axis": 0},
            "id: expected 4 values, one an image, found 3",
        ),
        (
            {"image": IMAGES, "id": [1, 2, 2, 3]},
            {"band_axis": 0},
            "one file for each band of an object, found 2",
        ),
        (
            {"image": IMAGES, "ra": [1, 2, 3, 400], "dec": [0] * 4},
            {"band_axis": 0},
            "row 3: expected ra and dec",
        ),
        ({"image": IMAGES, "id": np.ones((4, 2), int)}, {"band_axis": 0}, "id: expected one value an image"),
        (
            {"image": IMAGES[:, 0], "band": ["g", "r", "u", "g"], "id": [1, 2, 3, 4]},
            {},
            "configured bands alone",
        ),
        ({"image": IMAGES[:, 0], "band": ["g", "r", "g", "g"]}, {}, "ids beside the bands of its rows"),
        ({"image": IMAGES[:0]}, {"band_axis": 0}, "found nothing"),
    ],
)
def test_stacks_of_another_form_are_errors(
    ending: str, arrays: dict[str, Any], reading: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if ending == ".zarr" and np.asarray(arrays.get("band", 0)).dtype.kind == "U":
        pytest.skip("texts of Zarr are experimental")
    with pytest.raises(InputError, match=message):
        pack(stack(tmp_path / f"set{ending}", **arrays), **reading)


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">i2", "<u2", "u1"])
@pytest.mark.parametrize("ending", [".h5", ".npz", ".zarr"])
def test_numbers_of_all_types_are_read(dtype: str, ending: str, tmp_path: Path) -> None:
    images = (IMAGES * 10 + 100).astype(dtype)
    index, _ = pack(stack(tmp_path / f"set{ending}", image=images, id=[[7], [8], [10], [9]]), band_axis=0)
    assert index["object"].unique().tolist() == ["10", "7", "8", "9"]
    packed = np.load(tmp_path / "packed/cutouts.npy")
    np.testing.assert_array_equal(packed[2:4], images[0].astype(np.float32))


def test_objects_and_pickles_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", image=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"found none, or Python objects, .*; save with np\.array"):
        pack(tmp_path / "set.npz", band_axis=0)
    with h5py.File(tmp_path / "set.h5", "w") as file:
        ragged = file.create_dataset("image", (4,), h5py.vlen_dtype(np.float32))
        ragged[:] = [np.arange(n + 1, dtype=np.float32) for n in range(4)]
    with pytest.raises(InputError, match=r"4 x no image, .*values of type|4 x wrong shape"):
        pack(tmp_path / "set.h5", bands="g")


def test_data_sets_in_groups_of_hdf5_have_paths(tmp_path: Path) -> None:
    path = stack(tmp_path / "set.h5", **{"data/images": IMAGES, "meta/id": IDS})
    with pytest.raises(InputError, match="expected images in image, found data/images, meta/id"):
        pack(path, band_axis=0)
    index, _ = pack(path, band_axis=0, columns={"image": "data/images", "id": "meta/id"})
    assert index["object"].tolist() == np.repeat(IDS, 2).tolist()


@pytest.mark.parametrize("chunks", [(2, 2, 12, 12), (4, 1, 6, 12), (1, 2, 12, 6)])
def test_a_chunk_of_zarr_that_is_missing_is_not_taken_for_pixels(
    chunks: tuple[int, ...], tmp_path: Path
) -> None:
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "set.zarr"
    zarr.open_group(path, mode="w").create_array("image", data=IMAGES, chunks=chunks)
    index, _ = pack(path, band_axis=0)
    assert len(index) == 8
    (path / "image/c/0/0/0/0").unlink()
    if chunks[2:] == (12, 12):
        index, rejected = pack(path, band_axis=0)
        assert len(index) == 4
        assert rejected["reason"].str.startswith("constant image").all()
    else:
        with pytest.raises(InputError, match=r"set\.zarr: image: expected all chunks .*, found 1 missing"):
            pack(path, band_axis=0)


def test_an_empty_first_cell_is_one_image_that_is_missing(tmp_path: Path) -> None:
    cells = [None, *(image.tolist() for image in IMAGES[1:, 0])]
    parquet.write_table(pa.table({"id": IDS, "image": cells}), tmp_path / "set.parquet")
    index, rejected = pack(tmp_path / "set.parquet", bands="g")
    assert index["object"].tolist() == sorted(IDS[1:])
    assert rejected["reason"].tolist() == ["no image (an empty cell)"]


def test_arrays_in_groups_of_zarr_have_paths_and_one_alone_is_the_image(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    path = stack(tmp_path / "set.zarr", **{"data/images": IMAGES})
    with pytest.raises(InputError, match="expected images in image, found data/images"):
        pack(path, band_axis=0)
    assert len(pack(path, band_axis=0, columns={"image": "data/images"})[0]) == 8
    zarr.create_array(tmp_path / "one.zarr", data=IMAGES)
    assert len(pack(tmp_path / "one.zarr", band_axis=0)[0]) == 8
    np.testing.assert_array_equal(np.load(tmp_path / "packed/cutouts.npy"), IMAGES.reshape(8, SIZE, SIZE))


@pytest.mark.parametrize("ending", [".h5", ".zarr"])
@pytest.mark.parametrize("keys", [("scale_factor", "add_offset", "_FillValue"), ("BSCALE", "BZERO", "BLANK")])
def test_scales_and_fill_values_of_stacks_are_applied(
    ending: str, keys: tuple[str, str, str], tmp_path: Path
) -> None:
    stored = np.random.default_rng(0).integers(0, 60000, IMAGES.shape).astype(np.uint16)
    stored[1, 0, 3, 4] = 65535
    path = stack(tmp_path / f"set{ending}", image=stored)
    with attributes_of(path) as attributes:
        attributes.update(dict(zip(keys, (0.5, 100.0, 65535), strict=True)))
    index, _ = pack(path, band_axis=0, non_finite="fill")
    packed = np.load(tmp_path / "packed/cutouts.npy").reshape(IMAGES.shape)
    expected = stored * 0.5 + 100
    assert len(index) == 8
    assert packed[1, 0, 3, 4] == np.median(np.delete(expected[1, 0].ravel(), 3 * SIZE + 4)).astype(np.float32)
    packed[1, 0, 3, 4] = expected[1, 0, 3, 4]
    np.testing.assert_array_equal(packed, expected.astype(np.float32))


@pytest.mark.parametrize("ending", [".h5", ".zarr"])
def test_a_scale_of_floats_may_have_been_applied(ending: str, tmp_path: Path) -> None:
    path = stack(tmp_path / f"set{ending}", image=IMAGES)
    with attributes_of(path) as attributes:
        attributes["BZERO"] = 32768.0
    with pytest.raises(InputError, match="floats in image with a scale of 1 and an offset of 32768"):
        pack(path, band_axis=0)


@contextmanager
def attributes_of(path: Path) -> Iterator[Any]:
    if path.suffix == ".zarr":
        yield pytest.importorskip("zarr").open_group(path)["image"].attrs
        return
    with h5py.File(path, "r+") as file:
        yield file["image"].attrs


@pytest.mark.parametrize("empty", ["id", "image"])
def test_empty_cells_of_parquet(empty: str, tmp_path: Path) -> None:
    columns: dict[str, Any] = {"id": list(IDS), "image": IMAGES.tolist()}
    columns[empty][2] = None
    parquet.write_table(pa.table(columns), tmp_path / "set.parquet")
    if empty == "id":
        with pytest.raises(InputError, match="row 2: expected a value in id, found none"):
            pack(tmp_path / "set.parquet", band_axis=0)
        return
    index, rejected = pack(tmp_path / "set.parquet", band_axis=0)
    assert (len(index), rejected["reason"].tolist()) == (6, ["no image (an empty cell)"] * 2)


# files


def test_folders_that_are_objects_are_named_in_the_error(tmp_path: Path) -> None:
    for name in IDS[:2]:
        for b, band in enumerate("gr"):
            path = tmp_path / f"set/{name}/DES_{band}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(primary_bytes(IMAGES[0, b]))
    with pytest.raises(
        InputError,
        match=r"found 2 more: .*: folder_per_object_and_survey, which reads obj0 in",
    ):
        pack(tmp_path / "set")


def test_larger_images_are_refused_with_the_line_to_write(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    fits.PrimaryHDU(np.ones((13, 14))).writeto(tmp_path / "set/a_g.fits")
    with pytest.raises(InputError, match="expected 12 x 12, found 13 x 14; fit: crop takes the centre"):
        pack(tmp_path / "set", bands="g")
    fits.PrimaryHDU(np.ones((2, 12, 12))).writeto(tmp_path / "set/a_g.fits", overwrite=True)
    with pytest.raises(InputError, match="found 2 x 12 x 12; band_axis says which axis of a cube"):
        pack(tmp_path / "set", bands="g")


def test_deep_folders_are_named_with_the_line_to_write(tmp_path: Path) -> None:
    (tmp_path / "set/a/b").mkdir(parents=True)
    (tmp_path / "set/a/b/notes.txt").write_text("")
    with pytest.raises(InputError, match=r"to look into folders such as '.*/a/b/' as well, max_depth: 2"):
        pack(tmp_path / "set", bands="g")
    (tmp_path / "set/a/b/obj_g.fits").write_bytes(primary_bytes(IMAGES[0, 0]))
    with pytest.raises(InputError, match=r"a/b/: expected FITS files at most one folder deep.*max_depth: 2"):
        pack(tmp_path / "set", bands="g")
    assert len(pack(tmp_path / "set", bands="g", max_depth=2)[0]) == 1


def test_files_whose_bands_stand_apart_are_no_objects_of_their_own(tmp_path: Path) -> None:
    """Where headers or rows say the band, names must say which files are of one object."""
    (tmp_path / "set").mkdir()
    for number, name in enumerate(IDS):
        for b, band in enumerate("gr"):
            hdu = fits.PrimaryHDU(IMAGES[number, b], fits.Header({"FILTER": f"HSC-{band.upper()}"}))
            hdu.writeto(tmp_path / f"set/{name}_{band}.fits")
    with pytest.raises(InputError, match=r"set: expected the bands of an object .* found 8 files of as many"):
        pack(tmp_path / "set", band_keyword="FILTER")
    index, _ = pack(tmp_path / "set", band_keyword="FILTER", name_pattern="(?P<object>.+)_[^_]+")
    assert index["object"].tolist() == [name for name in IDS for _ in range(2)]
    paths = [f"set/{name}_{band}.fits" for name in IDS for band in "gr"]
    pd.DataFrame({"path": paths, "band": ["g", "r"] * 4}).to_csv(tmp_path / "table.csv")
    assert pack(tmp_path / "table.csv")[0]["object"].nunique() == 4  # their names say the band too
    for number, path in enumerate(paths):
        (tmp_path / path).rename(tmp_path / f"set/{number}.fits")
    pd.DataFrame({"path": [f"set/{n}.fits" for n in range(8)], "band": ["g", "r"] * 4}).to_csv(
        tmp_path / "table.csv"
    )
    with pytest.raises(InputError, match=r"table\.csv: expected the bands .* or give a table the column id"):
        pack(tmp_path / "table.csv")
    pd.DataFrame({"path": [f"set/{n}.fits" for n in range(8)], "id": [n // 2 for n in range(8)]}).to_csv(
        tmp_path / "table.csv"
    )
    with pytest.raises(InputError, match=r"\(object 0\); .*; what says their bands\? a column band, or"):
        pack(tmp_path / "table.csv")
    index, _ = pack(tmp_path / "table.csv", band_keyword="FILTER")
    assert (index["object"].nunique(), index["band"].tolist()) == (4, ["g", "r"] * 4)


def test_a_table_of_images_is_no_table_of_files(tmp_path: Path) -> None:
    Table({"id": np.arange(4), "image": IMAGES[:, 0]}).write(tmp_path / "set.fits")
    with pytest.raises(InputError, match=r"found one of images \(column image\); write it as Parquet"):
        pack(tmp_path / "set.fits")


def test_a_zero_point_that_is_a_flux_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for b, band in enumerate("gr"):
        hdu = fits.PrimaryHDU(IMAGES[0, b], fits.Header({"FLUXMAG0": 63095734448.0194, "MAGZERO": 27.0}))
        hdu.writeto(tmp_path / f"set/a_{band}.fits")
    with pytest.raises(InputError, match=r"2 x zero point that is no magnitude.* write zero_point: 27\)"):
        pack(tmp_path / "set", zero_point="FLUXMAG0")
    assert pack(tmp_path / "set", zero_point="MAGZERO")[0]["zero_point"].tolist() == [27.0, 27.0]
