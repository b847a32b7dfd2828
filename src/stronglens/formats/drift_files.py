"""What is compared between a blind set and the training set, in files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet
from pydantic import Field

from stronglens.formats.artefact import check_stated, sha256_of, write_aside
from stronglens.formats.sidecar import Part, Sidecar

DRIFT = "drift.json"
"""Name of the JSON file."""

VALUES = "drift_values.parquet"
"""Beside the JSON file: a row for each set of values, in the order of the comparisons; its columns are
statistic, band ("" for probabilities), bucket (of the training set; "" for the blind set) and values, a list
of 64-bit floats in the unit of the statistic.
"""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """One number, in one band, of the blind set and of each bucket of the training set.

    Attributes
    ----------
    statistic, band : str
        Which; the band is "" for probabilities.
    blind : ndarray of float64, shape (n_blind,)
        Of the blind set.
    training : mapping of str to ndarray of float64
        Of each bucket.
    distance, limit : float
        See `stronglens.comparing.drift.distance_outside`; beyond the limit it is drift.
    """

    statistic: str
    band: str
    blind: Values
    training: Mapping[str, Values]
    distance: float
    limit: float

    @property
    def drifts(self) -> bool:
        """Whether the two differ enough to matter."""
        return self.distance > self.limit

    @property
    def in_short(self) -> "Comparison":
        """What the JSON file says of it."""
        return Comparison(
            statistic=self.statistic,
            band=self.band,
            distance=self.distance,
            limit=self.limit,
            drifts=self.drifts,
            blind=_quantiles(self.blind),
            training={bucket: _quantiles(values) for bucket, values in self.training.items()},
        )


class Comparison(Part):
    """One number, in one band, of the blind set and of each bucket, without the values."""

    statistic: str
    band: str
    """Which; the band is "" for probabilities."""
    distance: float
    limit: float
    """Beyond the limit it is drift."""
    drifts: bool
    blind: list[float] = Field(default_factory=list)
    """Quantiles 5, 50 and 95 % of the blind set."""
    training: dict[str, list[float]] = Field(default_factory=dict)
    """The same of each bucket."""


class SharedPixels(Part):
    """Cutouts of the blind set whose pixels are in the labelled data."""

    n_cutouts: int
    splits: dict[str, int] = Field(default_factory=dict)
    """By the split that they are in there."""
    first: list[str] = Field(default_factory=list)
    """Paths of some."""


class Drift(Sidecar):
    """What `drift.json` says."""

    KIND: ClassVar[str] = "a comparison of a blind set with the training set"

    n_drifting: int
    """Comparisons that drift."""
    compared: list[Comparison]
    identical_cutouts: SharedPixels
    sha256: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of `VALUES`, by its name."""


def write_compared(path: Path, compared: Sequence[Compared], shared: Mapping[str, Any]) -> None:
    """Write comparisons as JSON, and beside it `VALUES`, whose SHA-256 the JSON states.

    Parameters
    ----------
    path : Path
        The JSON file.
    compared : sequence of Compared
        What to write.
    shared : mapping
        The fields of `SharedPixels`.
    """
    rows = [
        (one.statistic, one.band, bucket, values)
        for one in compared
        for bucket, values in {"": one.blind, **one.training}.items()
    ]
    statistics, bands, buckets, values = zip(*rows, strict=True)
    table = pa.table(
        {
            "statistic": pa.array(statistics, pa.string()),
            "band": pa.array(bands, pa.string()),
            "bucket": pa.array(buckets, pa.string()),
            "values": pa.array(values, pa.large_list(pa.float64())),
        }
    )
    with write_aside(path.with_name(VALUES)) as aside:
        parquet.write_table(table, aside, compression="zstd")
    Drift(
        n_drifting=sum(one.drifts for one in compared),
        compared=[one.in_short for one in compared],
        identical_cutouts=SharedPixels.model_validate(shared),
        sha256={VALUES: sha256_of(path.with_name(VALUES))},
    ).write(path)


def read_compared(path: Path) -> list[Compared]:
    """Read comparisons with their values.

    Parameters
    ----------
    path : Path
        What `write_compared` wrote; `VALUES` is beside it.

    Raises
    ------
    InputError
        A file is missing or malformed, or the values are not those that the JSON file describes.
    """
    drift = Drift.read(path)
    check_stated(path.with_name(VALUES), drift.sha256, path)
    table = parquet.read_table(path.with_name(VALUES))
    values: dict[tuple[str, str], dict[str, Values]] = {}
    for row, (statistic, band, bucket) in enumerate(
        zip(*(table[name].to_pylist() for name in ("statistic", "band", "bucket")), strict=True)
    ):
        values.setdefault((statistic, band), {})[bucket] = table["values"][row].values.to_numpy()
    return [
        Compared(
            one.statistic,
            one.band,
            values[one.statistic, one.band].pop(""),
            values[one.statistic, one.band],
            one.distance,
            one.limit,
        )
        for one in drift.compared
    ]


def _quantiles(values: Values) -> list[float]:
    return [float(value) for value in np.quantile(values, [0.05, 0.5, 0.95])]
