"""Reading a packed data set: the cutouts as a memory map, with their index."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from stronglens.formats.artefact import check_sha256, read_json
from stronglens.running.errors import InputError

CUTOUTS, INDEX, PARAMETERS, REJECTED, SUMMARY = (
    "cutouts.npy",
    "index.parquet",
    "parameters.parquet",
    "rejected.csv",
    "summary.json",
)
"""Names of the files in the folder of a packed data set."""


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
    summary : dict
        What `summary.json` says.
    """

    folder: Path
    cutouts: npt.NDArray[np.float32]
    index: pd.DataFrame
    summary: dict[str, Any]

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


def open_cutouts(folder: Path, *, check: bool = True) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Open a packed data set without reading its index: the cutouts and the summary of a `PackedSet`.

    Raises as `open_packed` does, also where there is not a row for each cutout.
    """
    summary = read_json(folder / SUMMARY)
    if check:
        for name in (CUTOUTS, INDEX):
            check_sha256(folder / name, summary["sha256"][name], folder / SUMMARY)
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


def identity_of(summary: Mapping[str, Any]) -> tuple[str, str]:
    """SHA-256 of the cutouts and of the index of a packed data set: what is made from them states both.

    Either alone may be that of another set: parts with the same pixels have the same cutouts, and pixels may
    change while names stay.
    """
    return str(summary["sha256"][CUTOUTS]), str(summary["sha256"][INDEX])
