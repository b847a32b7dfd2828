"""Progress for whoever watches: a bar on a terminal, and now and then a line for those who read the log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)

T = TypeVar("T")


def progress(
    items: Iterable[T],
    total: int,
    label: str,
    unit: str,
    every_s: float = 60.0,
    size_of: Callable[[T], int] = lambda item: 1,
) -> Iterator[T]:
    """Pass items on and show how far they are.

    Parameters
    ----------
    items : iterable
        What is passed on.
    total : int
        How many units there will be.
    label, unit : str
        What is done, and to what.
    every_s : float
        Seconds between two lines in the log; a shorter task writes none. On a terminal, where the bar is,
        they are in the log's file alone: who asks how far a run is reads there that it still runs.
    size_of : callable
        How many units an item is.

    Notes
    -----
    Jobs of one Snakemake run share its terminal and know nothing of each other: the bar of the one that spoke
    last is seen.
    """
    watched = sys.stderr.isatty()
    last = time.monotonic()
    n_done = 0
    # leave=False: the bar gives way to the line that sums the work up
    with tqdm(
        total=total, desc=label, unit=f" {unit}", leave=False, dynamic_ncols=True, disable=not watched
    ) as bar:
        for item in items:
            yield item
            size = size_of(item)
            n_done += size
            bar.update(size)
            if time.monotonic() - last >= every_s:
                last = time.monotonic()
                line = f"{label}: {n_done:,} of {total:,} {unit}"
                if watched:
                    _to_files(line)
                else:
                    log.info("%s", line)


def _to_files(line: str) -> None:
    """Log a line, but not on the terminal, where it would tear the bar."""
    record = log.makeRecord(log.name, logging.INFO, __file__, 0, line, (), None)
    # Where the command line put them: at the library's own logger.
    for handler in logging.getLogger("stronglens").handlers:
        if getattr(handler, "stream", None) is not sys.stderr:
            handler.handle(record)
