"""Images in any form that the standard allows, as astropy and the header say."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from fits_files import CutoutReader, hdus_bytes, primary_bytes, table_bytes
from fits_forms import IMAGE, INTEGERS, OTHER, SIZE, image_column, other_column, read, reason, table
from stronglens.settings.reading import ReadSettings
from stronglens.sources.fits_general import read_general
from stronglens.sources.fits_layout import find_layout
from stronglens.sources.rejected import Rejected


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


def with_mask(mask: fits.ImageHDU | fits.CompImageHDU) -> bytes:
    mask.name = "MASK"
    return hdus_bytes(fits.PrimaryHDU(), fits.ImageHDU(IMAGE, name="SCI"), mask)


@pytest.mark.parametrize("kind", [fits.ImageHDU, fits.CompImageHDU])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4"])
def test_masks_of_every_integer_are_read(dtype: str, kind: Any) -> None:
    """Unsigned ones, such as DQ of JWST, are stored less an offset, which is no bit of theirs."""
    top = 8 * np.dtype(dtype).itemsize - 1 - (dtype[0] == "i")
    mask = np.zeros((SIZE, SIZE), dtype)
    mask[3, 4], mask[5, 6] = 1, 2**top
    for bits, where in ((None, [(3, 4), (5, 6)]), ([0], [(3, 4)]), ([top], [(5, 6)]), ([2], [])):
        settings = ReadSettings(mask_hdu="MASK", mask_bits=bits)
        image = read_general(with_mask(kind(mask)), SIZE, settings)[0]
        assert [*zip(*np.nonzero(np.isnan(image)), strict=True)] == where


def test_a_mask_that_marks_all_is_none() -> None:
    weights = with_mask(fits.ImageHDU(np.full((SIZE, SIZE), 0.5, np.float32)))
    with pytest.raises(Rejected, match=r"masked everywhere \(no pixel of the mask is 0; is it a map of"):
        read_general(weights, SIZE, ReadSettings(mask_hdu="MASK"))
    bits = with_mask(fits.ImageHDU(np.full((SIZE, SIZE), 5, np.int32)))
    with pytest.raises(Rejected, match=r"masked everywhere \(each pixel has one of the bits \[2\]"):
        read_general(bits, SIZE, ReadSettings(mask_hdu="MASK", mask_bits=[2]))


def test_a_mask_that_marks_objects_needs_its_bits() -> None:
    """HSC and Rubin set a bit wherever there is light: filled with the median, the object would be gone."""
    mask = fits.ImageHDU(np.zeros((SIZE, SIZE), np.int32))
    mask.data[20, 20] = 1 << 5
    for name, bit in {"BAD": 0, "SAT": 1, "DETECTED": 5}.items():
        mask.header[f"HIERARCH MP_{name}"] = bit
    with pytest.raises(Rejected, match=r"bit 5 \(MP_DETECTED\) .* example mask_bits: \[0, 1\]"):
        read_general(with_mask(mask), SIZE, ReadSettings(mask_hdu="MASK"))
    settings = ReadSettings(mask_hdu="MASK", mask_bits=[0, 1])
    assert np.isfinite(read_general(with_mask(mask), SIZE, settings)[0]).all()


def test_a_cube_whose_header_lists_other_bands_is_refused() -> None:
    cube = fits.PrimaryHDU(np.stack([IMAGE, IMAGE + 1, IMAGE + 2]))
    settings = ReadSettings(band_axis=0, axis_bands=["z", "r", "g"])
    assert read_general(hdus_bytes(cube), SIZE, settings, "g", 2)[0][0, 0] == IMAGE[0, 0] + 2
    for cards in ({"BANDS": "grz"}, {"BAND0": "g", "BAND1": "r", "BAND2": "z"}):
        named = fits.PrimaryHDU(cube.data, fits.Header(cards))
        with pytest.raises(Rejected, match=r"expected zrg along axis 0, found grz .*_bands: \[g, r, z\]"):
            read_general(hdus_bytes(named), SIZE, settings, "g", 2)
        right = ReadSettings(band_axis=0, axis_bands=["G", "r", "z"])
        assert read_general(hdus_bytes(named), SIZE, right, "G", 0)[0][0, 0] == IMAGE[0, 0]
    other = fits.PrimaryHDU(cube.data, fits.Header({"BANDS": "3"}))  # means something else
    assert read_general(hdus_bytes(other), SIZE, settings, "z", 0)[0][0, 0] == IMAGE[0, 0]
