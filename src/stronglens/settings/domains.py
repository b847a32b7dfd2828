"""Where objects come from: names that the config gives to its buckets."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

UNKNOWN = "unknown"
"""Domain of objects of which nothing is known."""

Domain = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*(_[A-Za-z0-9-]+)*$")]
"""A survey or a simulation: a word of letters, digits, `-` and single `_`."""


def side(domains: Sequence[str]) -> str:
    """Name of several domains together, in names of results."""
    return "__".join(domains)
