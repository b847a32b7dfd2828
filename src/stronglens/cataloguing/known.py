"""Lenses that are known already, found again by their places in the sky."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from astropy import units
from astropy.coordinates import SkyCoord, search_around_sky

from stronglens.cataloguing.test_set import TestSet, open_test_set
from stronglens.formats.artefact import sha256_of
from stronglens.formats.known_lenses import KNOWN_CSV, KnownCounts, write_known
from stronglens.running.errors import InputError
from stronglens.settings.data import located
from stronglens.settings.products import KnownLensesSettings, KnownTableSettings
from stronglens.sources.catalogue import columns_in, numbers_in, read_catalogue
from stronglens.sources.columns import text_of

log = logging.getLogger(__name__)


def match_known(
    csv: Path, packed: Sequence[Path], out_dir: Path, settings: KnownLensesSettings, *, whole: bool = True
) -> None:
    """Find known lenses among the objects of a test set, and write `known_lenses.csv` and `.json`.

    Parameters
    ----------
    csv, packed, whole
        See `stronglens.cataloguing.test_set.open_test_set`.
    out_dir : Path
        Receives the files.
    settings : KnownLensesSettings
        Tables of known lenses, and how near an object has to be.

    Raises
    ------
    InputError
        A file is missing, malformed or changed since it was made; a table lacks a column, or holds places
        that are none.
    """
    test_set = open_test_set(csv, packed, whole=whole)
    lenses = pd.concat(
        [read_lenses(name, table) for name, table in settings.tables.items()], ignore_index=True
    )
    matched = match(lenses, test_set, settings.radius_arcsec)
    counts = counts_by_table(matched, settings.tables)
    n_positions = int(np.isfinite(test_set.rows["ra"]).sum())
    write_known(
        out_dir,
        matched,
        radius_arcsec=settings.radius_arcsec,
        threshold=test_set.threshold,
        n_positions=n_positions,
        n_objects=len(test_set.rows),
        tables=counts,
        sources={name: sha256_of(located(table.path)) for name, table in settings.tables.items()},
        ensemble_sha256=test_set.ensemble.description.sha256[csv.name],
    )
    if not n_positions:
        log.warning(
            "%s: expected the places of objects in the sky (columns ra and dec of a table or catalogue, or "
            "RA and DEC in the headers), found none: no known lens can be matched",
            packed[0],
        )
    for name, one in counts.items():
        log.info("%s: %s: %s", out_dir / KNOWN_CSV, name, in_words(one))


def in_words(counts: KnownCounts) -> str:
    """What became of the lenses of a table."""
    found = f"{counts.recovered} recovered, {counts.missed} missed"
    return f"{found}, {counts.unreadable} unreadable, {counts.outside} outside the test set"


def read_lenses(table: str, settings: KnownTableSettings) -> pd.DataFrame:
    """Read a table of known lenses: table, name, ra, dec (degrees), a row each.

    Raises
    ------
    InputError
        It cannot be read, lacks a column, or a place is none: not finite, or beyond a pole.
    """
    path = located(settings.path)
    name = settings.name or ("name" if "name" in columns_in(path) else None)
    frames = [*_frames(path, settings, name)]
    lenses = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["name", "ra", "dec"])
    numbered = pd.Series([f"{table} {row + 1}" for row in range(len(lenses))])
    lenses["name"] = lenses["name"].where(lenses["name"] != "", numbered)
    lenses.insert(0, "table", table)
    return lenses


def _frames(path: Path, settings: KnownTableSettings, name: str | None) -> Iterator[pd.DataFrame]:
    wanted = [settings.ra, settings.dec, *([name] if name else [])]
    n_read = 0
    for piece in read_catalogue(path, wanted):
        ra = numbers_in(path, settings.ra, piece, n_read)
        dec = numbers_in(path, settings.dec, piece, n_read)
        wrong = ~(np.isfinite(ra) & (np.abs(dec) <= 90) & (ra >= -180) & (ra <= 360))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{path}: row {n_read + row + 1}: expected right ascension and declination in degrees, found "
                f"{float(ra[row])!r}, {float(dec[row])!r}; correct or remove the row"
            )
        names = [text_of(value) for value in piece[name].to_pylist()] if name else [""] * len(piece)
        yield pd.DataFrame({"name": names, "ra": ra, "dec": dec})
        n_read += len(piece)


def match(lenses: pd.DataFrame, test_set: TestSet, radius_arcsec: float) -> pd.DataFrame:
    """Pair known lenses and objects that are no further from each other than a radius.

    Parameters
    ----------
    lenses : DataFrame
        table, name, ra, dec.
    test_set : TestSet
        Objects whose place is not known take no part.
    radius_arcsec : float
        How near they have to be.

    Returns
    -------
    DataFrame
        Columns of `stronglens.formats.known_lenses.COLUMNS`: a row for each pair, those of a lens together,
        the highest probability first; a row for each lens without an object.
    """
    rows = test_set.rows
    placed = rows[np.isfinite(rows["ra"]) & np.isfinite(rows["dec"])].reset_index(drop=True)
    if len(lenses) and len(placed):
        sky = [SkyCoord(one["ra"], one["dec"], unit="deg") for one in (lenses, placed)]
        of_lens, of_object, apart, _ = search_around_sky(sky[0], sky[1], radius_arcsec * units.arcsec)
        separation = apart.arcsec
    else:
        of_lens = of_object = np.empty(0, dtype=np.int64)
        separation = np.empty(0)
    found = placed.iloc[of_object][["id", "prob", "prob_std", "pred"]].reset_index(drop=True)
    found = found.assign(lens=of_lens, separation_arcsec=separation)
    whole = lenses.assign(lens=np.arange(len(lenses))).merge(found, how="left", on="lens")
    outcomes = {1.0: "recovered", 0.0: "missed", -1.0: "unreadable"}
    whole["outcome"] = whole["pred"].map(outcomes).fillna("outside")
    whole["id"] = whole["id"].fillna("")
    in_order = whole.sort_values(
        ["lens", "prob", "separation_arcsec"], ascending=[True, False, True], kind="stable"
    )
    return in_order.drop(columns=["pred", "lens"]).reset_index(drop=True)


def counts_by_table(matched: pd.DataFrame, tables: Mapping[str, object]) -> dict[str, KnownCounts]:
    """Count what became of the lenses of each table; a lens that several objects could be goes by the highest
    probability of them.
    """
    each = matched.drop_duplicates(["table", "name", "ra", "dec"])
    found = each.groupby("table")["outcome"].value_counts()
    outcomes = KnownCounts.model_fields
    return {
        table: KnownCounts(**{outcome: int(found.get((table, outcome), 0)) for outcome in outcomes})
        for table in tables
    }
