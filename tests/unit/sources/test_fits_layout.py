"""Ordinary files, whose pixels are found without astropy: where it finds them too."""

import string
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fits_files import primary_bytes, table_bytes
from fits_forms import IMAGE, ORDINARY, SIZE, read
from stronglens.sources.fits_general import read_general
from stronglens.sources.fits_layout import find_layout


@pytest.mark.parametrize("form", ORDINARY)
def test_ordinary_files_take_the_fast_way_to_the_same_result(form: str, tmp_path: Path) -> None:
    content = ORDINARY[form]
    assert find_layout(content, SIZE) is not None
    image, header_id = read(content, tmp_path)
    np.testing.assert_array_equal(image, IMAGE.astype(np.float32))
    pixels, id_of_general, _ = read_general(content, SIZE)
    np.testing.assert_array_equal(pixels.astype(np.float32).reshape(SIZE, SIZE), image)
    assert header_id == id_of_general


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
