"""A look at a packed data set: how many of what, what was bad, how bright and how noisy."""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stronglens.formats.artefact import check_stated
from stronglens.formats.inspection_files import (
    HISTOGRAMS,
    INSPECTION,
    ContactSheet,
    Histogram,
    Histograms,
    InspectionSummary,
    write_sheet,
)
from stronglens.formats.packed import REJECTED, SUMMARY, PackedSet, open_packed
from stronglens.formats.split_table import open_splits
from stronglens.inspecting.cutout_statistics import frame_noise

log = logging.getLogger(__name__)

N_BINS = 120


def inspect_data(
    packed_folder: Path,
    out_dir: Path,
    *,
    splits_folder: Path | None = None,
    n_cutouts: int = 5000,
    n_objects: int = 6,
) -> None:
    """Describe a packed data set in numbers.

    Writes `summary.json`, and for `stronglens.inspecting.inspection_plots` the cutouts of a contact sheet and
    histograms of pixel values (see `stronglens.formats.inspection_files`).

    Parameters
    ----------
    packed_folder : Path
        Folder that `build_buckets` wrote.
    out_dir : Path
        Folder for the files.
    splits_folder : Path, optional
        Folder that `split_objects` wrote; its counts are given too.
    n_cutouts : int
        Cutouts of each bucket and band from which pixel values are taken, evenly spaced.
    n_objects : int
        Objects of each bucket in the contact sheet, evenly spaced.

    Raises
    ------
    InputError
        A file is missing, or not what the JSON beside it describes.
    """
    packed = open_packed(packed_folder)
    described = packed.summary.model_dump(mode="json")
    chosen = choose_cutouts(packed, n_cutouts)
    pixels = {
        bucket: {band: describe_pixels(packed.cutouts[rows]) for band, rows in bands.items()}
        for bucket, bands in chosen.items()
    }
    repeated = ("dataset", "labelled", "size_px", "bands", "n_files", "n_cutouts", "n_objects", "n_rejected")
    oddities = ("counts", "leftovers", "missing_bands", "n_objects_incomplete", "unreadable_objects")
    shared = ("shared_header_ids", "identical_cutouts")
    InspectionSummary.model_validate(
        {
            **{key: described[key] for key in (*repeated, *oddities, *shared)},
            "cutouts": _count_cutouts(packed),
            "bad_files": _bad_files(packed),
            "splits": None
            if splits_folder is None
            else open_splits(splits_folder, packed).description.counts.model_dump(mode="json"),
            "pixels": pixels,
        }
    ).write(out_dir / INSPECTION)
    write_sheet(out_dir, choose_sheet(packed, n_objects))
    count_pixels(packed, chosen).write(out_dir / HISTOGRAMS)
    for bucket, bands in pixels.items():
        for band, values in bands.items():
            log.info(
                "%s %s: %s", bucket, band, ", ".join(f"{key} {value:.5g}" for key, value in values.items())
            )


def bucket_names(packed: PackedSet) -> pd.Series:
    """Bucket of each cutout; the name of the data set where buckets are unknown."""
    return packed.index["bucket"].replace("", packed.summary.dataset)


def choose_cutouts(
    packed: PackedSet, n_most: int, chosen: npt.NDArray[np.bool_] | None = None
) -> dict[str, dict[str, npt.NDArray[np.int64]]]:
    """Rows of at most `n_most` cutouts of each bucket and band, evenly spaced, in the order of the index.

    Only from the rows that `chosen`, of shape (n_rows,), marks, if it is given.
    """
    rows: dict[str, dict[str, npt.NDArray[np.int64]]] = {}
    numbers = pd.Series(np.arange(len(packed.index)))
    if chosen is not None:
        numbers = numbers[chosen]
    for (bucket, band), inside in numbers.groupby([bucket_names(packed), packed.index["band"]], sort=False):
        spaced = np.linspace(0, len(inside) - 1, min(n_most, len(inside))).astype(np.int64)
        rows.setdefault(str(bucket), {})[str(band)] = inside.to_numpy()[spaced]
    return rows


def describe_pixels(cutouts: npt.NDArray[np.float32]) -> dict[str, float]:
    """Describe pixel values.

    Parameters
    ----------
    cutouts : ndarray of float32, shape (n_cutouts, size_px, size_px)
        Axes (cutout, y, x), in counts; at least one.

    Returns
    -------
    dict
        n_cutouts; mean, std, min, max and median of all pixels; noise, the median over cutouts of
        `stronglens.inspecting.cutout_statistics.frame_noise`. All in counts.
    """
    values = cutouts.astype(np.float64)
    return {
        "n_cutouts": len(cutouts),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
        "median": float(np.median(values)),
        "noise": float(np.median(frame_noise(cutouts))),
    }


def choose_sheet(packed: PackedSet, n_objects: int) -> ContactSheet:
    """Choose at most `n_objects` objects of each bucket, evenly spaced, and take all of their cutouts."""
    index = packed.index
    objects: dict[str, list[str]] = {}
    rows = [np.empty(0, dtype=np.int64)]
    for bucket in index["bucket"].unique().tolist() or [""]:
        inside = np.flatnonzero(index["bucket"] == bucket)
        names = index["object"].iloc[inside].unique()
        spaced = np.linspace(0, len(names) - 1, min(n_objects, len(names))).astype(int)
        objects[bucket] = names[spaced].tolist()
        rows.append(inside[index["object"].iloc[inside].isin(objects[bucket])])
    chosen = np.concatenate(rows)
    return ContactSheet(
        packed.summary.dataset,
        len(index),
        index["object"].nunique(),
        n_objects,
        index["band"].unique().tolist() or [""],
        objects,
        list(index.iloc[chosen][["object", "band"]].itertuples(index=False, name=None)),
        packed.cutouts[chosen],
    )


def count_pixels(packed: PackedSet, chosen: Mapping[str, Mapping[str, npt.NDArray[np.int64]]]) -> Histograms:
    """Count how often each pixel value occurs.

    Parameters
    ----------
    packed : PackedSet
        The data set.
    chosen : mapping
        Rows of the cutouts to take, by bucket and band; see `choose_cutouts`.
    """
    extremes = [
        value
        for bands in chosen.values()
        for rows in bands.values()
        for value in (packed.cutouts[rows].min(), packed.cutouts[rows].max())
    ]
    low, high = min(extremes, default=-1.0), max(extremes, default=1.0)
    noise = [frame_noise(packed.cutouts[rows]) for bands in chosen.values() for rows in bands.values()]
    noisy = np.concatenate([of_band[of_band > 0] for of_band in noise]) if noise else np.empty(0)
    # Bins of one width up to the usual noise, and logarithmic ones beyond.
    linear = float(np.median(noisy) if len(noisy) else (high - low) / N_BINS)
    # asinh, too, is linear near 0 and logarithmic far away: bins of about one width on the axis.
    low, high = (float(np.arcsinh(end / linear)) for end in (low, high))
    edges = linear * np.sinh(np.linspace(low, high, N_BINS + 1))
    return Histograms(
        linear_counts=linear,
        edges=edges.tolist(),
        histograms=[
            Histogram(
                bucket=bucket,
                band=band,
                n_cutouts=len(rows),
                counts=np.histogram(packed.cutouts[rows], bins=edges)[0].tolist(),
            )
            for bucket, bands in chosen.items()
            for band, rows in bands.items()
        ],
    )


def _count_cutouts(packed: PackedSet) -> dict[str, dict[str, int]]:
    table = pd.crosstab(bucket_names(packed), packed.index["band"])
    return {
        str(bucket): {str(band): int(n) for band, n in row.items() if n} for bucket, row in table.iterrows()
    }


def _bad_files(packed: PackedSet) -> list[dict[str, Any]]:
    path = packed.folder / REJECTED
    check_stated(path, packed.summary.sha256, packed.folder / SUMMARY)
    with path.open(encoding="utf-8", newline="") as text:
        return [row for row in csv.DictReader(text) if row["object"]]
