"""Where objects come from."""

from typing import Literal

Domain = Literal["slsim", "hsc"]
"""The first word of a bucket's name."""

DOMAINS: tuple[Domain, ...] = ("slsim", "hsc")
"""Simulated lenses and galaxies, and those of HSC."""
