"""Settings of the conclusion of a search."""

from typing import Any

from pydantic import Field

from stronglens.settings.base import Settings
from stronglens.settings.search import Dimension


class ConclusionSettings(Settings):
    """What the conclusion of a search must know beside its trials."""

    model: str = "by_hand"
    """Name of the model."""
    block: dict[str, Any] = Field(default_factory=dict)
    """The block of the model in the config, without settings of single seeds."""
    space: dict[str, Dimension] = Field(default_factory=dict)
    """What was tried."""
