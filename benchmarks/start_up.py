"""Time from typing a step to its reading of the command line, against Python's own start."""

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import harness
from harness import SCRIPTS, Way


def main(argv: Sequence[str] | None = None) -> int:
    options = harness.options_of(__doc__, argv)
    scripts = sorted(SCRIPTS.glob("*.py"))[: options.pick(tiny=1, short=None, full=None)]
    ways = [Way(script.stem, partial(run, [str(script), "--help"]), 1) for script in scripts]
    ways += [
        Way("naive: import torch and timm first", lambda: run(["-c", "import torch, timm"]), 1),
        Way("limit: python -c ''", lambda: run(["-c", ""]), 1),
    ]
    result = harness.race(ways, options.n_rounds)
    harness.print_title("Start-up of a step: --help", options, ["pydantic", "pydantic-settings", "torch"])
    harness.print_table(
        ["step", "n", "s (median)", "imports torch"],
        [
            [way.name, str(options.n_rounds), f"{1 / result.rate(way.name):.2f}", _torch(scripts, way.name)]
            for way in ways
        ],
    )
    return 0


def run(arguments: Sequence[str]) -> str:
    """Run Python, and give what it writes to the error stream."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)
    return done.stderr


def _torch(scripts: Sequence[Path], name: str) -> str:
    """Whether `--help` of a step imports torch; nothing for ways that are no steps."""
    for script in scripts:
        if script.stem == name:
            return "yes" if "| torch\n" in run(["-X", "importtime", str(script), "--help"]) else "no"
    return ""


if __name__ == "__main__":
    sys.exit(main())
