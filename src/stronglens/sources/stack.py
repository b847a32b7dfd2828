"""Stacks as a source: many images in one array or column of HDF5, .npy, .npz, Zarr or Parquet."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stronglens.running.errors import InputError
from stronglens.settings.reading import Column, ReadSettings
from stronglens.sources.archive import BETWEEN
from stronglens.sources.columns import cells_of, coordinates_of, id_of, label_of, text_of
from stronglens.sources.fits_general import undefine
from stronglens.sources.fits_image import FitsReader, unpacked
from stronglens.sources.names import NameParser, UnknownBand
from stronglens.sources.protocol import Entry, Reading, Request
from stronglens.sources.rejected import Rejected
from stronglens.sources.sky import NOWHERE

ENDINGS = (".h5", ".hdf5", ".npy", ".npz", ".zarr", ".parquet")

_MOST_SHOWN = 50


@dataclass(frozen=True)
class StackSource:
    """A file, or a Zarr folder, with an array of images.

    Attributes
    ----------
    path : Path
        Of the file or folder.
    size_px : int
        Side of a cutout in pixels.
    settings : ReadSettings
        Its `columns`, `hdu` for a data set a band, `band_axis` and `axis_bands`.
    bands : tuple of str
        The configured bands.
    """

    path: Path
    size_px: int
    settings: ReadSettings
    bands: tuple[str, ...]

    def check(self) -> None:
        if not self.path.exists():
            raise InputError(f"{self.path}: expected a stack of images, but it does not exist")

    def entries(self) -> Iterator[Entry]:
        self.check()
        with _opening(self.path):
            stack = open_stack(self.path)
            self._check_arrays(stack)
            self._refuse_other_bands(stack)
            ids = self._column(stack, "id")
            bands = self._column(stack, "band") if self._band_per_row(stack) else None
            if ids is None and bands is not None and len(self.bands) > 1:
                raise InputError(
                    f"{self.path}: expected ids beside the bands of its rows, which say the images of an "
                    f"object, found {', '.join(stack.names())}; for example columns: {{id: NAME}}"
                )
            others = {key: self._column(stack, key) for key in ("label", "domain", "ra", "dec")}
            address = f"{self.path.resolve()}{BETWEEN}"
            n_digits = len(str(max(stack.n_rows(self._image_names[0]) - 1, 0)))
            for row in range(self._n_rows(stack)):
                where = f"{self.path}: row {row}"
                name = f"{self.path.stem}_{row:0{n_digits}d}" if ids is None else id_of(ids[row], where)
                needed: list[tuple[Column, str]] = [
                    ("id", name),
                    ("band", "-" if bands is None else text_of(bands[row])),
                ]
                for key, found in needed:
                    if not found:
                        raise InputError(
                            f"{where}: expected a value in {self.settings.column(key)}, found none"
                        )
                cells = {key: values[row] for key, values in others.items() if values is not None}
                entry = Entry(
                    address + str(row),
                    "",
                    name,
                    "",
                    row,
                    label_of(cells["label"], where) if "label" in cells else -1,
                    text_of(cells.get("domain")),
                    *coordinates_of(cells["ra"], cells["dec"], where)
                    if {"ra", "dec"} <= set(cells)
                    else NOWHERE,
                )
                for band in self._bands_of_row(bands, row):
                    yield entry._replace(band=band)

    def reader(self) -> "StackReader":
        return StackReader(self)

    @property
    def _image_names(self) -> list[str]:
        hdu = self.settings.hdu
        return (
            [str(name) for name in hdu.values()] if isinstance(hdu, dict) else [self.settings.column("image")]
        )

    def image_name(self, band: str) -> str:
        """The data set or column with the images of a band."""
        hdu = self.settings.hdu
        return str(hdu[band]) if isinstance(hdu, dict) else self.settings.column("image")

    def _check_arrays(self, stack: "_Stack") -> None:
        for name in self._image_names:
            if name not in stack.names():
                raise InputError(
                    f"{self.path}: expected images in {name}, found "
                    f"{', '.join(stack.names()[:_MOST_SHOWN]) or 'nothing'}; for example "
                    f"columns: {{image: {_likely_image(stack)}}}, one array for all objects"
                )
            if n_missing := stack.n_missing_parts(name, self.settings.band_axis):
                raise InputError(
                    f"{self.path}: {name}: expected all chunks of images that are cut into several, found "
                    f"{n_missing} missing: lost, or left out since all of their pixels have the fill value; "
                    "write it with chunks of whole images, or with write_empty_chunks"
                )
        for key, name in (self.settings.columns or {}).items():
            if name not in stack.names():
                raise InputError(
                    f"{self.path}: columns: expected {key} in {name}, found {', '.join(stack.names())}"
                )

    def _refuse_other_bands(self, stack: "_Stack") -> None:
        """Refuse images whose bands, by the column `band`, are not those along `band_axis` in their order."""
        expected, name = self.settings.axis_bands, self.settings.column("band")
        if self.settings.band_axis is None or expected is None or name not in stack.names():
            return
        parser, right = NameParser(expected), set()
        values = stack.values(name)
        is_of_all = len(values) == len(expected) and not isinstance(values[0], list)
        for row, found in enumerate([values] if is_of_all else values):
            bands = tuple(map(text_of, found)) if isinstance(found, list) else ()
            if bands in right or (not bands and "band" not in (self.settings.columns or {})):
                continue
            if len(bands) != len(expected) or not all(map(_means(parser), bands, expected)):
                raise InputError(
                    f"{self.path}: {name}: expected {', '.join(expected)} along band_axis, found "
                    f"{', '.join(bands) or text_of(found)} in row {row}; write axis_bands in this order, the "
                    "same for all rows"
                )
            right.add(bands)

    def is_one_image(self, stack: "_Stack", name: str) -> bool:
        """Whether an array is one image with a band axis, not many."""
        return self.settings.band_axis is not None and stack.n_dimensions(name) == 3

    def _n_rows(self, stack: "_Stack") -> int:
        n_rows = {1 if self.is_one_image(stack, name) else stack.n_rows(name) for name in self._image_names}
        if len(n_rows) > 1:
            raise InputError(f"{self.path}: expected as many images in each band, found {sorted(n_rows)}")
        return n_rows.pop()

    def _band_per_row(self, stack: "_Stack") -> bool:
        return not self.settings.band_is_elsewhere and self.settings.column("band") in stack.names()

    def _bands_of_row(self, bands: Any, row: int) -> Sequence[str]:
        if bands is not None:
            return [text_of(bands[row])]
        if isinstance(self.settings.hdu, dict):
            return list(self.settings.hdu)
        if self.settings.band_axis is not None:
            return [band for band in self.settings.axis_bands or () if band in self.bands]
        if len(self.bands) > 1:
            raise InputError(
                f"{self.path}: expected the bands of the images ({', '.join(self.bands)}), found none; give "
                "band_axis for images of several bands, columns: {band: NAME} for a band a row, or hdu: "
                f"{{{self.bands[0]}: NAME, …}} for a data set a band"
            )
        return self.bands

    def _column(self, stack: "_Stack", key: Column) -> Any:
        name = self.settings.column(key)
        if name not in stack.names():
            return None
        values = stack.values(name)
        n_rows = self._n_rows(stack)
        if len(values) != n_rows:
            raise InputError(
                f"{self.path}: {name}: expected {n_rows} values, one an image, found {len(values)}"
            )
        if any(isinstance(value, list | dict) for value in values):  # shape (n, 1), as some write columns
            if any(not isinstance(value, list) or len(value) != 1 for value in values):
                raise InputError(f"{self.path}: {name}: expected one value an image, found several or none")
            return [value[0] for value in values]
        return values


class StackReader:
    """Reads images of a stack."""

    def __init__(self, source: StackSource) -> None:
        self._source = source
        self._fits = FitsReader(source.size_px, source.settings)

    @cached_property
    def _stack(self) -> "_Stack":
        return open_stack(self._source.path)

    def read_block(self, requests: Sequence[Request]) -> Iterator[Reading | Rejected]:
        for request in requests:
            try:
                yield self._read(request)
            except Rejected as why:
                yield why
            except (OSError, ValueError, TypeError, IndexError, KeyError) as error:
                yield Rejected("unreadable", f"{type(error).__name__}: {error}".splitlines()[0][:200])

    def _read(self, request: Request) -> Reading:
        source, settings = self._source, self._source.settings
        name = source.image_name(request.band)
        whole = source.is_one_image(self._stack, name)
        stored = self._stack.image(name, None if whole else request.position)
        if isinstance(stored, bytes):  # a FITS file in a cell
            return self._fits.read(unpacked(stored), request.band)
        stored = np.asarray(stored)
        if stored.dtype.kind not in "iuf":
            raise Rejected("no image", f"values of type {stored.dtype}")
        image = self._one_band(stored, request.band)
        if image.ndim != 2:
            found = " x ".join(map(str, image.shape))
            raise Rejected("wrong shape", f"expected an image of two dimensions, found {found}")
        pixels = _physical(image, self._stack.attributes(name), name)
        mask_name = settings.column("mask")
        if mask_name in self._stack.names():
            mask = self._one_band(
                np.asarray(self._stack.image(mask_name, None if whole else request.position)), request.band
            )
            undefine(pixels, mask, settings)
        zero_point = settings.zero_point
        return Reading(
            pixels,
            unit=settings.unit or "",
            zero_point=zero_point if isinstance(zero_point, int | float) else math.nan,
        )

    def _one_band(self, image: npt.NDArray[Any], band: str) -> npt.NDArray[Any]:
        axis, bands = self._source.settings.band_axis, self._source.settings.axis_bands
        if axis is None or bands is None:
            return image
        if image.ndim != 3 or image.shape[axis] != len(bands):
            found = " x ".join(map(str, image.shape))
            hint = "; axis_bands lists all of them, in their order" if image.ndim == 3 else ""
            raise Rejected(
                "wrong shape", f"expected {len(bands)} bands along axis {axis}, found {found}{hint}"
            )
        return np.take(image, [bands.index(band)], axis).squeeze(axis)


def _means(parser: NameParser) -> Callable[[str, str], bool]:
    """Whether a text means a band."""

    def means(text: str, band: str) -> bool:
        try:
            return parser.band_named(text) == band
        except UnknownBand:
            return False

    return means


def _likely_image(stack: "_Stack") -> str:
    """Which array of a stack the images may be in, for a message."""
    names = stack.names()
    likely = [name for name in names if any(word in name.lower() for word in ("image", "flux", "cutout"))]
    return next(
        (name for name in likely if stack.n_dimensions(name) > 2), next(iter(likely or names), "NAME")
    )


_SCALES, _ZEROS = ("scale_factor", "BSCALE"), ("add_offset", "BZERO")
_UNDEFINED = ("_FillValue", "missing_value", "BLANK")


def _physical(image: npt.NDArray[Any], attributes: Mapping[str, Any], name: str) -> npt.NDArray[np.float64]:
    """Values of pixels, NaN where undefined, by the attributes that the array has, if it has any.

    Source: CF Conventions 1.11, sections 2.5.1 and 8.1; of the same meaning in FITS BSCALE, BZERO and BLANK.

    Raises
    ------
    Rejected
        There is a scale for floats, which may have been applied already, or what is stated is no number.
    """
    stated = {key: attributes[key] for key in (*_SCALES, *_ZEROS, *_UNDEFINED) if key in attributes}
    pixels = image.astype(np.float64)
    if not stated:
        return pixels
    try:
        numbers = {key: float(np.asarray(value).reshape(-1)[0]) for key, value in stated.items()}
    except (TypeError, ValueError, IndexError) as error:
        raise Rejected("inconsistent header", f"attributes of {name} that are no numbers") from error
    scale = next((numbers[key] for key in _SCALES if key in numbers), 1.0)
    zero = next((numbers[key] for key in _ZEROS if key in numbers), 0.0)
    undefined = np.isin(pixels, [numbers[key] for key in _UNDEFINED if key in numbers])
    if (scale, zero) != (1, 0):
        if image.dtype.kind == "f":
            raise Rejected(
                "inconsistent header",
                f"floats in {name} with a scale of {scale:g} and an offset of {zero:g}, which may have been "
                "applied: do so, and remove these attributes",
            )
        pixels = pixels * scale + zero
    pixels[undefined] = np.nan
    return pixels


class _Stack:
    """Arrays by name; the first axis counts rows."""

    def __init__(self, arrays: Any) -> None:
        self._arrays = arrays

    def names(self) -> list[str]:
        return list(self._arrays.keys())

    def n_rows(self, name: str) -> int:
        return int(self._arrays[name].shape[0])

    def n_dimensions(self, name: str) -> int:
        return len(self._arrays[name].shape)

    def attributes(self, name: str) -> Mapping[str, Any]:
        """What the file says of an array."""
        return dict(getattr(self._arrays[name], "attrs", {}))

    def n_missing_parts(self, name: str, band_axis: int | None) -> int:
        """Parts of images that are not there, by what the file says, without reading any."""
        return 0

    def values(self, name: str) -> Any:
        """All values of a small column."""
        return cells_of(np.asarray(self._arrays[name][:]))

    def image(self, name: str, row: int | None) -> Any:
        """An image, or an array that is one."""
        return self._arrays[name][...] if row is None else self._arrays[name][row]


class _Zarr(_Stack):
    """Arrays of a Zarr folder. A chunk that is missing there reads as the fill value.

    Where that is a whole image, it is found to be constant; where it is a part of one, nobody would see it.
    """

    def n_missing_parts(self, name: str, band_axis: int | None) -> int:
        array = self._arrays[name]
        axes = list(range(array.ndim))
        if band_axis is None or array.ndim != 3:
            del axes[0]  # of objects
        if band_axis is not None and len(axes) == 3:
            del axes[band_axis]
        if all(array.chunks[axis] >= array.shape[axis] for axis in axes):
            return 0
        return int(array.nchunks - array.nchunks_initialized)


class _Npz(_Stack):
    """Arrays of an .npz file, each of which is read as a whole, once."""

    def __init__(self, path: Path) -> None:
        super().__init__({})
        self._path = path
        with np.load(path, allow_pickle=False) as file:
            self._names = list(file.files)
        self._read: dict[str, Any] = {}

    def names(self) -> list[str]:
        return self._names

    def _array(self, name: str) -> Any:
        if name not in self._read:
            with np.load(self._path, allow_pickle=False) as file:
                self._read[name] = file[name]
        return self._read[name]

    def attributes(self, name: str) -> Mapping[str, Any]:
        return {}

    def n_rows(self, name: str) -> int:
        return len(self._array(name))

    def n_dimensions(self, name: str) -> int:
        return int(self._array(name).ndim)

    def values(self, name: str) -> Any:
        return cells_of(self._array(name))

    def image(self, name: str, row: int | None) -> Any:
        array = self._array(name)
        return array if row is None else array[row]


class _ParquetColumns(_Stack):
    """Columns of a Parquet file, of which a group of rows at a time is read.

    An image is a list of rows, each a list of pixels; or the bytes of a FITS file, by themselves or as
    `bytes` in a structure, as Hugging Face data sets have them. Names with a dot are fields of structures.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet  # noqa: PLC0415 - takes long to load

        super().__init__({})
        self._file = parquet.ParquetFile(path)
        sizes = [self._file.metadata.row_group(n).num_rows for n in range(self._file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._group: tuple[str, int, Any] = "", -1, None

    def names(self) -> list[str]:
        schema = self._file.schema_arrow
        inner = [
            f"{field.name}.{field.type.field(n).name}"
            for field in schema
            if str(field.type).startswith("struct")
            for n in range(field.type.num_fields)
        ]
        return [*schema.names, *inner]

    def attributes(self, name: str) -> Mapping[str, Any]:
        return {}

    def n_rows(self, _: str) -> int:
        return int(self._file.metadata.num_rows)

    def n_dimensions(self, name: str) -> int:
        return 1 + np.ndim(self.image(name, 0)) if self.n_rows(name) else 0

    def _column(self, table: Any, name: str) -> Any:
        outer, _, inner = name.partition(".")
        column = table[outer].combine_chunks()
        return column.field(inner) if inner else column

    def values(self, name: str) -> Any:
        return cells_of(self._column(self._file.read(columns=[name]), name))

    def image(self, name: str, row: int | None) -> Any:
        if row is None:
            raise Rejected("no image", "a Parquet file has one image a row")
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if self._group[:2] != (name, group):
            table = self._file.read_row_group(group, columns=[name])
            self._group = name, group, self._column(table, name)
        value = self._group[2][row - int(self._starts[group])].as_py()
        if isinstance(value, dict) and "bytes" in value:
            value = value["bytes"]
        if value is None:
            raise Rejected("no image", "an empty cell")
        return value if isinstance(value, bytes) else np.array(value)


def open_stack(path: Path) -> _Stack:
    """Open a stack; nothing in it is executed.

    Raises
    ------
    InputError
        It needs a package that is not installed.
    """
    ending = path.suffix.lower()
    if ending == ".npy":
        return _Stack({"image": np.load(path, mmap_mode="r", allow_pickle=False)})
    if ending == ".npz":
        return _Npz(path)
    if ending == ".parquet":
        return _ParquetColumns(path)
    if ending == ".zarr":
        return _Zarr(_zarr_arrays(_package("zarr", path), path))
    h5py = _package("h5py", path)
    arrays: dict[str, Any] = {}
    h5py.File(path, "r").visititems(
        lambda name, item: arrays.update({name: item} if isinstance(item, h5py.Dataset) else {})
    )
    return _Stack(arrays)


def _zarr_arrays(zarr: Any, path: Path) -> dict[str, Any]:
    """The arrays of a folder, those in its groups by their paths; one array alone is the image."""
    whole = zarr.open(path, mode="r")
    if isinstance(whole, zarr.Array):
        return {"image": whole}
    members = whole.members(max_depth=None)
    return {name: member for name, member in members if isinstance(member, zarr.Array)}


def _package(name: str, path: Path) -> Any:
    """A package that few need."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{path}: expected {name} to be installed; pip install {name}") from error


class _opening:  # noqa: N801 - a context manager, used as a function
    """Let errors of a reader say which file is no stack."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, ValueError) and "allow_pickle" in str(error):
            raise InputError(
                f"{self._path}: expected arrays of numbers and texts, found none, or Python objects, which "
                "are not read, since to read them runs what is in them; save with np.array(ids, dtype=str) "
                "and np.array(images, dtype=np.float32)"
            ) from error
        if isinstance(error, OSError | ValueError | KeyError | TypeError | EOFError):
            raise InputError(f"{self._path}: expected a stack of images, found: {error}") from error
        if isinstance(error, Rejected):
            raise InputError(f"{self._path}: expected a stack of images, found: {error}") from error
