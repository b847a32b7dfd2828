"""Python's search for cycles among objects, where there are a million of them and no cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search_for_cycles() -> Iterator[None]:
    """Let nobody look for cycles among what is made here: that takes a third of the time.

    What is no longer referred to is freed as ever, but for cycles, which are at the end.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def none_among_what_is_there() -> Iterator[None]:
    """Let nobody look for cycles among what was made before: only among what is made here."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
