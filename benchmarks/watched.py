"""Running a step as its own process, with its time and its memory."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import SCRIPTS

_EVERY_S = 0.02


@dataclass(frozen=True)
class Watched:
    """What a step took.

    Attributes
    ----------
    seconds : float
        From its start to its end, the start of Python included.
    private_mb : float
        Most private memory of any of its processes, in MB, looked at every 20 ms: pages of files that are
        mapped are not in it, since the system takes them back when it needs them.
    """

    seconds: float
    private_mb: float


def run_step(script: str, *arguments: object) -> Watched:
    """Run a step of the pipeline by its command line.

    Raises
    ------
    RuntimeError
        It failed; with what it wrote.
    """
    return run_watched([sys.executable, str(SCRIPTS / script), *map(str, arguments)])


def run_watched(command: Sequence[str], folder: Path | None = None) -> Watched:
    """Run a command, in a folder if one is given; look at its memory and its children's until it ends."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, text=True, cwd=folder)
        private_kb = 0
        while process.poll() is None:
            private_kb = max([private_kb, *map(_private_kb, _family(process.pid))])
            time.sleep(_EVERY_S)
        seconds = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output.read()}")
    return Watched(seconds, private_kb * 1024 / 1e6)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has just ended
        return
    for child in " ".join(children).split():
        yield from _family(int(child))


def _private_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
