"""Where objects come from: names that the config gives to its buckets; and what is measured between them."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from stronglens.settings.base import Settings

UNKNOWN = "unknown"
"""Domain of objects of which nothing is known."""

Domain = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*(_[A-Za-z0-9-]+)*$")]
"""A survey or a simulation: a word of letters, digits, `-` and single `_`."""


def side(domains: Sequence[str]) -> str:
    """Name of several domains together, in names of results."""
    return "__".join(domains)


class TransferSettings(Settings):
    """Networks learn from some domains alone and are scored on others: `snakemake sim_to_real`."""

    train_on: list[Domain] = Field(min_length=1, examples=["[slsim]"])
    """Domains to learn, calibrate and choose t* on."""
    test_on: list[Domain] = Field(min_length=1, examples=["[hsc]"])
    """Domains to be scored on, beside those that were learnt from."""

    @model_validator(mode="after")
    def _domains_differ(self) -> Self:
        named = [*self.train_on, *self.test_on]
        if len(set(named)) < len(named):
            raise ValueError(
                f"found a domain twice in {named}; for example train_on: [slsim], test_on: [hsc]"
            )
        return self
