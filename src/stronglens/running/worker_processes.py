"""Processes that share the work of a step: they end with it, and it ends if one of them is killed."""

import errno
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from stronglens.running.errors import InputError

_NO_MORE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""What the system answers where it grants no more processes, memory or pipes."""


@contextmanager
def worker_processes(
    n_processes: int, target: Path, prepare: Callable[[], None] | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Start processes for a step.

    Parameters
    ----------
    n_processes : int
        How many.
    target : Path
        What they write, for the error.
    prepare : callable, optional
        What each of them does first.

    Raises
    ------
    InputError
        One of them was killed, or could not be started.
    """
    # Not forked: the parent has threads.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(n_processes, context, _begin, (prepare,)) as pool:
            yield pool
    except BrokenProcessPool as error:
        raise InputError(
            f"{target}: one of {n_processes} processes was killed, perhaps for want of memory: give the job "
            "more, or fewer processes"
        ) from error
    except OSError as error:
        # The step writes a file meanwhile, for whose error it would be taken.
        if error.errno not in _NO_MORE:
            raise
        raise InputError(
            f"{target}: expected to start {n_processes} processes, found: {error}; give the job more, or "
            "fewer processes"
        ) from error


def _begin(prepare: Callable[[], None] | None) -> None:
    end_with_parent()
    if prepare is not None:
        prepare()


def end_with_parent() -> None:
    """Let a process end as soon as its parent does, however that ended.

    Else it could write into the file of the next try.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
