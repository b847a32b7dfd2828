"""What is said and drawn of a packed data set: numbers, some of its cutouts, histograms of its pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from stronglens.formats.artefact import check_stated, sha256_of, write_aside
from stronglens.formats.sidecar import Part, Sidecar, naming

INSPECTION = "summary.json"
SHEET, SHEET_CUTOUTS, HISTOGRAMS = "contact_sheet.json", "contact_sheet.npy", "histograms.json"
"""Names of the files."""


class BadFile(Part):
    """A file of an object that could not be read."""

    path: str
    bucket: str
    object: str
    band: str
    reason: str


class InspectionSummary(Sidecar):
    """What `summary.json` says of an inspection; much is of `stronglens.formats.packed.PackSummary`."""

    KIND: ClassVar[str] = "the summary of an inspection"

    bad_files: list[BadFile]
    """Files of objects that could not be read."""
    pixels: dict[str, dict[str, dict[str, int | float]]]
    """By bucket and band, numbers in counts (see `stronglens.inspecting.inspection.describe_pixels`)."""
    dataset: str = ""
    labelled: bool = False
    size_px: int = 0
    bands: list[str] = Field(default_factory=list)
    n_files: int = 0
    n_cutouts: int = 0
    n_objects: int = 0
    n_rejected: int = 0
    n_objects_incomplete: int = 0
    unreadable_objects: list[str] = Field(default_factory=list)
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    leftovers: dict[str, int] = Field(default_factory=dict)
    missing_bands: dict[str, Any] = Field(default_factory=dict)
    shared_header_ids: dict[str, Any] = Field(default_factory=dict)
    identical_cutouts: dict[str, Any] = Field(default_factory=dict)
    cutouts: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Cutouts by bucket and band."""
    splits: dict[str, Any] | None = None
    """Of `stronglens.formats.split_table.SplitCounts`."""


@dataclass(frozen=True)
class ContactSheet:
    """Some objects of each bucket.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    n_cutouts, n_objects : int
        Of the whole data set.
    n_most : int
        At most so many objects of each bucket were to be chosen.
    bands : sequence of str
        Of the whole data set, in its order.
    objects : mapping of str to sequence of str
        The objects of each bucket, in their order; the bucket is "" where none is known.
    cutout_keys : sequence of tuple of str
        Object and band of each cutout.
    cutouts : ndarray of float32, shape (n_cutouts, size_px, size_px)
        Axes (cutout, y, x), in counts; in the order of `cutout_keys`.
    """

    dataset: str
    n_cutouts: int
    n_objects: int
    n_most: int
    bands: Sequence[str]
    objects: Mapping[str, Sequence[str]]
    cutout_keys: Sequence[tuple[str, str]]
    cutouts: npt.NDArray[np.float32]


class _SheetBucket(Part):
    bucket: str
    objects: list[str]


class SheetDescription(Sidecar):
    """What `contact_sheet.json` says: `ContactSheet` without the cutouts."""

    KIND: ClassVar[str] = "the description of a contact sheet"

    dataset: str
    n_cutouts: int
    n_objects: int
    n_most: int
    bands: list[str]
    buckets: list[_SheetBucket]
    """A list, since keys are sorted."""
    places: list[tuple[str, str]]
    """Object and band of each cutout."""
    sha256: Annotated[dict[str, str], naming(SHEET_CUTOUTS)]


class Histogram(Part):
    """How often pixel values occur in one band of a bucket."""

    bucket: str
    band: str
    """Which."""
    n_cutouts: int
    """Cutouts whose pixels are counted."""
    counts: list[int]
    """Pixels in each bin."""


class Histograms(Sidecar):
    """Histograms of pixel values with the same bins, in `histograms.json`."""

    KIND: ClassVar[str] = "histograms of pixel values"

    linear_counts: float
    """Up to this, in counts, bins are of one width; beyond, their width grows with the value."""
    edges: list[float]
    """Of the bins, ascending, in counts: one more than there are bins."""
    histograms: list[Histogram]
    """Bands of a bucket one after the other."""


def write_sheet(folder: Path, sheet: ContactSheet) -> None:
    """Write `SHEET_CUTOUTS`, and `SHEET`, which says what they are and states their SHA-256."""
    with write_aside(folder / SHEET_CUTOUTS) as aside:
        np.save(aside, sheet.cutouts, allow_pickle=False)
    SheetDescription(
        dataset=sheet.dataset,
        n_cutouts=sheet.n_cutouts,
        n_objects=sheet.n_objects,
        n_most=sheet.n_most,
        bands=list(sheet.bands),
        buckets=[
            _SheetBucket(bucket=bucket, objects=list(objects)) for bucket, objects in sheet.objects.items()
        ],
        places=list(sheet.cutout_keys),
        sha256={SHEET_CUTOUTS: sha256_of(folder / SHEET_CUTOUTS)},
    ).write(folder / SHEET)


def read_sheet(folder: Path) -> ContactSheet:
    """Read what `write_sheet` wrote.

    Raises
    ------
    InputError
        A file is missing or malformed, or the cutouts are not those that the JSON file describes.
    """
    described = SheetDescription.read(folder / SHEET)
    check_stated(folder / SHEET_CUTOUTS, described.sha256, folder / SHEET)
    return ContactSheet(
        described.dataset,
        described.n_cutouts,
        described.n_objects,
        described.n_most,
        described.bands,
        {one.bucket: one.objects for one in described.buckets},
        described.places,
        np.load(folder / SHEET_CUTOUTS, allow_pickle=False),
    )
