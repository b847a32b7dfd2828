"""Progress: a bar where a person watches, lines in the log for whoever asks later."""

import io
import logging
import sys
from pathlib import Path

import pytest

from stronglens.running.cli import Command, run
from stronglens.running.progress import progress


class Screen(io.StringIO):
    """Where messages go: a terminal, or not."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


class Read(Command):
    """A step."""


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("every_s", [0.0, 60.0])
def test_lines_reach_the_log_and_a_bar_the_terminal(
    watched: bool, every_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is done in a moment writes no line."""
    screen = Screen(watched)
    monkeypatch.setattr(sys, "stderr", screen)
    found: list[str] = []

    def step(options: Read) -> None:
        found.extend(progress("abc", 3, "reading", "letters", every_s))
        logging.getLogger("stronglens").info("read %d", len(found))

    assert run(Read, step, [f"--log={tmp_path}/step.log"]) == 0
    assert found == ["a", "b", "c"]
    lines = [f"reading: {number} of 3 letters" for number in (1, 2, 3) if not every_s]
    logged = (tmp_path / "step.log").read_text().splitlines()
    assert [line.partition(" INFO ")[2] for line in logged] == [*lines, "read 3"]
    said = screen.getvalue()
    assert ("reading:   0%" in said) == watched
    assert all((line in said) != watched for line in lines)
    assert said.endswith("read 3\n")


@pytest.mark.parametrize("watched", [True, False])
def test_items_of_several_units(
    watched: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    screen = Screen(watched)
    monkeypatch.setattr(sys, "stderr", screen)
    caplog.set_level(logging.INFO)
    words = ["a" * 1000, "b" * 500]
    assert list(progress(iter(words), 1500, "reading", "letters", 0.0, len)) == words
    assert ("0/1500" in screen.getvalue()) == watched
    if not watched:
        assert caplog.messages == ["reading: 1,000 of 1,500 letters", "reading: 1,500 of 1,500 letters"]
