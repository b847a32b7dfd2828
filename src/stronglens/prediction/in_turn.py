"""Work that a thread does while the next is prepared."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, ParamSpec

P = ParamSpec("P")


class InTurn(Generic[P]):
    """Calls a function from a thread, in the order it is asked to, one call at a time.

    There is at most one call waiting: memory does not grow where the function is the slower part. What it
    raises is raised by the next call, or at the end of the block; nothing is called after that.

    Parameters
    ----------
    work : callable
        What is called; what it returns is dropped.
    """

    def __init__(self, work: Callable[P, None]) -> None:
        self._work = work
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Callable[P, None]:
        return self._call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if error is None and self._last is not None:
            self._last.result()

    def _call(self, *args: P.args, **kwargs: P.kwargs) -> None:
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(self._work, *args, **kwargs)
