"""Which lenses that are known already a test set holds, and what an ensemble says of them."""

from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from stronglens.formats.artefact import check_stated, sha256_of, write_aside
from stronglens.formats.sidecar import Part, Sidecar

KNOWN_CSV, KNOWN_JSON = "known_lenses.csv", "known_lenses.json"
"""Names of the table and of its description, beside each other."""

Outcome = Literal["recovered", "missed", "unreadable", "outside"]
"""What became of a known lens: prob >= t*, below, no probability, no object of the test set within the
radius."""

COLUMNS = ("table", "name", "ra", "dec", "outcome", "id", "separation_arcsec", "prob", "prob_std")
"""Columns of the table: a row per known lens and object within the radius of it, a row without an object
for each lens outside."""


class KnownCounts(Part):
    """Known lenses of one table, by what became of them."""

    recovered: int
    missed: int
    unreadable: int
    outside: int


class KnownLenses(Sidecar):
    """What `known_lenses.json` says of the table beside it."""

    KIND: ClassVar[str] = "the description of known lenses"

    radius_arcsec: float
    threshold: float
    """t*."""
    n_positions: int
    """Objects of the test set of which the place in the sky is known."""
    n_objects: int
    """All of them."""
    tables: dict[str, KnownCounts]
    """By name of the user's table."""
    sources: dict[str, str]
    """SHA-256 of these tables, by name."""
    ensemble_sha256: str
    """SHA-256 of the ensemble's table."""
    sha256: dict[str, str]
    """SHA-256 of the table, by its name."""


def write_known(folder: Path, table: pd.DataFrame, **described: object) -> None:
    """Write the table, and what describes it, with its hash."""
    path = folder / KNOWN_CSV
    with write_aside(path) as aside:
        table.to_csv(aside, index=False, columns=list(COLUMNS), lineterminator="\n")
    content = described | {"sha256": {KNOWN_CSV: sha256_of(path)}}
    KnownLenses.model_validate(content).write(folder / KNOWN_JSON)


def read_known(csv: Path) -> tuple[pd.DataFrame, KnownLenses]:
    """Read the table, checked against the description beside it.

    Returns
    -------
    table : DataFrame
        `COLUMNS`; id is "" and numbers are NaN where there is no object, or no probability.
    description : KnownLenses

    Raises
    ------
    InputError
        A file is missing, damaged, or another than is described.
    """
    path = csv.with_name(KNOWN_JSON)
    description = KnownLenses.read(path)
    check_stated(csv, description.sha256, path)
    texts = dict.fromkeys(("table", "name", "outcome", "id"), str)
    empty: dict[str, list[str]] = {name: [""] for name in COLUMNS[2:]}
    table = pd.read_csv(csv, dtype=texts, keep_default_na=False, na_values=empty)
    return table.fillna({"outcome": "", "id": ""}), description


def known_by_object(table: pd.DataFrame) -> dict[str, str]:
    """For each object of the test set that is a known lens, the name of the nearest."""
    near = table[table["id"] != ""].sort_values(["separation_arcsec", "name"], kind="stable")
    first = near.drop_duplicates("id")
    return dict(zip(first["id"], first["name"], strict=True))
