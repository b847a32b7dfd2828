"""Reading a cutout: every form that is right, every way to be wrong, and two readers that agree."""

import bz2
import faulthandler
import gzip
import io
import lzma
import os
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fits_files import CutoutReader, hdus_bytes, primary_bytes, table_bytes
from stronglens.sources import fits_image
from stronglens.sources.fits_general import read_general
from stronglens.sources.fits_layout import find_layout
from stronglens.sources.rejected import Rejected

SIZE = 41
IMAGE = np.random.default_rng(0).normal(0, 3, (SIZE, SIZE))
INTEGERS = np.random.default_rng(1).integers(-900, 900, (SIZE, SIZE)).astype(np.int16)


def read(content: bytes, folder: Path, size_px: int = SIZE) -> tuple[npt.NDArray[np.float32], str]:
    path = folder / "x.fits"
    path.write_bytes(content)
    return CutoutReader(size_px).read(str(path))[:2]


def reason(content: bytes, folder: Path) -> str:
    with pytest.raises(Rejected) as caught:
        read(content, folder)
    return str(caught.value)


def table(*columns: fits.Column, **header: object) -> bytes:
    hdu = fits.BinTableHDU.from_columns(list(columns))
    hdu.header.update(header)
    return hdus_bytes(fits.PrimaryHDU(), hdu)


def image_column(name: str, form: str = "1681D", dim: str | None = "(41,41)", n_rows: int = 1) -> fits.Column:
    array = np.stack([IMAGE] * n_rows) if dim else np.stack([IMAGE.ravel()] * n_rows)
    return fits.Column(name, form, dim=dim, array=array)


def other_column(name: str = "other") -> fits.Column:
    return fits.Column(name, "E", array=[1.0])


# files of the ordinary kind: read without astropy


ORDINARY = {
    "labelled": table_bytes(IMAGE, "GG-LENS_-0.2455_0.0251"),
    "no id": table_bytes(IMAGE, "", id_column="other"),
    "primary": primary_bytes(IMAGE),
    "primary float32": hdus_bytes(fits.PrimaryHDU(IMAGE.astype(np.float32))),
    "extension": hdus_bytes(fits.PrimaryHDU(), fits.ImageHDU(IMAGE)),
    "column image": table(other_column(), image_column("IMAGE"), image_column("band_g")),
    "column of any name": table(other_column(), image_column("flux")),
    "flat column": table(image_column("band_r", dim=None)),
    "float32 column": table(image_column("image", "1681E")),
}


@pytest.mark.parametrize("form", ORDINARY)
def test_ordinary_files_take_the_fast_way_to_the_same_result(form: str, tmp_path: Path) -> None:
    content = ORDINARY[form]
    assert find_layout(content, SIZE) is not None
    image, header_id = read(content, tmp_path)
    np.testing.assert_array_equal(image, IMAGE.astype(np.float32))
    pixels, id_of_general, _ = read_general(content, SIZE)
    np.testing.assert_array_equal(pixels.astype(np.float32).reshape(SIZE, SIZE), image)
    assert header_id == id_of_general


def test_the_id_is_read_without_blanks_and_nul(tmp_path: Path) -> None:
    assert read(table_bytes(IMAGE, "75339120850791805"), tmp_path)[1] == "75339120850791805"
    assert read(table_bytes(IMAGE, "  GG 1 \0\0junk"), tmp_path)[1] == "GG 1"
    assert read(table_bytes(IMAGE, "GG-7", id_column="Lens ID"), tmp_path)[1] == "GG-7"
    with_keyword = hdus_bytes(fits.PrimaryHDU(IMAGE, fits.Header({"OBJECT": "field 7", "OBJID": "17 "})))
    assert find_layout(with_keyword, SIZE) is not None
    assert read(with_keyword, tmp_path)[1] == "17"
    assert read(primary_bytes(IMAGE), tmp_path)[1] == ""


def test_one_reader_takes_files_of_many_layouts(tmp_path: Path) -> None:
    reader = CutoutReader(SIZE)
    for _ in range(2):
        for number, content in enumerate(ORDINARY.values()):
            path = tmp_path / str(number)
            path.write_bytes(content)
            np.testing.assert_array_equal(reader.read(str(path))[0], IMAGE.astype(np.float32))
    for number in range(300):  # each header differs: more of them than a reader remembers
        header = fits.Header({"OBJID": str(number)})
        path.write_bytes(hdus_bytes(fits.PrimaryHDU(IMAGE + number, header)))
        image, header_id, _ = reader.read(str(path))
        np.testing.assert_array_equal(image, (IMAGE + number).astype(np.float32))
        assert header_id == str(number)


def test_a_truncated_file_of_a_known_layout_is_rejected(tmp_path: Path) -> None:
    reader, path = CutoutReader(SIZE), tmp_path / "x.fits"
    for content in (ORDINARY["labelled"], ORDINARY["primary"]):
        path.write_bytes(content)
        reader.read(str(path))
        path.write_bytes(content[:-1])
        with pytest.raises(Rejected, match=rf"truncated \({len(content) - 1} of {len(content)} bytes\)"):
            reader.read(str(path))


@given(
    hnp.arrays(np.float64, (9, 9), elements=st.floats(-1e15, 1e15)),
    st.text(string.printable[:95], max_size=30),
)
def test_both_readers_give_what_was_written(image: npt.NDArray[np.float64], header_id: str) -> None:
    for content in (table_bytes(image, header_id), primary_bytes(image)):
        layout = find_layout(content, 9)
        assert layout is not None
        fast = np.frombuffer(content, layout.dtype, 81, layout.pixels_at)
        slow, id_of_general, _ = read_general(content, 9)
        np.testing.assert_array_equal(fast, image.ravel())
        np.testing.assert_array_equal(slow, image)
        assert id_of_general == ("" if b"-64" in content[:2880] else header_id.strip())


# files of other kinds: read by astropy


def scaled() -> bytes:
    hdu = fits.PrimaryHDU(INTEGERS.copy())
    hdu.scale("int16", bscale=0.5, bzero=100)
    return hdus_bytes(hdu)


def scaled_column() -> bytes:
    table = fits.BinTableHDU.from_columns(
        [fits.Column("band_g", "1681I", dim="(41,41)", array=INTEGERS[None])]
    )
    table.header.update({"TSCAL1": 2.0, "TZERO1": 1.0})
    return hdus_bytes(fits.PrimaryHDU(), table)


OTHER: dict[str, tuple[Callable[[], bytes], npt.NDArray[np.floating | np.integer]]] = {
    "integers": (lambda: hdus_bytes(fits.PrimaryHDU(INTEGERS)), INTEGERS),
    "unsigned": (
        lambda: hdus_bytes(fits.PrimaryHDU((INTEGERS + 900).astype(np.uint16))),
        INTEGERS.astype(np.int64) + 900,
    ),
    "scaled integers": (scaled, INTEGERS.astype(np.float64)),
    "scaled column": (scaled_column, 2.0 * INTEGERS + 1),
    "integer column": (
        lambda: table(fits.Column("image", "1681J", dim="(41,41)", array=INTEGERS[None].astype(np.int32))),
        INTEGERS,
    ),
    "compressed image": (
        lambda: hdus_bytes(fits.PrimaryHDU(), fits.CompImageHDU(INTEGERS)),
        INTEGERS,
    ),
    "a third axis": (lambda: hdus_bytes(fits.PrimaryHDU(IMAGE[None])), IMAGE),
    "extensions that follow": (
        lambda: hdus_bytes(fits.PrimaryHDU(IMAGE), fits.ImageHDU(INTEGERS[:9, :9]), fits.BinTableHDU()),
        IMAGE,
    ),
    "extensions before": (
        lambda: hdus_bytes(
            fits.PrimaryHDU(),
            fits.BinTableHDU.from_columns([other_column()]),
            fits.BinTableHDU.from_columns([image_column("band_g")]),
        ),
        IMAGE,
    ),
    "gzip": (lambda: gzip.compress(ORDINARY["labelled"]), IMAGE),
    "a long file": (
        lambda: hdus_bytes(fits.PrimaryHDU(IMAGE), fits.ImageHDU(np.zeros((300, 300)))),
        IMAGE,
    ),
    "little-endian array": (lambda: hdus_bytes(fits.PrimaryHDU(IMAGE.astype("<f4"))), IMAGE),
}


@pytest.mark.parametrize("form", OTHER)
def test_whatever_else_the_standard_allows_is_read(form: str, tmp_path: Path) -> None:
    write, expected = OTHER[form]
    image, _ = read(write(), tmp_path)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, expected.astype(np.float32))


def test_an_id_that_is_a_number(tmp_path: Path) -> None:
    content = table(fits.Column("Object ID", "K", array=[75339120850791805]), image_column("band_g"))
    assert read(content, tmp_path)[1] == "75339120850791805"


def test_an_id_that_is_not_ascii(tmp_path: Path) -> None:
    content = table_bytes(IMAGE, "caf_").replace(b"caf_", b"caf\xe9")
    assert read(content, tmp_path)[1] == r"caf\xe9"
    assert read_general(content, SIZE)[1] == r"caf\xe9"


# files that give no cutout


def with_pixel(value: float) -> npt.NDArray[np.float64]:
    image = IMAGE.copy()
    image[3, 4] = value
    return image


def declared_larger() -> bytes:
    return primary_bytes(IMAGE).replace(
        b"NAXIS2  =                   41", b"NAXIS2  =              9999999", 1
    )


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty file"),
    "web page": (lambda: b"<html><body>502 Bad Gateway</body></html>", "not FITS (begins with b'<html>"),
    "pixels cut": (lambda: ORDINARY["labelled"][:10_760], "truncated (10760 of 20160 bytes)"),
    "header cut": (lambda: ORDINARY["labelled"][:4000], "truncated (4000 bytes"),
    "only an empty PRIMARY": (lambda: ORDINARY["labelled"][:2880], "no image"),
    "wrong shape in PRIMARY": (
        lambda: primary_bytes(IMAGE[:40, :40]),
        "wrong shape (expected 41 x 41, found 40 x 40)",
    ),
    "wrong shape in a table": (
        lambda: table_bytes(IMAGE[:40, :39]),
        "wrong shape (expected 41 x 41, found 40 x 39)",
    ),
    "a cube": (
        lambda: hdus_bytes(fits.PrimaryHDU(np.stack([IMAGE, IMAGE]))),
        "wrong shape (expected 41 x 41, found 2 x 41 x 41; band_axis says which axis of a cube ",
    ),
    "NaN": (lambda: table_bytes(with_pixel(np.nan)), "non-finite pixels (1)"),
    "infinity": (lambda: primary_bytes(with_pixel(-np.inf)), "non-finite pixels (1)"),
    "absurd value": (lambda: primary_bytes(with_pixel(1e30)), "absurd values (from "),
    "beyond float32": (lambda: table_bytes(with_pixel(-1e300)), "absurd values (from -1e+300"),
    "wrong byte order": (lambda: primary_bytes(IMAGE.byteswap()), "absurd values ("),
    "floats said to be integers": (
        lambda: primary_bytes(IMAGE).replace(
            b"BITPIX  =                  -64", b"BITPIX  =                   64"
        ),
        "absurd values (",
    ),
    "constant": (lambda: primary_bytes(np.full((SIZE, SIZE), 2.5)), "constant image (2.5 everywhere)"),
    "zeros": (lambda: table_bytes(np.zeros((SIZE, SIZE))), "constant image (0 everywhere)"),
    "table without an image": (lambda: table(other_column()), "no image"),
    "two images": (
        lambda: table(image_column("band_g"), image_column("band_r")),
        "several images (band_g, band_r)",
    ),
    "two nameless images": (lambda: table(image_column("a"), image_column("b")), "several images (a, b)"),
    "two rows": (lambda: table(image_column("band_g", n_rows=2)), "several images (2 rows)"),
    "complex": (
        lambda: table(fits.Column("image", "1681M", dim="(41,41)", array=IMAGE[None].astype(complex))),
        "wrong shape",
    ),
    "declared larger": (declared_larger, "truncated (17280 of "),
    "junk at the end": (lambda: ORDINARY["primary"] + b"junk", "inconsistent header (4 bytes"),
    "blocks of junk at the end": (lambda: ORDINARY["labelled"] + b"junk" * 720, "inconsistent header (2880"),
    "broken gzip": (lambda: gzip.compress(ORDINARY["primary"])[:-100], "unreadable (gzip: "),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_files_that_give_no_cutout_say_why(fault: str, tmp_path: Path) -> None:
    make, expected = BROKEN[fault]
    assert reason(make(), tmp_path).startswith(expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "write", [primary_bytes, table_bytes, lambda image: gzip.compress(primary_bytes(image))]
)
@pytest.mark.parametrize("general", [False, True])
def test_pixels_that_are_not_finite_can_be_filled(
    value: float,
    write: Callable[[npt.NDArray[np.float64]], bytes],
    general: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if general:
        monkeypatch.setattr(fits_image, "find_layout", lambda *_: None)
    image = IMAGE.copy()
    image[3, 4:9] = value
    path = tmp_path / "x.fits"
    path.write_bytes(write(image))
    found, _, n_filled = CutoutReader(SIZE, "fill").read(str(path))
    assert n_filled == 5
    expected = image.copy()
    expected[3, 4:9] = np.median(np.delete(image.ravel(), np.arange(3 * SIZE + 4, 3 * SIZE + 9)))
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    with pytest.raises(Rejected, match=r"non-finite pixels \(5\)"):
        CutoutReader(SIZE).read(str(path))


@pytest.mark.parametrize(
    ("n_bad", "rest", "expected"),
    [
        (SIZE * SIZE // 2, None, None),  # fewer than half
        (SIZE * SIZE // 2 + 1, None, "non-finite pixels (841)"),
        (SIZE * SIZE, None, "non-finite pixels (1681)"),
        (5, 2.5, "constant image (2.5 everywhere)"),
        (5, 1e30, "absurd values"),
    ],
)
def test_what_little_is_left_is_not_filled_up(
    n_bad: int, rest: float | None, expected: str | None, tmp_path: Path
) -> None:
    image = IMAGE.copy().ravel() if rest is None else np.full(SIZE * SIZE, rest)
    if rest == 1e30:
        image[-1] = 0
    image[:n_bad] = np.nan
    path = tmp_path / "x.fits"
    path.write_bytes(primary_bytes(image.reshape(SIZE, SIZE)))
    if expected is None:
        assert CutoutReader(SIZE, "fill").read(str(path))[2] == n_bad
        return
    with pytest.raises(Rejected) as caught:
        CutoutReader(SIZE, "fill").read(str(path))
    assert str(caught.value).startswith(expected)


def test_files_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    reader = CutoutReader(SIZE)
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, expected in {
        "broken": "broken link",
        "gone": "removed while packing",
        "loop": "unreadable (Too many levels of symbolic links)",
        "folder": "unreadable (Is a directory)",
        "pipe": "empty file",
    }.items():
        with pytest.raises(Rejected) as caught:
            reader.read(str(tmp_path / name))
        assert str(caught.value) == expected
    with pytest.raises(Rejected, match="no regular file"):
        reader.read("/dev/zero")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    # Not by mode bits: the superuser may read everything.
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Rejected, match=r"unreadable \(Permission denied\)"):
        CutoutReader(SIZE).read(str(tmp_path / "x.fits"))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    with path.open("wb") as file:
        file.write(ORDINARY["primary"])
        file.truncate(fits_image.LARGEST_FILE + 1)
    with pytest.raises(Rejected, match="too large"):
        CutoutReader(SIZE).read(str(path))
    bomb = gzip.compress(bytes(fits_image.LARGEST_FILE + 1), compresslevel=1)
    assert "too large" in reason(bomb, tmp_path)


# values that mean "undefined"

UNDEFINED = np.zeros((SIZE, SIZE), bool)
UNDEFINED[3, 4:9] = UNDEFINED[20, 20] = True
STORED = np.random.default_rng(2).integers(3, 120, (SIZE, SIZE))


def with_mark(mark: int, dtype: str) -> npt.NDArray[np.integer]:
    """Integers of which the undefined ones, and no others, have one value."""
    return np.where(UNDEFINED, mark, STORED).astype(dtype)


def raw_image(stored: npt.NDArray[np.integer], extension: bool = False, **cards: object) -> bytes:
    """Integers in the file as they are; `cards` say what they mean."""
    hdu = fits.ImageHDU(stored) if extension else fits.PrimaryHDU(stored)
    content = bytearray(hdus_bytes(fits.PrimaryHDU(), hdu) if extension else hdus_bytes(hdu))
    at = content.rindex(b"END".ljust(80), 0, len(content))
    text = "".join(str(fits.Card(key, value)) for key, value in cards.items()).encode()
    content[at : at + len(text) + 80] = text + b"END".ljust(80)
    return bytes(content)


def raw_column(stored: npt.NDArray[np.integer], form: str, **cards: object) -> bytes:
    hdu = fits.BinTableHDU.from_columns(
        [other_column(), fits.Column("image", form, dim="(41,41)", array=stored[None])]
    )
    hdu.header.update(cards)
    return hdus_bytes(fits.PrimaryHDU(), hdu)


def check_undefined(content: bytes, values: npt.NDArray[np.number], folder: Path) -> None:
    """The fast reader leaves the file alone, and the undefined pixels, and no others, are NaN."""
    path = folder / "x.fits"
    path.write_bytes(content)
    assert find_layout(content, SIZE) is None
    with pytest.raises(Rejected, match=rf"non-finite pixels \({UNDEFINED.sum()}\)"):
        CutoutReader(SIZE).read(str(path))
    pixels = read_general(content, SIZE)[0].reshape(SIZE, SIZE)
    np.testing.assert_array_equal(np.isnan(pixels), UNDEFINED)
    np.testing.assert_allclose(pixels[~UNDEFINED], values[~UNDEFINED], rtol=1e-12)
    if values.max() < 1e9:  # beyond, these differences are lost in float32
        image, _, n_filled = CutoutReader(SIZE, "fill").read(str(path))
        assert n_filled == UNDEFINED.sum()
        np.testing.assert_array_equal(image[~UNDEFINED], values[~UNDEFINED].astype(np.float32))


UNSIGNED = -1.0
"""Stands for the zero point by which integers of a size are unsigned, and bytes signed."""

MARKS = [
    ("u1", 0),
    ("u1", 255),
    (">i2", 0),
    (">i2", -999),
    (">i2", -(2**15)),
    (">i2", 2**15 - 1),
    (">i4", 0),
    (">i4", -(2**31)),
    (">i4", 2**31 - 1),
    (">i8", 0),
    (">i8", -(2**63)),
    (">i8", 2**63 - 1),
]


@pytest.mark.parametrize(("dtype", "mark"), MARKS)
@pytest.mark.parametrize(("scale", "zero"), [(None, None), (0.5, 100.0), (1.0, UNSIGNED), (-2.0, None)])
@pytest.mark.parametrize("where", ["PRIMARY", "IMAGE", "column"])
def test_pixels_that_blank_or_tnull_marks_are_undefined(
    dtype: str, mark: int, scale: float | None, zero: float | None, where: str, tmp_path: Path
) -> None:
    stored = with_mark(mark, dtype)
    if zero == UNSIGNED:
        zero = -128 if dtype == "u1" else 2 ** (8 * stored.dtype.itemsize - 1)
    values = STORED * (1.0 if scale is None else scale) + (0 if zero is None else zero)
    keys = ("TNULL2", "TSCAL2", "TZERO2") if where == "column" else ("BLANK", "BSCALE", "BZERO")
    cards = {key: n for key, n in zip(keys, (mark, scale, zero), strict=True) if n is not None}
    if where == "column":
        form = {"u1": "1681B", ">i2": "1681I", ">i4": "1681J", ">i8": "1681K"}[dtype]
        check_undefined(raw_column(stored, form, **cards), values, tmp_path)
    else:
        check_undefined(raw_image(stored, where == "IMAGE", **cards), values, tmp_path)


@pytest.mark.parametrize("dtype", ["u2", "u4", "u8"])
@pytest.mark.parametrize("as_stored", [True, False])
@pytest.mark.parametrize("where", ["PRIMARY", "column"])
def test_the_largest_unsigned_integer_as_mark(
    dtype: str, as_stored: bool, where: str, tmp_path: Path
) -> None:
    largest = int(np.iinfo(dtype).max)
    mark = largest // 2 if as_stored else largest
    pixels = with_mark(largest, dtype)
    if where == "PRIMARY":
        content = hdus_bytes(fits.PrimaryHDU(pixels, fits.Header({"BLANK": mark})))
    else:
        form, zero = {"u2": ("I", 2**15), "u4": ("J", 2**31), "u8": ("K", 2**63)}[dtype]
        column = fits.Column("image", f"1681{form}", dim="(41,41)", bzero=zero, array=pixels[None])
        content = table(column, TNULL1=mark)
    check_undefined(content, STORED, tmp_path)


COMPRESSED_MARKS = [("u1", 0), ("i2", 0), ("i2", -999), ("i4", -999), ("u2", 65535)]


@pytest.mark.parametrize(
    ("compression", "dtype", "mark"),
    [
        *(
            (name, *mark)
            for name in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1")
            for mark in COMPRESSED_MARKS
        ),
        ("PLIO_1", "u1", 0),  # holds no negative integers
        ("PLIO_1", "i2", 0),
    ],
)
@pytest.mark.parametrize("scaled", [False, True])
def test_undefined_pixels_of_compressed_integers(
    compression: str, dtype: str, mark: int, scaled: bool, tmp_path: Path
) -> None:
    header = fits.Header({"BLANK": mark})
    hdu = fits.CompImageHDU(with_mark(mark, dtype), header, compression_type=compression)
    content = hdus_bytes(fits.PrimaryHDU(), hdu)
    values: npt.NDArray[np.floating] = STORED.astype(float)
    if scaled and dtype != "u2":  # which has the scale of unsigned integers
        at = content.index(b"ZIMAGE")
        text = b"".join(str(fits.Card(key, n)).encode() for key, n in (("BSCALE", 0.5), ("BZERO", 9.0)))
        end = content.index(b"END".ljust(80), at)
        content = content[:end] + text + content[end : end + 80] + content[end + 240 :]
        values = values * 0.5 + 9
    check_undefined(content, values, tmp_path)


def test_undefined_pixels_of_compressed_floats(tmp_path: Path) -> None:
    image = np.where(UNDEFINED, np.nan, IMAGE).astype(np.float32)
    for method in (1, 2):
        hdu = fits.CompImageHDU(image, quantize_method=method, quantize_level=1000, dither_seed=7)
        pixels, *_ = read_general(hdus_bytes(fits.PrimaryHDU(), hdu), SIZE)
        np.testing.assert_array_equal(np.isnan(pixels).reshape(SIZE, SIZE), UNDEFINED)


def test_floats_that_were_compressed_as_integers_are_rejected(tmp_path: Path) -> None:
    hdu = fits.CompImageHDU(IMAGE.astype(np.float32), compression_type="RICE_1", quantize_level=0)
    found = reason(hdus_bytes(fits.PrimaryHDU(), hdu), tmp_path)
    assert found == "inconsistent header (floats in RICE_1 without their scale)"


def test_a_blank_that_no_pixel_can_have_marks_none(tmp_path: Path) -> None:
    for content in (
        raw_image(INTEGERS, BLANK=-(2**31)),
        raw_image(INTEGERS, BLANK=2**31, BSCALE=0.5, BZERO=0.0),
        hdus_bytes(fits.PrimaryHDU(), fits.CompImageHDU(INTEGERS, fits.Header({"BLANK": 2**20}))),
        raw_image(INTEGERS, BLANK="none"),
        raw_image(np.where(UNDEFINED, -999.0, IMAGE), BLANK=-999),
    ):
        assert np.isfinite(read_general(content, SIZE)[0]).all()


def test_large_unsigned_integers_keep_their_differences(tmp_path: Path) -> None:
    image = read(hdus_bytes(fits.PrimaryHDU(STORED.astype(np.uint64))), tmp_path)[0]
    np.testing.assert_array_equal(image, STORED)


# several HDUs


def image_hdu(name: str | None, image: npt.NDArray[np.number], kind: str = "image") -> object:
    if kind == "table":
        column = fits.Column("image", "1681D", dim="(41,41)", array=image[None])
        hdu = fits.BinTableHDU.from_columns([column])
    elif kind == "compressed":
        hdu = fits.CompImageHDU(image.astype(np.float32), quantize_level=0, compression_type="GZIP_2")
    else:
        hdu = fits.ImageHDU(image)
    if name is not None:
        hdu.header["EXTNAME"] = name
    return hdu


OTHERS = np.arange(SIZE * SIZE, dtype=float).reshape(SIZE, SIZE)


@pytest.mark.parametrize("name", ["SCI", "IMAGE", "sci", "Image", " SCI  "])
@pytest.mark.parametrize("kind", ["image", "table", "compressed"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_of_several_hdus_the_one_named_as_image_is_taken(
    name: str, kind: str, at: int, tmp_path: Path
) -> None:
    hdus = [image_hdu("MASK", OTHERS), image_hdu(None, OTHERS + 1)]
    hdus.insert(at, image_hdu(name, IMAGE, kind))
    content = hdus_bytes(fits.PrimaryHDU(), *hdus)
    np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))


def test_primary_may_be_the_image_by_name(tmp_path: Path) -> None:
    primary = fits.PrimaryHDU(IMAGE, fits.Header({"EXTNAME": "SCI"}))
    content = hdus_bytes(primary, image_hdu("WGT", OTHERS))
    np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))


@pytest.mark.parametrize(
    ("primary", "names"),
    [
        (None, ["MASK", "VARIANCE"]),
        (None, [None, None]),
        (IMAGE, ["MASK"]),
        (IMAGE, [None]),
        (None, ["SCI", "SCI"]),
        (None, ["SCI", "IMAGE"]),
        (None, ["MASK", "sci", "SCI", "SCI"]),
        (None, ["SCIENCE", "ERR"]),
    ],
)
def test_several_images_of_which_none_is_the_one_are_rejected(
    primary: npt.NDArray[np.number] | None, names: list[str | None], tmp_path: Path
) -> None:
    content = hdus_bytes(
        fits.PrimaryHDU(primary), *(image_hdu(name, IMAGE + n) for n, name in enumerate(names))
    )
    assert reason(content, tmp_path).startswith("several images (HDU ")


def test_images_of_another_size_are_not_meant_unless_named_so(tmp_path: Path) -> None:
    psf, wide = np.ones((21, 21)), np.ones((60, 60))
    content = hdus_bytes(
        fits.PrimaryHDU(), image_hdu("PSF", psf), image_hdu("B", IMAGE), image_hdu(None, wide)
    )
    np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))
    content = hdus_bytes(fits.PrimaryHDU(), image_hdu("SCI", wide), image_hdu("B", IMAGE))
    assert reason(content, tmp_path).startswith("wrong shape (expected 41 x 41, found 60 x 60; fit: crop")
    content = hdus_bytes(fits.PrimaryHDU(), image_hdu("SCI", wide), image_hdu("SCI", IMAGE))
    np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))


def test_the_only_image_is_taken_whatever_its_name(tmp_path: Path) -> None:
    for name in ("MASK", "SCI", "x"):
        content = hdus_bytes(fits.PrimaryHDU(), image_hdu(name, IMAGE))
        assert find_layout(content, SIZE) is not None
        np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))
        np.testing.assert_array_equal(read_general(content, SIZE)[0], IMAGE)


# checksums


def with_checksums(*hdus: object, which: str | bool = True) -> bytes:
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer, checksum=which)
    return buffer.getvalue()


FORMS: dict[str, Callable[[], tuple[object, ...]]] = {
    "PRIMARY": lambda: (fits.PrimaryHDU(IMAGE),),
    "IMAGE": lambda: (fits.PrimaryHDU(), fits.ImageHDU(IMAGE)),
    "scaled": lambda: (fits.PrimaryHDU(STORED.astype(np.uint16)),),
    "table": lambda: (fits.PrimaryHDU(), fits.BinTableHDU.from_columns([image_column("image")])),
    "compressed": lambda: (fits.PrimaryHDU(), fits.CompImageHDU(STORED.astype(np.int16))),
    "several": lambda: (fits.PrimaryHDU(), image_hdu("SCI", IMAGE), image_hdu("MASK", OTHERS)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", [True, "datasum"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_checksums_are_compared(form: str, which: str | bool, gzipped: bool, tmp_path: Path) -> None:
    content = with_checksums(*FORMS[form](), which=which)
    assert find_layout(content, SIZE) is None
    packed = gzip.compress if gzipped else bytes
    expected = STORED if form in {"scaled", "compressed"} else IMAGE
    np.testing.assert_array_equal(read(packed(content), tmp_path)[0], expected.astype(np.float32))
    with fits.open(io.BytesIO(content), disable_image_compression=True) as hdus:
        places = [hdu.fileinfo() for hdu in hdus]
    for number, place in enumerate(places):
        if not place["datSpan"]:
            continue
        changed = bytearray(content)
        changed[place["datLoc"] + 7] ^= 1
        found = reason(packed(bytes(changed)), tmp_path)
        assert found.startswith("checksum does not match (")
        assert f"SUM of HDU {number}" in found


def test_a_changed_header_is_seen_where_the_header_has_a_checksum(tmp_path: Path) -> None:
    primary = fits.PrimaryHDU(IMAGE, fits.Header({"OBJID": "17"}))
    changed = with_checksums(primary).replace(b"'17 ", b"'18 ")
    assert reason(changed, tmp_path) == "checksum does not match (CHECKSUM of HDU 0)"
    primary = fits.PrimaryHDU(IMAGE, fits.Header({"OBJID": "17"}))
    only_data = with_checksums(primary, which="datasum").replace(b"'17 ", b"'18 ")
    assert read(only_data, tmp_path)[1] == "18"


def test_a_checksum_in_one_hdu_only(tmp_path: Path) -> None:
    image = fits.ImageHDU(IMAGE)
    image.add_checksum()
    content = hdus_bytes(fits.PrimaryHDU(), image)
    np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))
    assert reason(content[:9000] + b"\1" + content[9001:], tmp_path).startswith("checksum does not match")


@pytest.mark.parametrize("values", [["''"], ["'  '"], ["' 00 '"], ["0"], ["'0'", "'0'"], ["'0'", "'1'"]])
def test_checksums_that_say_nothing(values: list[str], tmp_path: Path) -> None:
    """As in cutouts of the DES, of which the header holds those of two other files."""
    cards = b"".join(f"DATASUM = {value}".ljust(80).encode() for value in values)
    content = primary_bytes(IMAGE)
    at = content.index(b"END".ljust(80))
    content = content[:at] + cards + content[at : at + 80] + content[at + len(cards) + 80 :]
    if len(set(values)) == 1 and "0" in values[0]:
        assert reason(content, tmp_path) == "checksum does not match (DATASUM of HDU 0)"
    else:
        np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))


# arrays of variable length


@pytest.mark.parametrize("pointer", ["P", "Q"])
@pytest.mark.parametrize(("code", "dtype"), [("D", "f8"), ("E", "f4"), ("J", "i4"), ("I", "i2"), ("B", "u1")])
def test_a_column_of_variable_length_is_read(pointer: str, code: str, dtype: str, tmp_path: Path) -> None:
    image = (IMAGE if dtype[0] == "f" else with_mark(1, dtype)).astype(dtype)
    before = fits.Column("other", f"{pointer}E()", array=np.array([np.ones(7, "f4")], dtype=object))
    cell = np.empty(1, dtype=object)
    cell[0] = image.ravel()
    content = table(before, fits.Column("image", f"{pointer}{code}()", array=cell))
    np.testing.assert_array_equal(read(content, tmp_path)[0], image.astype(np.float32))
    if dtype[0] != "f":
        header_end = content.index(b"END".ljust(80), 2880)
        card = str(fits.Card("TNULL2", 1)).encode()
        content = (
            content[:header_end] + card + content[header_end : header_end + 80] + content[header_end + 160 :]
        )
        check_undefined(content, STORED, tmp_path)


def test_a_column_of_variable_length_of_another_size_says_its_length(tmp_path: Path) -> None:
    cell = np.empty(1, dtype=object)
    cell[0] = IMAGE.ravel()[:1600]
    content = table(fits.Column("image", "PD()", array=cell))
    assert reason(content, tmp_path) == "wrong shape (expected 41 x 41, found 1600)"


# compressed as a whole


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_files_compressed_as_a_whole_are_read(module: Any, tmp_path: Path) -> None:
    for form in ("labelled", "primary"):
        content = module.compress(ORDINARY[form])
        np.testing.assert_array_equal(read(content, tmp_path)[0], IMAGE.astype(np.float32))
        assert reason(content[:-100], tmp_path).startswith("unreadable (")
    assert "too large" in reason(module.compress(bytes(fits_image.LARGEST_FILE + 1)), tmp_path)


@pytest.mark.parametrize(
    ("start", "program"), [(b"\x1f\x9d\x90", "compress"), (b"PK\3\4", "zip"), (b"\x28\xb5\x2f\xfd", "zstd")]
)
def test_files_that_cannot_be_unpacked_say_what_to_do(start: bytes, program: str, tmp_path: Path) -> None:
    assert reason(start + b"x" * 99, tmp_path).startswith(f"unreadable (compressed with {program}: unpack it")


@pytest.mark.parametrize("factor", [1e-15, 1e15])
def test_any_unit_of_pixels_is_read(factor: float, tmp_path: Path) -> None:
    np.testing.assert_allclose(read(primary_bytes(IMAGE * factor), tmp_path)[0], IMAGE * factor, rtol=1e-6)


# mutations


def mutate(content: bytes, n_header: int, generator: np.random.Generator) -> bytes:
    """Change a few bytes of the headers, or insert, remove or cut some anywhere."""
    mutated = bytearray(content)
    kind = generator.integers(5)
    if kind <= 2:
        # mostly characters that headers are made of, and mostly where something stands
        letters = b"0123456789-+.'TFADEIJKLMPQ= /" if kind else bytes(range(256))
        places = generator.integers(0, n_header, 60)
        chosen = [at for at in places if mutated[at] != 0x20 or generator.random() < 0.1]
        for at in chosen[: generator.integers(1, 4)]:
            mutated[at] = generator.choice(list(letters))
    elif kind == 3:
        at, n = generator.integers(0, len(content)), int(generator.integers(1, 3000))
        if generator.random() < 0.5:
            del mutated[at : at + n]
        else:
            mutated[at:at] = generator.bytes(n)
    else:
        del mutated[generator.integers(0, len(content)) :]
    return bytes(mutated)


LONGEST_S = 20
"""A file is read in some milliseconds; on a machine that is busy, in a second."""


@contextmanager
def no_hang() -> Iterator[None]:
    """End the tests where reading a file does not end, be it in C: no exception would reach it there."""
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def n_mutations(torture: bool) -> int:
    return 5000 if torture else 500


@pytest.mark.torture
@pytest.mark.parametrize(("form", "n_header"), [("labelled", 5760), ("primary", 2880)])
def test_mutated_files_give_the_right_image_or_a_rejection(
    form: str, n_header: int, n_mutations: int, tmp_path: Path
) -> None:
    generator = np.random.default_rng(5)
    right = IMAGE.astype(np.float32)
    n_read = n_rejected = 0
    for _ in range(n_mutations):
        content = mutate(ORDINARY[form], n_header, generator)
        try:
            with no_hang():
                image, _header_id = read(content, tmp_path)
        except Rejected:
            n_rejected += 1
            continue
        n_read += 1
        np.testing.assert_array_equal(image, right)
        np.testing.assert_array_equal(read_general(content, SIZE)[0].astype(np.float32), right)
    assert n_read > n_mutations // 20
    assert n_rejected > n_mutations // 3


@pytest.mark.torture
def test_mutated_pixels_and_compressed_files_never_crash(n_mutations: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    files = [gzip.compress(ORDINARY["labelled"]), OTHER["compressed image"][0](), ORDINARY["primary"]]
    n_read = 0
    for number in range(n_mutations):
        content = bytearray(files[number % len(files)])
        for at in generator.integers(0, len(content), 5):
            content[at] = generator.integers(256)
        try:
            with no_hang():
                image, _ = read(bytes(content), tmp_path)
        except Rejected:
            continue
        n_read += 1
        assert np.isfinite(image).all()
    # Else nothing was looked at.
    assert 0 < n_read < n_mutations
