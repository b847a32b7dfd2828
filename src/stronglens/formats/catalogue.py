"""The files of a catalogue: what is beside each other in a folder, and what describes them."""

from typing import Any, ClassVar

from stronglens.formats.sidecar import Sidecar

PARQUET, FITS, VOTABLE, WATCH_LIST, CATALOGUE_JSON = (
    "catalogue.parquet",
    "catalogue.fits",
    "catalogue.vot",
    "watch_list.csv",
    "catalogue.json",
)
"""Names of the files: the same table three times, the watch list, and what describes them."""


class CatalogueDescription(Sidecar):
    """What `catalogue.json` says of the files beside it."""

    KIND: ClassVar[str] = "the description of a catalogue"

    n_rows: int
    """Objects."""
    n_watched: int
    """Objects of the watch list."""
    columns: list[str]
    provenance: dict[str, Any]
    """As in the metadata of each file: what the table was made from."""
    sha256: dict[str, str]
    """SHA-256 of the files, by name."""
