"""When Python searches for cycles of references."""

import gc

import pytest

from stronglens.running.collection import no_search_for_cycles, older_objects_frozen


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


def test_older_objects_are_left_out_in_the_block() -> None:
    with older_objects_frozen():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
