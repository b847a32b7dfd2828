"""Cutouts from whatever packing takes: folders, lists of files, single files, and every kind added to it."""

import os
import re
from collections.abc import Iterator, Sequence
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
from stronglens.sources.names import FITS_ENDING, NO_BAND

_FITS = re.compile(rf"{FITS_ENDING}\Z", re.IGNORECASE)

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
    path: StrPath | Sequence[StrPath],
    *,
    size_px: int = 41,
    bands: str | Sequence[str] = "grizy",
    non_finite: Literal["reject", "fill"] = "reject",
) -> Cutouts:
    """Read cutouts into memory: what packing gives for a file, a folder, a list, or any other source.

    Parameters
    ----------
    path : path, or sequence of paths
        What a bucket of the config may be, or single FITS files.
    size_px : int
        Side of every cutout, in pixels.
    bands : str or sequence of str
        Bands that names may state, in the order of channels; a source must have some of each. Of single files
        those that their names state are taken.
    non_finite : "reject" or "fill"
        See `stronglens.settings.data.CutoutSettings`.

    Returns
    -------
    Cutouts
        In the order of packing. Objects of which no file can be read are in `rejected` alone.

    Raises
    ------
    InputError
        The source is missing, holds no cutouts, or none that can be read; or two files claim to be the same
        band of an object.

    Examples
    --------
    >>> cutouts = stronglens.read_cutouts("galaxy_0_g.fits")
    >>> cutouts.images.shape, cutouts.bands, cutouts.objects
    ((1, 1, 41, 41), ['g'], ['galaxy_0'])
    """
    several = path if isinstance(path, Sequence) and not isinstance(path, str) else [path]
    with packed_sources(several, bands=list(bands), size_px=size_px, non_finite=non_finite) as (
        folder,
        known,
    ):
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
    n_processes: int = 1,
) -> Iterator[tuple[Path, list[str]]]:
    """Pack sources into a folder that is gone after the block.

    Parameters
    ----------
    paths : sequence of paths
        Sources, or single FITS files.
    bands, size_px, non_finite
        As those of `read_cutouts`.
    n_processes : int
        Processes that read.

    Yields
    ------
    folder : Path
        Of the packed set, in the system's folder for temporary files (`TMPDIR`).
    bands : list of str
        The bands that were looked for.
    """
    files = [os.path.realpath(path) for path in paths if _FITS.search(os.fspath(path))]
    others = [os.fspath(path) for path in paths if not _FITS.search(os.fspath(path))]
    if files and not others:
        stems = [_FITS.sub("", file) for file in files]
        bands = [band for band in bands if any(stem.endswith(f"_{band}") for stem in stems)] or bands
    with TemporaryDirectory(prefix="stronglens-") as scratch:
        if files:
            listed = Path(scratch) / "files.txt"
            listed.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
            others.append(str(listed))
        place: dict[str, Any] = {"path": os.path.abspath(others[0])} if len(others) == 1 else {}  # noqa: PTH100 - keeps links
        if not place:
            place["buckets"] = {f"source_{number}": {"path": path} for number, path in enumerate(others)}
        try:
            settings = PackSettings(
                dataset="sources",
                bands=bands,
                size_px=size_px,
                non_finite=non_finite,
                max_rejected=1,
                **place,
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        folder = Path(scratch) / "packed"
        try:
            build_buckets(settings, folder, n_processes=n_processes)
        except InputError as error:
            # Here no config says which bands there are.
            raise InputError(str(error).replace("data.bands", "bands")) from error
        yield folder, bands


def read_rejected(folder: Path) -> pd.DataFrame:
    """The files of a packed set that gave no cutout: path, object, reason."""
    table: pd.DataFrame = read_table(
        folder / REJECTED, dict.fromkeys(("path", "object", "reason"), TEXT)
    ).to_pandas()
    return table
