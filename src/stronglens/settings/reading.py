"""Settings of how objects, bands and pixels are found in what a source holds."""

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from stronglens.settings.base import Settings
from stronglens.settings.tiles import TilesSettings


class ReadSettings(Settings):
    """How a source is read: for all data (in `data`), for a test set, or for one bucket.

    What is not given is as for the data as a whole, and there as for files of the challenge.
    """

    tiles: TilesSettings | None = None
    """Coadd tiles: `path` is then a catalogue of objects to be cut out of these images."""

    @property
    def reading(self) -> dict[str, Any]:
        """What is given here of how sources are read."""
        given = {key: getattr(self, key) for key in ReadSettings.model_fields}
        return {key: value for key, value in given.items() if value is not None}

    @model_serializer(mode="wrap")
    def _given_alone(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not given: settings that came later do not rerun what was made before them."""
        dumped: dict[str, Any] = handler(self)
        unset = [key for key in ReadSettings.model_fields if getattr(self, key) is None]
        return {key: value for key, value in dumped.items() if key not in unset}
