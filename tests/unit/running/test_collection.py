"""Whether Python looks for cycles."""

import gc

import pytest

from stronglens.running.collection import no_search_for_cycles, none_among_what_is_there


def test_the_search_goes_on_afterwards_whatever_happens() -> None:
    with pytest.raises(ValueError, match="wrong"), no_search_for_cycles():
        assert not gc.isenabled()
        raise ValueError("wrong")
    assert gc.isenabled()
    gc.disable()
    try:
        with no_search_for_cycles():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_there_is_left_out_meanwhile() -> None:
    with none_among_what_is_there():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
