"""Pixels in memory: taken apart as packing would take them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from astropy.nddata import CCDData
from astropy.utils.masked import Masked

from stronglens.finder.pixels import from_images, in_order_of
from stronglens.finder.result import Flag
from stronglens.running.errors import InputError

KNOWN = ["g", "r", "i"]
IMAGES = np.random.default_rng(1).normal(0, 1, (3, 3, 5, 5))


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        (None, ["g", "r", "i"]),
        ("irg", ["i", "r", "g"]),
        (["i", "g", "r"], ["i", "g", "r"]),
    ],
)
def test_channels_are_bands(bands: Any, expected: list[str]) -> None:
    assert in_order_of(bands, KNOWN, 3) == expected


def test_a_band_of_a_long_name_is_one() -> None:
    assert in_order_of("VIS", ["VIS", "Y"], 1) == ["VIS"]
    assert in_order_of("single", KNOWN, 1) == ["single"]


@pytest.mark.parametrize("bands", ["gx", "gg", ["g", "single"], "y"])
def test_other_bands_are_refused(bands: Any) -> None:
    with pytest.raises(InputError, match="bands: expected some of g, r, i, each once"):
        in_order_of(bands, KNOWN, len(bands))


def test_a_set_of_bands_has_no_order() -> None:
    for bands in ({"g", "r"}, frozenset("gr")):
        with pytest.raises(InputError, match="expected them in the order of channels, found a set"):
            in_order_of(bands, KNOWN, 2)  # type: ignore[arg-type]
    assert in_order_of({"r": 0, "g": 1}.keys(), KNOWN, 2) == ["r", "g"]  # type: ignore[arg-type]


def test_channels_and_bands_are_as_many() -> None:
    with pytest.raises(InputError, match=r"expected a channel for each of the bands g, r, shape"):
        in_order_of("gr", KNOWN, 3)


def take(images: Any, bands: Any = None, non_finite: Any = "reject", domains: Any = "hsc") -> Any:
    return from_images(images, bands, KNOWN, 5, non_finite, domains)


def test_cutouts_come_object_by_object_in_the_order_of_packing() -> None:
    pixels = take(IMAGES, "igr", domains=["a", "b", "c"])
    assert pixels.objects.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert pixels.bands.tolist() == ["g", "r", "i"] * 3
    assert pixels.domains.tolist() == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    np.testing.assert_array_equal(pixels.cutouts[:3], IMAGES[0, [1, 2, 0]].astype(np.float32))
    assert pixels.flags.tolist() == [0, 0, 0]


def with_pixels(*changed: tuple[int, int, Any]) -> npt.NDArray[np.float64]:
    images = IMAGES.copy()
    for number, band, value in changed:
        images[number, band] = value
    return images


def some_nan(n: int) -> npt.NDArray[np.float64]:
    image = IMAGES[0, 0].copy()
    image.flat[:n] = np.nan
    return image


def test_missing_bands_are_left_out_without_a_flag_and_bad_ones_with_one() -> None:
    images = with_pixels((0, 1, np.nan), (1, 0, 7.0), (1, 2, some_nan(3)), (2, 0, np.inf))
    images[2, 1, 0, 0] = 1e30
    pixels = take(images)
    assert pixels.objects.tolist() == [0, 0, 1, 2]
    assert pixels.bands.tolist() == ["g", "i", "r", "i"]
    assert pixels.flags.tolist() == [0, Flag.REJECTED, Flag.REJECTED]
    assert np.isfinite(pixels.cutouts).all()


@pytest.mark.parametrize(("n_bad", "flag"), [(0, 0), (12, Flag.FILLED), (13, Flag.REJECTED)])
def test_pixels_are_filled_with_the_median_where_more_than_half_are_there(n_bad: int, flag: int) -> None:
    images = with_pixels((1, 0, some_nan(n_bad)))
    pixels = take(images, non_finite="fill")
    assert pixels.flags.tolist() == [0, flag, 0]
    if flag == Flag.FILLED:
        expected = np.float32(np.median(IMAGES[0, 0].flat[n_bad:]))
        assert set(pixels.cutouts[3].flat[:n_bad].tolist()) == {float(expected)}


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((3, 3, 5, 6)), r"expected shape \(n, n_bands, 5, 5\), axes .* found \(3, 3, 5, 6\)"),
        (np.zeros((3, 5, 5)), r"expected shape \(n, n_bands, 5, 5\)"),
        (np.zeros((1, 3, 5, 5), dtype=complex), "expected real numbers, found complex128"),
        (np.full((1, 3, 5, 5), "a"), "expected real numbers, found <U1"),
        (torch.zeros((1, 3, 5, 5), dtype=torch.complex64), "expected real numbers, found complex64"),
        (torch.zeros((1, 3, 5, 5), dtype=torch.bool), "expected real numbers, found bool"),
        ([IMAGES[0], IMAGES[1, :2]], "expected one array of numbers, found something else"),
        ([], r"expected shape .* found \(0,\)"),
        ([None], "expected real numbers, found object"),
    ],
)
def test_what_is_no_image_is_refused(images: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"images: {said}"):
        take(images)


def test_each_object_has_its_domain() -> None:
    with pytest.raises(InputError, match="domains: expected one for each of 3 objects, found 2"):
        take(IMAGES, domains=["a", "b"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int16])
def test_tensors_of_any_type_are_taken(dtype: torch.dtype) -> None:
    images = (10 * torch.from_numpy(IMAGES)).to(dtype).requires_grad_(dtype.is_floating_point)
    pixels = take(images)
    np.testing.assert_array_equal(
        pixels.cutouts[4], images.detach()[1, 1].double().numpy().astype(np.float32)
    )


MASKS = np.zeros(IMAGES.shape, dtype=bool)
MASKS[1, 2, 3, 3] = MASKS[2, 0] = True


@pytest.mark.parametrize(
    "images",
    [
        np.ma.masked_array(IMAGES, MASKS),
        [np.ma.masked_array(*one) for one in zip(IMAGES, MASKS, strict=True)],
        Masked(IMAGES, mask=MASKS),
        [
            [CCDData(pixels, mask=mask, unit="adu") for pixels, mask in zip(*one, strict=True)]
            for one in zip(IMAGES, MASKS, strict=True)
        ],
    ],
    ids=["one", "list", "astropy", "images"],
)
def test_no_mask_is_lost(images: Any) -> None:
    expected = take(np.where(MASKS, np.nan, IMAGES))
    pixels = take(images)
    assert pixels.flags.tolist() == expected.flags.tolist() == [0, Flag.REJECTED, 0]
    np.testing.assert_array_equal(pixels.cutouts, expected.cutouts)
    np.testing.assert_array_equal(pixels.objects, expected.objects)


def test_arrays_one_by_one_are_taken_as_one() -> None:
    expected = take(IMAGES).cutouts
    tensors = [torch.from_numpy(image).requires_grad_() for image in IMAGES]
    for images in (list(IMAGES), tuple(IMAGES), tensors, pd.Series(list(IMAGES), index=[7, 8, 9])):
        np.testing.assert_array_equal(take(images).cutouts, expected)


def test_no_objects_are_no_cutouts() -> None:
    pixels = take(IMAGES[:0])
    assert (len(pixels.cutouts), len(pixels.flags)) == (0, 0)
