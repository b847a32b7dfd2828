"""Noticing that a job is about to be ended, early enough to save what it has."""

import signal
import threading
from types import FrameType, TracebackType


class StopSignal:
    """While entered, SIGTERM does not end the process but is remembered.

    Schedulers send it before they kill: at the end of a walltime, before a preemption, when a job is deleted.
    """

    def __init__(self) -> None:
        self.requested = False
        self._installed = False

    def __enter__(self) -> "StopSignal":
        # Only the main thread may set handlers; elsewhere SIGTERM ends the process as it always does.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGTERM, self._before)
            self._installed = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
