"""Settings of the simulated data set."""

from pydantic import Field

from stronglens.settings.base import Settings


class SimulateSettings(Settings):
    """A small data set in the challenge's format, so that the pipeline runs without data of the user's."""

    objects_per_bucket: int = Field(400, ge=1, le=1_000_000, examples=[400])
    """Objects in each of the four labelled buckets; each has one file a band."""
    test_objects: int = Field(200, ge=1, le=1_000_000, examples=[200])
    """Objects in the unlabelled test folder."""
    seed: int = Field(1, ge=0, le=2**32 - 1, examples=[1])
    """Seed of the simulator."""
