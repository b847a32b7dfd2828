"""How many digits a number is shown with: as many as are known of it. Files hold all digits."""

import math
from collections.abc import Sequence

UNKNOWN = 3
"""Decimals of a rate of which no interval is known."""

FEWEST, MOST = 2, 6
"""Decimals of a rate, at least and at most."""


def decimals_of(half_width: float) -> int:
    """Decimals of a number that is known to so much on either side.

    Notes
    -----
    The rule of the Particle Data Group (Review of Particle Physics, Introduction): the uncertainty itself
    would be shown with two digits if these are at most 35, else with one.
    """
    if not half_width > 0:
        return UNKNOWN
    exponent = math.floor(math.log10(half_width))
    n_digits = 2 if half_width / 10.0**exponent < 3.55 else 1
    return min(max(n_digits - 1 - exponent, FEWEST), MOST)


def stated(value: float | None, interval: Sequence[float] | None = None, n: int | None = None) -> str:
    """A rate in the digits that its interval leaves it, or else the number of objects: `0.93`.

    Of n objects, a rate is known to 1 / sqrt(n) or better (95 %). None gives `undefined`.
    """
    if value is None:
        return "undefined"
    if interval is None and n is not None:
        return f"{value:.{decimals_of(1 / math.sqrt(max(n, 1)))}f}"
    return f"{value:.{_decimals(interval)}f}"


def limits(interval: Sequence[float]) -> tuple[str, str]:
    """The two ends of an interval, in as many digits as the value in it."""
    low, high = (f"{end:.{_decimals(interval)}f}" for end in interval)
    return low, high


def with_limits(value: float | None, interval: Sequence[float] | None) -> str:
    """A rate with its interval, `0.93 [0.89, 0.97]`; None for an interval that is not known."""
    return stated(value, interval) + (f" [{', '.join(limits(interval))}]" if interval else "")


def probability(value: float) -> str:
    """A probability or threshold in three digits, of 1 - value where that is smaller: never as 0 or 1."""
    if not 0.5 < value < 1:
        return f"{value:.3g}"
    return f"{value:.{2 - math.floor(math.log10(1 - value))}f}"


def share(n: int, n_all: int) -> str:
    """A share in percent: `14 %` of 22, `13.6 %` of 2,200; at least one digit that is not 0."""
    if n_all == 0:
        return "undefined"
    percent = 100 * n / n_all
    decimals = min(max(math.floor(math.log10(n_all)) - 2, 0), 3)
    rare = min(percent, 100 - percent)
    if rare > 0:
        decimals = max(decimals, -math.floor(math.log10(rare)))
    return f"{percent:.{decimals}f} %"


def _decimals(interval: Sequence[float] | None) -> int:
    return decimals_of((interval[1] - interval[0]) / 2) if interval else UNKNOWN
