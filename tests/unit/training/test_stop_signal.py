"""SIGTERM is remembered while a training can save what it has, and ends the process otherwise."""

import os
import signal
import threading

from stronglens.training.stop_signal import StopSignal


def test_it_is_noted_within_the_block_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert signal.getsignal(signal.SIGTERM) == before


def test_blocks_within_each_other_are_put_back_in_turn() -> None:
    with StopSignal() as outer:
        with StopSignal() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
        assert (outer.requested, inner.requested) == (False, True)
        os.kill(os.getpid(), signal.SIGTERM)
        assert outer.requested


def test_a_thread_sets_no_handler() -> None:
    seen = []

    def enter() -> None:
        with StopSignal() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
