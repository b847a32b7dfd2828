"""Progress for whoever watches: a bar on a terminal, now and then a line elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], total: int, label: str, unit: str, every_s: float = 60.0) -> Iterator[T]:
    """Pass items on and show how far they are.

    Parameters
    ----------
    items : iterable
        What is passed on.
    total : int
        How many there will be.
    label, unit : str
        What is done, and to what.
    every_s : float
        Seconds between two lines where there is no terminal; a shorter task writes none.
    """
    if sys.stderr.isatty():
        # leave=False: the bar gives way to the line that sums the work up
        yield from tqdm(items, total=total, desc=label, unit=f" {unit}", leave=False, dynamic_ncols=True)
        return
    log = logging.getLogger("stronglens")
    last = time.monotonic()
    for n_done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            log.info("%s: %d of %d %s", label, n_done, total, unit)
