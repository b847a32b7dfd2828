"""A packed data set: what describes it, and how it is read: whole, its tables alone, piece by piece."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute, parquet
from pydantic import Field

from stronglens.formats.artefact import check_stated
from stronglens.formats.sidecar import Part, Sidecar, naming
from stronglens.formats.tables import INTEGER, TEXT, read_table
from stronglens.running.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

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
    index: "pd.DataFrame"
    summary: PackSummary

    @cached_property
    def object_numbers(self) -> npt.NDArray[np.int64]:
        """Number of each cutout's object, shape (n_cutouts,), ascending from 0.

        Raises
        ------
        InputError
            The cutouts of an object do not lie next to each other.
        """
        import pandas as pd  # noqa: PLC0415 - steps that read the other tables alone need not wait for it

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
    import pandas as pd  # noqa: PLC0415 - steps that read the other tables alone need not wait for it

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


@dataclass(frozen=True)
class PackedObjects:
    """A packed data set of which only the tables are read.

    Attributes
    ----------
    folder : Path
        Where it lies.
    summary : PackSummary
        What `summary.json` says.
    """

    folder: Path
    summary: PackSummary

    @property
    def identity(self) -> tuple[str, str]:
        """What predictions made from it state (see `PackSummary.identity`)."""
        return self.summary.identity

    @property
    def labelled(self) -> bool:
        """Whether labels and domains are the truth."""
        return self.summary.labelled

    @property
    def n_cutouts(self) -> int:
        """Number of readable cutouts."""
        return self.summary.n_cutouts

    def index(self, columns: Sequence[str]) -> pa.Table:
        """Read columns of the index: a row per readable cutout, the bands of an object next to each other.

        Raises
        ------
        InputError
            The index is missing, is not the one that `summary.json` describes, or lacks a column.
        """
        path = self.folder / INDEX
        check_stated(path, self.summary.sha256, self.folder / SUMMARY)
        with reading_parquet(path):
            table = parquet.read_table(path, columns=list(columns))
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise InputError(
                f"{path}: expected columns {', '.join(columns)}; found none named {', '.join(missing)}"
            )
        return pa.table({name: table[name].cast(INTEGER if name == "label" else TEXT) for name in columns})

    def rejected(self) -> pa.Table:
        """Path and object of each file that could not be read; files that belong to no object are left out.

        Raises
        ------
        InputError
            `rejected.csv` is missing, malformed, or not the one that `summary.json` describes.
        """
        path = self.folder / REJECTED
        check_stated(path, self.summary.sha256, self.folder / SUMMARY)
        table = read_table(path, {"path": TEXT, "object": TEXT})
        return table.filter(compute.not_equal(table["object"], ""))


def open_objects(folder: Path) -> PackedObjects:
    """Open a packed data set without its pixels.

    Raises
    ------
    InputError
        `summary.json` cannot be read (see `stronglens.formats.sidecar.Sidecar.read`).
    """
    return PackedObjects(folder, PackSummary.read(folder / SUMMARY))


def parts_of(folders: Sequence[Path], n_parts: int | None) -> list[Path]:
    """Folders of the parts in which data sets or their predictions are cut.

    Parameters
    ----------
    folders : sequence of Path
        Folders that hold `part_0`, `part_1`, …
    n_parts : int or None
        Their number; None means that the folders are not cut.
    """
    if n_parts is None:
        return list(folders)
    return [folder / f"part_{part}" for folder in folders for part in range(n_parts)]


PIECE_ROWS = 2**17
"""Cutouts of a piece: their rows of the index take some 40 MB."""


@dataclass(frozen=True)
class PackedPieces:
    """A packed data set of which the index is not read as a whole.

    Attributes
    ----------
    folder, cutouts, summary
        As those of `PackedSet`.
    """

    folder: Path
    cutouts: npt.NDArray[np.float32]
    summary: PackSummary

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[PackedSet]:
        """Give the set in pieces of whole objects, in order, each as a set of its own.

        Parameters
        ----------
        columns : sequence of str, optional
            Columns of the index that are wanted, `object` among them; all if not given.

        Raises
        ------
        InputError
            The index cannot be read.
        """
        start = 0
        for table in self._whole_objects(columns):
            end = start + len(table)
            yield PackedSet(self.folder, self.cutouts[start:end], table.to_pandas(), self.summary)
            start = end

    def _whole_objects(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        path = self.folder / INDEX
        read: pa.Table | None = None
        # Buffered in advance, a whole group of a million rows would be held.
        with reading_parquet(path), parquet.ParquetFile(path, pre_buffer=False) as index:
            for batch in index.iter_batches(PIECE_ROWS, columns=columns):
                following = pa.Table.from_batches([batch])
                if read is None:
                    read = following
                    continue
                n_whole = _n_before_last(read["object"])
                if n_whole:
                    yield read.slice(0, n_whole)
                read = pa.concat_tables([read.slice(n_whole), following])
        if read is not None:
            yield read


def _n_before_last(objects: pa.ChunkedArray) -> int:
    """Number of cutouts before those of the last object, which may go on in the next batch."""
    names = objects.to_numpy()
    of_others = np.flatnonzero(names != names[-1])
    return int(of_others[-1]) + 1 if len(of_others) else 0


def open_pieces(folder: Path) -> PackedPieces:
    """Open a packed data set to be read piece by piece; its large files are checked.

    Raises
    ------
    InputError
        As `open_packed`.
    """
    return PackedPieces(folder, *open_cutouts(folder))


def read_lens_values(packed: Sequence[Path], names: Sequence[str]) -> "pd.DataFrame":
    """Read parameters of the objects of packed data sets.

    Parameters
    ----------
    packed : sequence of Path
        Folders of packed data sets.
    names : sequence of str
        Columns of the parameters.

    Returns
    -------
    DataFrame
        By object key, a column for each name, in the units of `parameters.fits`; NaN where a value was not
        measured, is not finite, or a data set has no such column. Objects of which nothing is known may be
        absent.

    Raises
    ------
    InputError
        A file is missing, or was changed since it was made; a column holds text.
    """
    import pandas as pd  # noqa: PLC0415 - steps that read the other tables alone need not wait for it

    tables = []
    for folder in packed:
        path = folder / PARAMETERS
        check_stated(path, PackSummary.read(folder / SUMMARY).sha256, folder / SUMMARY)
        known = [name for name in names if name in parquet.read_schema(path).names]
        table = pd.read_parquet(path, columns=["object", *known]).set_index("object")
        for name in known:
            if not pd.api.types.is_numeric_dtype(table[name]):
                raise InputError(
                    f"{path}: column {name}: expected numbers, found {table[name].iloc[0]!r}; "
                    "correct parameters.fits, and pack again"
                )
        tables.append(table.reindex(columns=list(names)).astype(np.float64))
    together = pd.concat(tables)
    return together.where(np.isfinite(together))


def values_of_lenses(
    known: "pd.DataFrame", objects: "Sequence[str] | pd.Series", labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The parameters of samples.

    Parameters
    ----------
    known : DataFrame
        See `read_lens_values`.
    objects : sequence of str, shape (n_samples,)
        Key of each sample's object.
    labels : ndarray of int64, shape (n_samples,)
        1 lens, 0 none.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_parameters)
        NaN where nothing is known, and for all that is no lens: the files give a magnitude and a redshift of
        galaxies that are none too, but not those of a deflector.
    """
    import pandas as pd  # noqa: PLC0415 - steps that read the other tables alone need not wait for it

    values = known.reindex(pd.Index(objects)).to_numpy(np.float64, copy=True)
    values[labels != 1] = np.nan
    return values
