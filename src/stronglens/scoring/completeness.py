"""Completeness as a function of properties of the lenses: Einstein radius, magnitudes of lens and source."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stronglens.formats.artefact import write_aside
from stronglens.formats.packed import read_lens_values
from stronglens.formats.tables import REAL, TEXT, read_table
from stronglens.running.errors import InputError
from stronglens.scoring.field_metrics import completeness_by
from stronglens.scoring.metrics import objects_by_domain
from stronglens.scoring.scored import Scored
from stronglens.settings.decide import EvaluateSettings

COLUMNS = (
    *("objects", "property", "low", "high"),
    *("n_lenses", "completeness", "interval_low", "interval_high"),
)
_MAY_BE_EMPTY = "interval_low", "interval_high"


def properties_of(band: str) -> dict[str, str]:
    """The column of the parameters that holds each property."""
    return {
        "einstein_radius_arcsec": "Rein",
        "lens_magnitude": f"mag_lens_{band}",
        "source_magnitude": f"mag_src_{band}",
    }


def read_parameters(packed: Sequence[Path], band: str) -> pd.DataFrame:
    """Read what is known of the objects of packed data sets.

    Parameters
    ----------
    packed : sequence of Path
        Folders of packed data sets.
    band : str
        Band of the magnitudes.

    Returns
    -------
    DataFrame
        By object key, with a column for each property that is known of any object, NaN where it was not
        measured: Einstein radius in arcsec, AB magnitudes.

    Raises
    ------
    InputError
        A file is missing, or was changed since it was made.
    """
    if not packed:
        return pd.DataFrame()
    columns = properties_of(band)
    values = read_lens_values(packed, list(columns.values()))
    known = values.rename(columns={column: name for name, column in columns.items()})
    return known.dropna(axis="columns", how="all")


def completeness_rows(
    scored: Scored, threshold: float, parameters: pd.DataFrame, settings: EvaluateSettings
) -> list[dict[str, Any]]:
    """Compute completeness in bins of each property, for all lenses and those of each domain.

    Parameters
    ----------
    scored : Scored
        Labels and probabilities; nothing can be said without names of the objects.
    threshold : float
        A lens is found if its probability is at least this.
    parameters : DataFrame
        See `read_parameters`.
    settings : EvaluateSettings
        Number of bins.

    Returns
    -------
    list of dict
        A row per bin, with the keys of `COLUMNS`; none where nothing is known.
    """
    if scored.names is None:
        return []
    known = parameters.reindex(scored.names)
    lenses = scored.labels == 1
    chosen: dict[str, npt.NDArray[np.bool_]] = {"global": lenses}
    for domain, inside in objects_by_domain(scored.domains).items():
        chosen[f"domain::{domain}"] = lenses & inside
    rows = []
    for objects, inside in chosen.items():
        numbers = None if scored.objects is None else scored.objects[inside]
        for name in known.columns:
            values = known[name].to_numpy(np.float64)[inside]
            found = completeness_by(values, scored.probs[inside] >= threshold, settings.n_bins, numbers)
            for one in found:
                low, high = one.pop("interval") or ("", "")
                rows.append(
                    {"objects": objects, "property": name, **one, "interval_low": low, "interval_high": high}
                )
    return rows


def write_completeness(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a table with the columns `COLUMNS`, an interval that is undefined being empty; where nothing is
    known, it has no rows.
    """
    with write_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_completeness(path: Path) -> pd.DataFrame:
    """Read what `write_completeness` wrote: the same numbers, NaN for an interval that is undefined.

    Raises
    ------
    InputError
        The file is missing or malformed.
    """
    types = {"objects": TEXT, "property": TEXT, **dict.fromkeys(COLUMNS[2:], REAL)}
    table: pd.DataFrame = read_table(path, types | dict.fromkeys(_MAY_BE_EMPTY, TEXT)).to_pandas()
    for name in _MAY_BE_EMPTY:
        try:
            table[name] = np.array([float(value or "nan") for value in table[name]], dtype=np.float64)
        except ValueError as error:
            raise InputError(f"{path}: expected numbers in column {name} ({error})") from error
    return table
