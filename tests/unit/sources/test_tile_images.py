"""Boxes of pixels of tiles: those that astropy reads, without the rest."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from stronglens.settings.reading import ReadSettings
from stronglens.sources.rejected import Rejected
from stronglens.sources.tile_images import STRIPE_PX, TileImage

SHAPE = (150, 90)
IMAGE = np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)
INTEGERS = np.random.default_rng(2).integers(-500, 500, SHAPE).astype(np.int16)


def opened(path: Path, *hdus: Any, band: str = "g", **settings: Any) -> TileImage:
    fits.HDUList(list(hdus)).writeto(path)
    return TileImage(str(path), ReadSettings.model_validate(settings), band)


def reference(image: npt.NDArray[Any], y0: int, x0: int, size_px: int) -> npt.NDArray[np.float64]:
    """The box, NaN beyond the edge."""
    padded = np.pad(image.astype(np.float64), size_px, constant_values=np.nan)
    return padded[y0 + size_px : y0 + 2 * size_px, x0 + size_px : x0 + 2 * size_px]


BOXES = [(0, 0), (100, 40), (60, 3), (-5, 10), (140, 85), (-20, -20), (147, -3)]


@pytest.mark.parametrize("kind", ["plain", "integers", "compressed", "compressed integers", "third axis"])
def test_boxes_are_those_of_the_whole_image(kind: str, tmp_path: Path) -> None:
    image = INTEGERS if "integers" in kind else IMAGE
    if kind.startswith("compressed"):
        kind_of = {"compression_type": "RICE_1" if "integers" in kind else "GZIP_1", "quantize_level": 0}
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(image, tile_shape=(1, SHAPE[1]), **kind_of)]
    else:
        hdus = [fits.PrimaryHDU(image[None] if kind == "third axis" else image)]
    tile = opened(tmp_path / "x.fits", *hdus)
    assert tile.shape == SHAPE
    for y0, x0 in BOXES:
        box = tile.cut(y0, x0, 20)
        expected = reference(image, y0, x0, 20)
        np.testing.assert_array_equal(box.pixels, expected)
        assert box.n_outside == np.isnan(expected).sum()
    tile.close()


def test_a_box_over_several_stripes_and_back_again(tmp_path: Path) -> None:
    hdu = fits.CompImageHDU(INTEGERS, tile_shape=(1, SHAPE[1]))
    tile = opened(tmp_path / "x.fits", fits.PrimaryHDU(), hdu)
    for y0 in (STRIPE_PX - 10, 0, 2 * STRIPE_PX - 10, STRIPE_PX - 10):
        np.testing.assert_array_equal(tile.cut(y0, 0, 20).pixels, INTEGERS[y0 : y0 + 20, :20])


def test_scales_and_blanks_are_what_the_header_says(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(INTEGERS.copy())
    hdu.header["BLANK"] = int(INTEGERS[3, 4])
    path = tmp_path / "x.fits"
    hdu.writeto(path)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 0.5, 100.0
    found = TileImage(str(path), ReadSettings(), "g").cut(0, 0, 20).pixels
    blank = INTEGERS[:20, :20] == INTEGERS[3, 4]
    np.testing.assert_array_equal(np.isnan(found), blank)
    np.testing.assert_array_equal(found[~blank], 0.5 * INTEGERS[:20, :20][~blank] + 100)


@pytest.mark.parametrize("bits", [None, [0], [1, 15], [31]])
def test_masked_pixels_have_no_value(bits: list[int] | None, tmp_path: Path) -> None:
    mask = np.random.default_rng(3).integers(0, 2**32, SHAPE).astype(np.uint32)
    mask[:10] = 0
    tile = opened(
        tmp_path / "x.fits",
        fits.PrimaryHDU(IMAGE),
        fits.ImageHDU(mask, name="MASK"),
        mask_hdu="mask",
        mask_bits=bits,
        hdu=0,
    )
    wanted = 2**32 - 1 if bits is None else sum(2**bit for bit in bits)
    for y0 in (0, 80):
        box = tile.cut(y0, 0, 20)
        masked = (mask[y0 : y0 + 20, :20].astype(np.int64) & wanted) != 0
        np.testing.assert_array_equal(np.isnan(box.pixels), masked)
        assert box.n_outside == 0


def test_each_band_has_its_hdu(tmp_path: Path) -> None:
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(IMAGE, name="G"), fits.ImageHDU(IMAGE + 1, name="R")]
    path = tmp_path / "x.fits"
    fits.HDUList(hdus).writeto(path)
    settings = ReadSettings(hdu={"g": "g", "r": 2})
    for band, expected in (("g", IMAGE), ("r", IMAGE + 1)):
        tile = TileImage(str(path), settings, band)
        np.testing.assert_array_equal(tile.cut(0, 0, 5).pixels, expected[:5, :5])


def test_unit_and_zero_point_are_of_the_image_or_the_file(tmp_path: Path) -> None:
    image = fits.ImageHDU(IMAGE, fits.Header({"BUNIT": "nJy"}))
    tile = opened(
        tmp_path / "x.fits", fits.PrimaryHDU(header=fits.Header({"ZP": 27.5})), image, zero_point="ZP"
    )
    assert (tile.unit, tile.zero_point) == ("nJy", 27.5)


@pytest.mark.parametrize(
    ("hdus", "settings", "said"),
    [
        ([fits.PrimaryHDU()], {}, "no image"),
        (
            [fits.PrimaryHDU(IMAGE), fits.ImageHDU(IMAGE)],
            {},
            r"several images \(HDU 0, HDU 1; give",
        ),
        ([fits.PrimaryHDU(IMAGE)], {"hdu": "SCI"}, r"no image \(expected one in HDU SCI, found HDU 0\)"),
        (
            [fits.PrimaryHDU(IMAGE), fits.ImageHDU(INTEGERS[:9])],
            {"hdu": 0, "mask_hdu": 1},
            r"mask of another shape \(expected \(150, 90\), found \(9, 90\)\)",
        ),
        ([fits.PrimaryHDU(IMAGE), fits.ImageHDU(IMAGE)], {"hdu": 0, "mask_hdu": 1}, "mask without bits"),
    ],
)
def test_what_is_not_there_is_said(
    hdus: list[Any], settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Rejected, match=said):
        opened(tmp_path / "x.fits", *hdus, **settings)


def test_broken_files_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    fits.PrimaryHDU(IMAGE).writeto(path)
    content = path.read_bytes()
    for changed, said in (
        (b"text", r"no FITS file \(begins with b'text'"),
        (b"\x1f\x8b" + content, r"no FITS file \(begins with gzip"),
        (content[:20_000], "truncated|unreadable"),
    ):
        path.write_bytes(changed)
        with pytest.raises(Rejected, match=said):
            TileImage(str(path), ReadSettings(), "g")


def test_a_mask_that_marks_objects_needs_its_bits(tmp_path: Path) -> None:
    mask = fits.ImageHDU(np.zeros(SHAPE, np.int32), fits.Header({"HIERARCH MP_DETECTED": 5}), name="MASK")
    hdus = fits.PrimaryHDU(), fits.ImageHDU(IMAGE, name="IMAGE"), mask
    with pytest.raises(Rejected, match=r"mask that marks objects \(its bit 5 .* example mask_bits: \[0\]"):
        opened(tmp_path / "x.fits", *hdus, mask_hdu="MASK")
    assert opened(tmp_path / "y.fits", *hdus, mask_hdu="MASK", mask_bits=[0]).shape == SHAPE
