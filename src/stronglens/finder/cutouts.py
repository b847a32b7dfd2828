"""Cutouts from whatever packing takes: folders, lists of files, single files, and every kind added to it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from stronglens.formats.packed import REJECTED, open_packed
from stronglens.formats.tables import TEXT, read_table
from stronglens.packing.pack import build_buckets
from stronglens.running.errors import InputError
from stronglens.settings.data import PackSettings
from stronglens.settings.reading import ReadSettings
from stronglens.sources.catalogue import columns_in
from stronglens.sources.names import FITS_ENDING, NO_BAND, printable

_FITS = re.compile(rf"{FITS_ENDING}\Z", re.IGNORECASE)
_SAID_BY_READING = re.compile(
    r"\b(band_axis|axis_bands|band_keyword|columns|hdu|ignore_pattern|max_depth|name_pattern)\b"
)
"""What messages of packing advise, where they speak to a config."""

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Cutouts:
    """Cutouts as packing reads them.

    Attributes
    ----------
    images : ndarray of float32, shape (n_objects, n_bands, size_px, size_px)
        Axes (object, band, y, x), in counts; a missing band is NaN.
    bands : list of str
        The band of each channel; `single` alone for images of no stated band.
    objects : list of str
        Key of each object.
    index : DataFrame
        A row per cutout: object, band, path and what else packing knows of it.
    rejected : DataFrame
        Every file that gave no cutout: path, object ("" where it is no cutout at all), reason.
    """

    images: npt.NDArray[np.float32]
    bands: list[str]
    objects: list[str]
    index: pd.DataFrame
    rejected: pd.DataFrame


def read_cutouts(
    path: StrPath | Iterable[StrPath],
    *,
    size_px: int = 41,
    bands: str | Sequence[str] = "grizy",
    non_finite: Literal["reject", "fill"] = "reject",
    reading: Mapping[str, Any] | None = None,
) -> Cutouts:
    """Read cutouts into memory: what packing gives for a file, a folder, a list, or any other source.

    Parameters
    ----------
    path : path, or iterable of paths
        What a bucket of the config may be, or single FITS files.
    size_px : int
        Side of every cutout, in pixels.
    bands : str or sequence of str
        Bands that names may state, in the order of channels; a source must have some of each. Of single files
        those that their names state are taken.
    non_finite : "reject" or "fill"
        See `stronglens.settings.data.CutoutSettings`.
    reading : mapping, optional
        How sources are read where they are not like the challenge's, in the words of the config's block
        `data`, such as `{"band_axis": 0}` or `{"name_pattern": "hsc", "fit": "crop"}`: see
        `stronglens.settings.reading.ReadSettings`.

    Returns
    -------
    Cutouts
        In the order of packing. Objects of which no file can be read are in `rejected` alone.

    Raises
    ------
    InputError
        The source is missing, holds no cutouts, or none that can be read; or two files claim to be the same
        band of an object; or there are no such settings of reading.

    Examples
    --------
    >>> cutouts = stronglens.read_cutouts("galaxy_0_g.fits")
    >>> cutouts.images.shape, cutouts.bands, cutouts.objects
    ((1, 1, 41, 41), ['g'], ['galaxy_0'])
    """
    several = [path] if isinstance(path, str | os.PathLike) else list(path)
    with packed_sources(
        several, bands=list(bands), size_px=size_px, non_finite=non_finite, reading=_checked(reading)
    ) as (folder, known):
        packed = open_packed(folder, check=False)
        found = packed.index["band"].to_numpy(dtype=object)
        channels = [NO_BAND] if (found == NO_BAND).any() else known
        numbers = packed.object_numbers
        n_objects = int(numbers[-1]) + 1 if len(numbers) else 0
        images = np.full((n_objects, len(channels), size_px, size_px), np.nan, dtype=np.float32)
        images[numbers, [channels.index(band) for band in found]] = packed.cutouts
        objects = packed.index["object"].drop_duplicates().tolist()
        return Cutouts(images, channels, objects, packed.index, read_rejected(folder))


@contextmanager
def packed_sources(
    paths: Sequence[StrPath],
    *,
    bands: list[str],
    size_px: int,
    non_finite: Literal["reject", "fill"],
    reading: ReadSettings | None = None,
    n_processes: int = 1,
) -> Iterator[tuple[Path, list[str]]]:
    """Pack sources into a folder that is gone after the block.

    Parameters
    ----------
    paths : sequence of paths
        Sources, or single FITS files.
    bands, size_px, non_finite
        As those of `read_cutouts`.
    reading : ReadSettings, optional
        How all of them are read.
    n_processes : int
        Processes that read.

    Yields
    ------
    folder : Path
        Of the packed set, in the system's folder for temporary files (`TMPDIR`).
    bands : list of str
        The bands that were looked for.
    """
    if not paths:
        raise InputError("paths: expected sources of cutouts, found none")
    reading = reading or ReadSettings()
    files, others = [], []
    for path in [os.fspath(path) for path in paths]:
        single = _FITS.search(path) and not os.path.isdir(path) and not _names_files(path, reading)  # noqa: PTH112
        if single:
            files.append(_listed(path))
        else:
            others.append(path)
    if files and not others and not reading.band_is_elsewhere:
        stems = [_FITS.sub("", file) for file in files]
        bands = [band for band in bands if any(stem.endswith(f"_{band}") for stem in stems)] or bands
    with TemporaryDirectory(prefix="stronglens-") as scratch:
        if files:
            listed = Path(scratch) / "files.txt"
            listed.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
            others.append(str(listed))
        source: dict[str, Any] = {"path": os.path.abspath(others[0])} if len(others) == 1 else {}  # noqa: PTH100 - keeps links
        if not source:
            source["buckets"] = {f"source_{number}": {"path": path} for number, path in enumerate(others)}
        try:
            settings = PackSettings(
                dataset="sources",
                bands=bands,
                size_px=size_px,
                non_finite=non_finite,
                max_rejected=1,
                **source,
                **reading.reading,
            )
        except ValidationError as error:
            raise InputError(_first_of(error)) from error
        folder = Path(scratch) / "packed"
        try:
            build_buckets(settings, folder, n_processes=n_processes)
        except InputError as error:
            # Here no config says which bands there are, and how sources are read.
            said = str(error).replace("data.bands", "bands")
            if found := _SAID_BY_READING.search(said):
                said += (
                    f" ({found[0]} and the like: in reading={{…}}; on the command line, --reading '{{…}}')"
                )
            raise InputError(said) from error
        yield folder, bands


def _checked(reading: Mapping[str, Any] | None) -> ReadSettings:
    try:
        return ReadSettings.model_validate(dict(reading or {}))
    except ValidationError as error:
        raise InputError(f"reading: {_first_of(error)}") from error


def _first_of(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    return f"{key}: {first['msg']}" if key else str(first["msg"])


def _names_files(path: str, reading: ReadSettings) -> bool:
    """Whether a FITS file is a table of files, or one that `tiles` cut objects by; not an image."""
    if reading.tiles is not None:
        return True
    try:
        with open(path, "rb") as content:  # noqa: PTH123 - quicker than astropy, for thousands of images
            if b"BINTABLE" not in content.read(2**16):
                return False
        return reading.column("path") in columns_in(Path(path))
    except (OSError, InputError):
        return False


def _listed(path: str) -> str:
    """A single file as a line of a list: its name is that of the link, where it is one.

    Raises
    ------
    InputError
        It is missing, or a list cannot hold its name.
    """
    whole = os.path.abspath(path)  # noqa: PTH100 - keeps links
    shown = printable(whole)
    if not os.path.isfile(whole):  # noqa: PTH113
        raise InputError(f"{shown}: expected a FITS file, found none")
    if shown != whole or "\n" in whole:
        raise InputError(f"{shown}: expected a name that can be printed, found another; give its folder")
    return whole


def read_rejected(folder: Path) -> pd.DataFrame:
    """The files of a packed set that gave no cutout: path, object, band, reason."""
    table: pd.DataFrame = read_table(
        folder / REJECTED, dict.fromkeys(("path", "object", "band", "reason"), TEXT)
    ).to_pandas()
    return table
