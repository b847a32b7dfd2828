"""`threshold.txt` gives back the number that was written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stronglens.formats.threshold_file import read_threshold, write_threshold
from stronglens.running.errors import InputError


@given(st.floats(0, 1))
def test_file_gives_back_the_same_number(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    path = tmp_path_factory.getbasetemp() / "threshold.txt"
    write_threshold(path, value)
    assert read_threshold(path) == value


@pytest.mark.parametrize("text", ["", "abc", "nan", "1.5", "-0.1", "0.5 0.6", "inf"])
def test_unreadable_file_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "threshold.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"threshold\.txt: expected"):
        read_threshold(path)
