"""Which HDU or column is the image, which holds the id, and which ids link cutouts."""

from typing import Any

import numpy as np
import pytest

from stronglens.sources.image_choice import (
    Column,
    choose_hdu,
    choose_id,
    choose_image,
    clean_id,
    has_size,
    id_text,
    linking_id,
    wrong_shape,
)
from stronglens.sources.rejected import Rejected


def columns(*names: str, shape: tuple[int, ...] = (5, 5)) -> list[Column]:
    """Images by name; those in brackets have another shape."""
    return [Column(name.strip("[]"), (3,) if name.startswith("[") else shape, True) for name in names]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], None),
        (["[ra]"], None),
        (["[ra]", "flux"], 1),
        (["flux", "Image"], 1),
        (["band_g", "image"], 1),
        (["flux", "BAND_R"], 1),
        (["band_g", "[band_r]"], 0),  # of those that are named the one that fits
    ],
)
def test_the_column_that_is_named_or_the_only_one(names: list[str], chosen: int | None) -> None:
    assert choose_image(columns(*names), 5) == chosen


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["flux", "noise"], r"several images \(flux, noise\)"),
        (["band_g", "band_r", "x"], r"several images \(band_g, band_r\)"),
        (["[image]", "flux"], r"wrong shape \(expected 5 x 5, found 3\)"),
    ],
)
def test_what_could_mean_two_things_is_rejected(names: list[str], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        choose_image(columns(*names), 5)


def test_text_is_no_image() -> None:
    assert choose_image([Column("image_name", (5, 5), False)], 5) is None


@pytest.mark.parametrize(
    ("names", "fits", "chosen"),
    [
        ([], [], None),
        (["", ""], [False, True], 1),
        (["", ""], [False, False], 0),  # for want of others, to say what is wrong with it
        (["", "sci"], [True, True], 1),
        (["", "Image "], [True, False], 1),
        (["SCI", "IMAGE"], [False, True], 1),
    ],
)
def test_the_hdu_that_is_named_or_the_only_one(
    names: list[str], fits: list[bool], chosen: int | None
) -> None:
    assert choose_hdu(names, names, fits) == chosen


def test_several_hdus_are_named_in_the_rejection() -> None:
    with pytest.raises(Rejected, match=r"several images \(HDU 1, HDU 3; give its number or name as hdu\)"):
        choose_hdu(["", "", ""], ["HDU 1", "HDU 2", "HDU 3"], [True, False, True])


def test_the_column_of_ids() -> None:
    assert choose_id(["ra", "OBJECT_ID", "Lens ID"]) == 1
    assert choose_id(["id", "lensid"]) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" GG 1 ", "GG 1"),
        (7, "7"),
        (7.0, "7"),
        (np.float32(7.5), "7.5"),
        (2.0**60, str(2.0**60)),
        (np.int64(12), "12"),
        (True, ""),
        (np.bool_(False), ""),
        (None, ""),
        (object(), ""),
    ],
)
def test_values_as_ids(value: Any, text: str) -> None:
    assert id_text(value) == text


def test_bytes_as_ids() -> None:
    assert clean_id(b"  GG 1 \0\0junk") == "GG 1"
    assert clean_id(b"\xff1") == r"\xff1"
    assert clean_id(b"\0") == ""


@pytest.mark.parametrize("text", ["GG-1", "17", "01", "-999 a", "1e3", "none-1", "0x", "-12"])
def test_ids_that_link(text: str) -> None:
    assert linking_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "N/A",
        "<none>",
        "NULL",
        "-",
        "--",
        "'unknown'",
        "nan",
        "0",
        "0.0",
        "-1",
        "-9",
        "-999",
        "-99.0",
    ],
)
def test_what_surveys_write_for_none_links_nothing(text: str) -> None:
    assert linking_id(text) == ""


@pytest.mark.parametrize(
    ("shape", "fit", "right"),
    [
        ((5, 5), "refuse", True),
        ((1, 5, 5, 1), "refuse", True),
        ((25,), "refuse", True),
        ((7, 5), "refuse", False),
        ((7, 5), "crop", True),
        ((4, 9), "crop", False),
        ((3, 9), "pad", True),
        ((2, 9), "pad", False),
        ((5, 5, 2), "crop", False),
    ],
)
def test_sizes_that_fit(shape: tuple[int, ...], fit: Any, right: bool) -> None:
    assert has_size(shape, 5, fit) == right


def test_a_row_of_pixels_is_no_image_where_it_may_not_be() -> None:
    assert not has_size((25,), 5, flat=False)
    assert has_size((1, 5, 5), 5, flat=False)


def test_the_rejection_says_what_would_help() -> None:
    assert str(wrong_shape((7, 6), 5)) == (
        "wrong shape (expected 5 x 5, found 7 x 6; fit: crop takes the centre of larger ones)"
    )
    assert "band_axis says which axis of a cube counts its bands" in str(wrong_shape((5, 5, 3), 5))
    assert str(wrong_shape((4, 6), 5, "crop")) == "wrong shape (expected 5 x 5 or more, found 4 x 6)"
    assert "expected 3 x 3 or more, found a single number" in str(wrong_shape((), 5, "pad"))


@pytest.mark.parametrize(("names", "chosen"), [(["COADD", "PSF"], 0), (["PSF", "COADD"], 1), (["PSF"], 0)])
def test_what_lies_beside_an_image_is_not_taken_for_it(names: list[str], chosen: int) -> None:
    """A PSF whose size is that of a cutout, beside an image of another size."""
    assert choose_hdu(names, names, [name == "PSF" for name in names]) == chosen
