"""What is drawn of a packed data set, as it lies in files: some of its cutouts, histograms of its pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stronglens.formats.artefact import check_sha256, read_json, sha256_of, write_aside, write_json
from stronglens.running.errors import InputError

SHEET, SHEET_CUTOUTS, HISTOGRAMS = "contact_sheet.json", "contact_sheet.npy", "histograms.json"
"""Names of the files."""


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
    places : sequence of tuple of str
        Object and band of each cutout.
    cutouts : ndarray of float32, shape (n_places, size_px, size_px)
        Axes (cutout, y, x), in counts; in the order of `places`.
    """

    dataset: str
    n_cutouts: int
    n_objects: int
    n_most: int
    bands: Sequence[str]
    objects: Mapping[str, Sequence[str]]
    places: Sequence[tuple[str, str]]
    cutouts: npt.NDArray[np.float32]


_PLAIN = ("dataset", "n_cutouts", "n_objects", "n_most", "bands")
"""Attributes of a sheet that stand in JSON as they are."""


@dataclass(frozen=True)
class Histogram:
    """How often pixel values occur in one band of a bucket.

    Attributes
    ----------
    bucket, band : str
        Which.
    n_cutouts : int
        Cutouts whose pixels are counted.
    counts : sequence of int, of n_bins elements
        Pixels in each bin.
    """

    bucket: str
    band: str
    n_cutouts: int
    counts: Sequence[int]


@dataclass(frozen=True)
class Histograms:
    """Histograms of pixel values with the same bins.

    Attributes
    ----------
    linear_counts : float
        Up to this, in counts, bins are of one width; beyond, their width grows with the value.
    edges : sequence of float, of n_bins + 1 elements
        Of the bins, ascending, in counts.
    histograms : sequence of Histogram
        Bands of a bucket one after the other.
    """

    linear_counts: float
    edges: Sequence[float]
    histograms: Sequence[Histogram]


def write_sheet(folder: Path, sheet: ContactSheet) -> None:
    """Write `SHEET_CUTOUTS`, and `SHEET`, which says what they are and states their SHA-256."""
    with write_aside(folder / SHEET_CUTOUTS) as aside:
        np.save(aside, sheet.cutouts, allow_pickle=False)
    write_json(
        folder / SHEET,
        {
            "format": 1,
            **{name: getattr(sheet, name) for name in _PLAIN},
            # A list, since keys are sorted.
            "buckets": [
                {"bucket": bucket, "objects": list(objects)} for bucket, objects in sheet.objects.items()
            ],
            "places": [list(place) for place in sheet.places],
            "sha256": {SHEET_CUTOUTS: sha256_of(folder / SHEET_CUTOUTS)},
        },
    )


def read_sheet(folder: Path) -> ContactSheet:
    """Read what `write_sheet` wrote.

    Raises
    ------
    InputError
        A file is missing or malformed, or the cutouts are not those that the JSON file describes.
    """
    described = _read(folder / SHEET, {*_PLAIN, "buckets", "places", "sha256"})
    check_sha256(folder / SHEET_CUTOUTS, described["sha256"][SHEET_CUTOUTS], folder / SHEET)
    return ContactSheet(
        **{name: described[name] for name in _PLAIN},
        objects={one["bucket"]: one["objects"] for one in described["buckets"]},
        places=[(name, band) for name, band in described["places"]],
        cutouts=np.load(folder / SHEET_CUTOUTS, allow_pickle=False),
    )


def write_histograms(folder: Path, histograms: Histograms) -> None:
    """Write `HISTOGRAMS`: the attributes under their names, and the number of the format."""
    write_json(folder / HISTOGRAMS, {"format": 1, **asdict(histograms)})


def read_histograms(folder: Path) -> Histograms:
    """Read what `write_histograms` wrote.

    Raises
    ------
    InputError
        The file is missing or malformed.
    """
    described = _read(folder / HISTOGRAMS, {"linear_counts", "edges", "histograms"})
    return Histograms(
        described["linear_counts"],
        described["edges"],
        [Histogram(**one) for one in described["histograms"]],
    )


def _read(path: Path, keys: set[str]) -> dict[str, Any]:
    described = read_json(path)
    missing = sorted(keys - set(described))
    if missing:
        raise InputError(f"{path}: expected what inspect_data writes, found no {', '.join(missing)}")
    return described
