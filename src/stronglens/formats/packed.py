"""A packed data set: what describes it, and its cutouts as a memory map with their index."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from pydantic import Field

from stronglens.formats.artefact import check_stated
from stronglens.formats.sidecar import Part, Sidecar, naming
from stronglens.running.errors import InputError

CUTOUTS, INDEX, PARAMETERS, REJECTED, SUMMARY = (
    "cutouts.npy",
    "index.parquet",
    "parameters.parquet",
    "rejected.csv",
    "summary.json",
)
"""Names of the files in the folder of a packed data set."""


class Examples(Part):
    """Objects that lack something."""

    n_objects: int
    """How many."""
    first: list[str]
    """Keys of some."""


class Filled(Part):
    """Cutouts with pixels that were not finite, which are filled with the median of the others."""

    n_cutouts: int
    n_pixels: int
    first: list[str]
    """Paths of some."""


class Shared(Part):
    """Values that several objects, or several cutouts, have in common."""

    n: int = 0
    """Such values."""
    n_members: int = 0
    """Objects, or cutouts, that have one of them."""
    n_both_labels: int = 0
    """Such values that lenses and non-lenses have in common."""
    first: list[list[str]] = Field(default_factory=list)
    """Objects, or paths, of some."""


class PackSummary(Sidecar):
    """What `summary.json` says of a packed data set, or of a part of one.

    Later steps go by the fields without a default; the others tell how the set was read.
    """

    KIND: ClassVar[str] = "the summary of a packed data set"

    dataset: str
    """Name of the set."""
    labelled: bool
    """Whether labels and domains are the truth."""
    size_px: int
    """Side of a cutout, in pixels."""
    bands: list[str]
    """Bands in the order of the config."""
    n_cutouts: int
    """Readable cutouts: rows of the index."""
    n_objects: int
    """Objects with a readable cutout."""
    sha256: Annotated[dict[str, str], naming(CUTOUTS, INDEX)]
    """SHA-256 of the files beside it, by their names."""
    n_files: int = 0
    """Files of cutouts that were found."""
    n_rejected: int = 0
    """Those of them that could not be read."""
    n_objects_incomplete: int = 0
    """Objects with a readable cutout, but not in every band."""
    unreadable_objects: list[str] = Field(default_factory=list)
    """Objects without a readable cutout."""
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Cutouts by bucket, domain, label and band."""
    rejected: dict[str, int] = Field(default_factory=dict)
    """Unreadable files by the kind of their reason."""
    leftovers: dict[str, int] = Field(default_factory=dict)
    """Files that are no cutouts, by the reason."""
    missing_bands: dict[str, Examples] = Field(default_factory=dict)
    """By band, objects without a file in it."""
    shared_header_ids: Shared = Shared()
    """Ids in the files that several objects have."""
    identical_cutouts: Shared = Shared()
    """Images that several cutouts show."""
    filled: Filled | None = None
    n_fitted: int = 0
    """Cutouts whose image had another size, and was cropped or padded."""
    lists: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the list files that named the cutouts, by path."""
    part: int = 0
    """Which part of the set this is, from 0."""
    parts: int = 1
    """How many parts the set has."""
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By bucket, the file of parameters: path, n_rows, n_matched, n_objects."""
    settings: dict[str, Any] | None = None
    """Of `stronglens.settings.data.PackSettings`."""

    @property
    def identity(self) -> tuple[str, str]:
        """SHA-256 of the cutouts and of the index: what is made from the set states both.

        Either alone may be that of another set: parts with the same pixels have the same cutouts, and pixels
        may change while names stay.
        """
        return self.sha256[CUTOUTS], self.sha256[INDEX]


@dataclass(frozen=True)
class PackedSet:
    """A packed data set.

    Attributes
    ----------
    folder : Path
        Where it lies.
    cutouts : ndarray of float32, shape (n_cutouts, size_px, size_px)
        Axes (cutout, y, x), in counts; a read-only memory map.
    index : DataFrame
        A row per cutout, in the same order: object, band, path, bucket, domain, label (1 lens, 0 none,
        -1 unknown), header_id, pixel_hash.
    summary : PackSummary
        What `summary.json` says.
    """

    folder: Path
    cutouts: npt.NDArray[np.float32]
    index: pd.DataFrame
    summary: PackSummary

    @cached_property
    def object_numbers(self) -> npt.NDArray[np.int64]:
        """Number of each cutout's object, shape (n_cutouts,), ascending from 0.

        Raises
        ------
        InputError
            The cutouts of an object do not lie next to each other.
        """
        numbers = pd.factorize(self.index["object"])[0].astype(np.int64)
        if (np.diff(numbers) < 0).any():
            raise InputError(f"{self.folder}: expected the cutouts of each object next to each other")
        return numbers


def open_packed(folder: Path, *, check: bool = True) -> PackedSet:
    """Open a packed data set.

    Parameters
    ----------
    folder : Path
        The folder that `build_buckets` wrote.
    check : bool
        Compare the large files with the sha256 stated in `summary.json`; reads all of them once.

    Raises
    ------
    InputError
        A file is missing, or is not the one that `summary.json` describes.
    """
    cutouts, summary = open_cutouts(folder, check=check)
    return PackedSet(folder, cutouts, pd.read_parquet(folder / INDEX), summary)


def open_cutouts(folder: Path, *, check: bool = True) -> tuple[npt.NDArray[np.float32], PackSummary]:
    """Open a packed data set without reading its index: the cutouts and the summary of a `PackedSet`.

    Raises as `open_packed` does, also where there is not a row for each cutout.
    """
    summary = PackSummary.read(folder / SUMMARY)
    if check:
        for name in (CUTOUTS, INDEX):
            check_stated(folder / name, summary.sha256, folder / SUMMARY)
    try:
        cutouts = np.load(folder / CUTOUTS, mmap_mode="r", allow_pickle=False)
    except ValueError as error:  # also for pickled objects, which are never opened
        raise InputError(f"{folder / CUTOUTS}: expected an NPY file of numbers, found: {error}") from error
    with reading_parquet(folder / INDEX):
        n_rows = parquet.read_metadata(folder / INDEX).num_rows
    if n_rows != len(cutouts):
        raise InputError(f"{folder}: expected as many rows as cutouts, found {n_rows} and {len(cutouts)}")
    return cutouts, summary


@contextmanager
def reading_parquet(path: Path) -> Iterator[None]:
    """Let errors of a reader say which file is no Parquet file.

    Raises
    ------
    InputError
        It is none, or cannot be read.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: expected a Parquet file, found something else ({error})") from error
