"""A table of probabilities for the objects in sources of cutouts."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from stronglens.finder.cutouts import StrPath, packed_sources, read_rejected
from stronglens.finder.finder import Finder
from stronglens.finder.pixels import Pixels
from stronglens.finder.result import Flag
from stronglens.formats.artefact import write_aside
from stronglens.formats.packed import open_pieces
from stronglens.running.errors import InputError
from stronglens.settings.reading import ReadSettings

_FROM_INDEX = ("object", "path", "ra", "dec")
"""Columns of the index that are of an object, as far as it has them."""


def score_sources(
    finder: Finder,
    paths: Sequence[StrPath],
    *,
    bands: str | Sequence[str] | None = None,
    domain: str = "unknown",
    reading: ReadSettings | None = None,
    batch_size: int | None = None,
    n_processes: int = 1,
) -> pd.DataFrame:
    """Give the probability of every object in some sources.

    They are packed first, to the folder for temporary files, and predicted piece by piece: in memory is no
    more than a piece, and the table.

    Parameters
    ----------
    finder : Finder
        What predicts.
    paths : sequence of paths
        Sources, or single FITS files.
    bands : str or sequence of str, optional
        The bands that the sources have; the capsule's if not given.
    domain : str
        Of all objects.
    reading : ReadSettings, optional
        How all sources are read.
    batch_size : int, optional
        Samples at once.
    n_processes : int
        Processes that read.

    Returns
    -------
    DataFrame
        object, path (of its first cutout), ra and dec where the sources state them, and the columns of
        `stronglens.finder.result.Result.table`. Objects of which no file can be read come last, without a
        probability.

    Raises
    ------
    InputError
        As `stronglens.finder.cutouts.read_cutouts`; or a band is not one of the capsule's.
    """
    wanted = finder.bands if bands is None else list(bands)
    unknown = [band for band in wanted if band not in finder.bands]
    if unknown:
        raise InputError(f"bands: expected some of {', '.join(finder.bands)}, found {', '.join(unknown)}")
    in_order = [band for band in finder.bands if band in wanted]
    manifest = finder.manifest
    tables = []
    with packed_sources(
        paths,
        bands=in_order,
        size_px=manifest.size_px,
        non_finite=manifest.non_finite,
        reading=reading,
        n_processes=n_processes,
    ) as (folder, _):
        rejected = read_rejected(folder)
        with_rejects = set(rejected["object"]) - {""}
        for piece in open_pieces(folder).pieces():
            index = piece.index
            first = index.drop_duplicates("object")
            flags = first["object"].isin(with_rejects).to_numpy() * int(Flag.REJECTED)
            pixels = Pixels(
                piece.cutouts,
                piece.object_numbers,
                index["band"].to_numpy(dtype=object),
                np.full(len(index), domain, dtype=object),
                flags.astype(np.int64),
            )
            result = finder.predict_pixels(pixels, batch_size=batch_size)
            known = first[[name for name in _FROM_INDEX if name in first]].reset_index(drop=True)
            tables.append(pd.concat([known, result.table()], axis=1))
            with_rejects -= set(first["object"])
    if with_rejects:
        tables.append(_unreadable(rejected[rejected["object"].isin(with_rejects)], finder))
    return pd.concat(tables, ignore_index=True)


def _unreadable(rejected: pd.DataFrame, finder: Finder) -> pd.DataFrame:
    first = rejected.drop_duplicates("object").sort_values("object")[["object", "path"]]
    size = finder.size_px
    nothing = finder.predict(np.full((len(first), len(finder.bands), size, size), np.nan, dtype=np.float32))
    table = nothing.table()
    table["flags"] |= int(Flag.REJECTED)
    return pd.concat([first.reset_index(drop=True), table], axis=1)


def check_table_name(path: Path, sources: Sequence[Path]) -> None:
    """Refuse a table that cannot be written, or that would replace a source, before anything is computed."""
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(f"--out {path}: expected a name that ends in .parquet or .csv")
    if path.resolve() in [source.resolve() for source in sources]:
        raise InputError(f"--out {path}: expected another file than the sources, found one of them")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        found = f"{above}, which is none or cannot be written to" if not path.is_dir() else "a folder"
        raise InputError(f"--out {path}: expected a file in a folder that can be written to, found {found}")


def write_scores(path: Path, scores: pd.DataFrame, finder: Finder) -> None:
    """Write the table as Parquet, with the ensemble and t* in its metadata, or as CSV."""
    with write_aside(path) as aside:
        if path.suffix == ".csv":
            scores.to_csv(aside, index=False)
            return
        table = pa.Table.from_pandas(scores, preserve_index=False)
        manifest = finder.manifest
        said = {"stronglens.ensemble": manifest.name, "stronglens.threshold": repr(manifest.threshold)}
        parquet.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **said}), aside)
