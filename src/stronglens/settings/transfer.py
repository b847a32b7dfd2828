"""Settings of the measurement of what networks lose where they look at another domain."""

from typing import Self

from pydantic import Field, model_validator

from stronglens.settings.base import Settings
from stronglens.settings.domains import Domain


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
