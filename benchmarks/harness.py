"""What all benchmarks share: options, paired rounds, the machine, a Markdown table. Import it first.

Importing it makes the library and the tests' makers of files importable; idle threads spin only briefly.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, TypeVar

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "workflow" / "scripts"
# Before all that is installed: of two libraries the one beside the benchmarks is measured.
sys.path[1:1] = [str(SCRIPTS), str(ROOT / "tests" / "helpers")]

from stronglens.running.threads import spin_briefly  # noqa: E402 - lies in a folder that was not known before

spin_briefly()

T_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Student's t of a two-sided 95 % interval, by the number of values."""

Size = Literal["tiny", "short", "full"]
T = TypeVar("T")

_TELLING_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Options:
    """What a benchmark is asked for.

    Attributes
    ----------
    size : str
        tiny (seconds, says nothing: for tests), short, or full.
    n_rounds : int
        How often each way is timed.
    device : str
        See `stronglens.networks.device.choose_device`; stages without a network do not look at it.
    network : str
        Name in timm; likewise.
    """

    size: Size
    n_rounds: int
    device: str
    network: str

    def pick(self, *, tiny: T, short: T, full: T) -> T:
        """The one of three values that belongs to the size."""
        return {"tiny": tiny, "short": short, "full": full}[self.size]


@dataclass(frozen=True)
class Way:
    """One way to do a job.

    Attributes
    ----------
    name : str
        Stands in the table.
    run : callable
        Does the job once.
    n_items : int
        What it works through: files, cutouts, images.
    """

    name: str
    run: Callable[[], object]
    n_items: int


@dataclass(frozen=True)
class Race:
    """Seconds of every way in every round; the first way is ours."""

    ways: Sequence[Way]
    seconds: dict[str, list[float]]

    def rate(self, name: str) -> float:
        """Items per second, by the median over rounds."""
        way = next(way for way in self.ways if way.name == name)
        return way.n_items / statistics.median(self.seconds[name])

    def ratios(self, one: str, other: str) -> list[float]:
        """How many times as fast one way is as another, round by round."""
        n_items = {way.name: way.n_items for way in self.ways}
        return [
            (n_items[one] / mine) / (n_items[other] / theirs)
            for mine, theirs in zip(self.seconds[one], self.seconds[other], strict=True)
        ]

    def ratio(self, one: str, other: str) -> float:
        """The median of `ratios`."""
        return statistics.median(self.ratios(one, other))


def options_of(description: str | None, argv: Sequence[str] | None = None, n_rounds: int = 5) -> Options:
    """Parse the command line of a benchmark."""
    parser = argparse.ArgumentParser(description=description)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--tiny", action="store_const", const="tiny", dest="size", help="seconds; a test")
    sizes.add_argument("--full", action="store_const", const="full", dest="size", help="more items, longer")
    parser.add_argument("--rounds", type=int, help=f"rounds (default {n_rounds}; 2 if tiny)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")
    parser.add_argument("--network", default="convnextv2_atto", help="name in timm (default convnextv2_atto)")
    given = parser.parse_args(argv)
    size: Size = given.size or "short"
    return Options(size, given.rounds or (2 if size == "tiny" else n_rounds), given.device, given.network)


def race(ways: Sequence[Way], n_rounds: int, clock: Callable[[], float] = time.perf_counter) -> Race:
    """Time all ways in every round, in turned order, so that what disturbs the machine disturbs all.

    A clock of the processor's time says on a busy machine what one on the wall does not.
    """
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(n_rounds):
        first = number % len(ways)
        for way in [*ways[first:], *ways[:first]]:
            started = clock()
            way.run()
            seconds[way.name].append(clock() - started)
    return Race(ways, seconds)


def print_title(title: str, options: Options, packages: Sequence[str]) -> None:
    """Print what is measured, where and with what."""
    size = "" if options.size == "short" else f" ({options.size})"
    print(f"## {title}{size}\n")
    print(f"{machine()}; " + ", ".join([f"Python {platform.python_version()}", *map(_versioned, packages)]))
    print()


def print_race(result: Race, unit: str) -> None:
    """Print the table of a race."""
    ours = result.ways[0].name
    print(f"| way | {unit} a round | n | s (median) | {unit}/s | ours is faster by (median, range) |")
    print("|---|---:|---:|---:|---:|---:|")
    for way in result.ways:
        seconds = result.seconds[way.name]
        ratios = result.ratios(ours, way.name)
        told = "" if way.name == ours else f"{_short(statistics.median(ratios))} x, {_range(ratios)}"
        print(
            f"| {way.name} | {way.n_items:,} | {len(seconds)} | {statistics.median(seconds):.3g} "
            f"| {_short(result.rate(way.name))} | {told} |"
        )
    print()


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of text."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean of some values; None where they are fewer than `T_975` knows, or more."""
    if len(values) not in T_975:
        return None
    mean = statistics.fmean(values)
    half = T_975[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return mean - half, mean + half


def with_interval(differences: Sequence[float]) -> str:
    """The mean of some differences of AUC, with its interval if it has one."""
    interval = student_interval(differences)
    said = f"{statistics.fmean(differences):+.4f}"
    return said if interval is None else f"{said} [{interval[0]:+.4f}, {interval[1]:+.4f}]"


def print_goal(goal: str, found: str, *, met: bool) -> None:
    """Print whether a goal was met."""
    print(f"- {goal}: {found}, {'met' if met else '**missed**'}")


def machine() -> str:
    """The machine in a line: CPU, cores this process may use, operating system, how busy it is."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = [flag for flag in _TELLING_FLAGS if flag in fields.get("flags", "").split()]
    return (
        f"{fields.get('model name', platform.machine())} ({', '.join(flags)}), "
        f"{len(os.sched_getaffinity(0))} cores, {platform.freedesktop_os_release()['PRETTY_NAME']}, "
        f"Linux {platform.release()}, load {os.getloadavg()[0]:.1f}{_gpu()}"
    )


def _gpu() -> str:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ""
    return f", {torch.cuda.get_device_name()}"


def _versioned(package: str) -> str:
    return f"{package} {version(package)}"


def _short(number: float) -> str:
    """Three digits, and whole numbers from 100 on."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _range(values: Sequence[float]) -> str:
    return f"{_short(min(values))} to {_short(max(values))}"
