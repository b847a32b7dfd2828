"""What describes the embedded simulated data set."""

from typing import Any, ClassVar

from stronglens.formats.sidecar import Sidecar


class SimulatedDescription(Sidecar):
    """What `simulated.json` says."""

    KIND: ClassVar[str] = "the description of simulated data"

    settings: dict[str, Any]
    """Of `stronglens.settings.data.SimulateSettings`."""
    n_objects: dict[str, int]
    """By bucket, and of the blind set."""
    versions: dict[str, str]
    """Of the packages that the images come from."""
    sha256: str
    """Of the SHA-256 of all objects in order."""
