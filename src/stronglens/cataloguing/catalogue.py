"""A catalogue of all objects of a test set, for other programs, and a watch list of candidates."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stronglens.cataloguing.columns import column
from stronglens.cataloguing.test_set import TestSet, open_test_set
from stronglens.cataloguing.writing import write_fits, write_parquet, write_votable
from stronglens.ensembling.ensemble import combination_of
from stronglens.formats.artefact import sha256_of, write_aside
from stronglens.formats.catalogue import (
    CATALOGUE_JSON,
    FITS,
    PARQUET,
    VOTABLE,
    WATCH_LIST,
    CatalogueDescription,
)
from stronglens.formats.known_lenses import known_by_object, read_known
from stronglens.formats.member_files import DESCRIPTION as MEMBER
from stronglens.formats.member_files import MemberDescription
from stronglens.formats.packed import CUTOUTS, INDEX
from stronglens.running.errors import InputError
from stronglens.settings.lens_parameters import columns_of
from stronglens.settings.products import CatalogueSettings
from stronglens.submitting.surroundings import code_state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CatalogueOrigins:
    """What a catalogue is made from.

    Attributes
    ----------
    csv : Path
        The ensemble's table of the test set.
    packed : sequence of Path
        All parts of the packed test set.
    members : sequence of Path
        The folder of each member.
    known : Path or None
        `known_lenses.csv`, if known lenses are to be marked.
    whole : bool
        See `stronglens.cataloguing.test_set.open_test_set`.
    """

    csv: Path
    packed: Sequence[Path]
    members: Sequence[Path]
    known: Path | None = None
    whole: bool = True


def make_catalogue(
    origins: CatalogueOrigins,
    out_dir: Path,
    settings: CatalogueSettings,
    *,
    ensemble: str,
    testset: str,
    simulated: bool = False,
) -> None:
    """Write the catalogue as Parquet, FITS and VOTable, the watch list, and what describes them.

    Parameters
    ----------
    origins : CatalogueOrigins
        What it is made from.
    out_dir : Path
        Receives the files.
    settings : CatalogueSettings
        For the watch list.
    ensemble, testset : str
        Their names.
    simulated : bool
        Whether the data are simulated; in the provenance.

    Raises
    ------
    InputError
        A file is missing, malformed or changed since it was made, or they do not belong together.
    """
    members = [MemberDescription.read(folder / MEMBER) for folder in origins.members]
    test_set = open_test_set(
        origins.csv,
        origins.packed,
        members_bands=[member.settings["bands"] for member in members],
        whole=origins.whole,
    )
    _check_members(test_set, members)
    rows = test_set.rows
    if origins.known is not None:
        known, described = read_known(origins.known)
        if described.ensemble_sha256 != test_set.ensemble.description.sha256[origins.csv.name]:
            raise InputError(
                f"{origins.known}: expected known lenses matched with {origins.csv}, found another table's; "
                "match them again"
            )
        rows = rows.assign(known_lens=rows["id"].map(known_by_object(known)).fillna(""))
    names = _names(test_set, rows)
    calibrated = test_set.ensemble.description.width_factors
    columns = [column(name, calibrated) for name in names]
    rows = rows[names].set_axis([one.name for one in columns], axis=1)
    provenance = _provenance(test_set, ensemble, testset, simulated=simulated)
    writers = {PARQUET: write_parquet, FITS: write_fits, VOTABLE: write_votable}
    for name, write in writers.items():
        write(out_dir / name, rows, columns, provenance)
    watched = watch_list(rows, settings.watch_radius_arcsec)
    with write_aside(out_dir / WATCH_LIST) as aside:
        watched.to_csv(aside, index=False, lineterminator="\n")
    CatalogueDescription(
        n_rows=len(rows),
        n_watched=len(watched),
        columns=list(rows),
        provenance=provenance,
        sha256={name: sha256_of(out_dir / name) for name in (*writers, WATCH_LIST)},
    ).write(out_dir / CATALOGUE_JSON)
    log.info("%s: %d objects, %d in the watch list", out_dir, len(rows), len(watched))


def _names(test_set: TestSet, rows: pd.DataFrame) -> list[str]:
    estimates = columns_of(test_set.ensemble.description.lens_parameters)
    wanted = ["id", "ra", "dec", "prob", "prob_std", "prob_sky", "pred", *estimates, "known_lens"]
    return [name for name in [*wanted, "flags", "n_cutouts"] if name in rows]


def _check_members(test_set: TestSet, members: Sequence[MemberDescription]) -> None:
    stated = {(one.model, one.seed, one.weights_sha256) for one in test_set.ensemble.description.members}
    found = {(one.model, one.seed, one.weights_sha256) for one in members}
    if stated != found:
        raise InputError(
            f"{test_set.ensemble.csv}: expected the members {_told(stated)}, found {_told(found)}; give the "
            "folder of each, with the weights that the ensemble was made with"
        )


def _told(members: set[tuple[str, int, str]]) -> str:
    return ", ".join(f"{model} seed {seed} ({sha[:12]}…)" for model, seed, sha in sorted(members)) or "none"


def _provenance(test_set: TestSet, ensemble: str, testset: str, *, simulated: bool) -> dict[str, Any]:
    description = test_set.ensemble.description
    combination = combination_of(description)
    calibration = combination.settings.calibration
    sky = combination.settings.sky_prevalence
    return {
        "title": f"Probabilities of being a strong lens: ensemble {ensemble}, test set {testset}",
        "software": f"stronglens {version('stronglens')}",
        "code_revision": str(code_state()["revision"] or "unknown"),
        "ensemble": ensemble,
        "testset": testset,
        "simulated": simulated,
        "level": description.level,
        "threshold": test_set.threshold,
        "calibration": calibration,
        "prob_sky": f"for a fraction of lenses of {sky:g}"
        if sky is not None
        else "absent: the ensemble states no fraction of lenses in the sky (sky_prevalence)",
        "members": [one.as_dict() for one in description.members],
        "ensemble_sha256": description.sha256[test_set.ensemble.csv.name],
        "data_sha256": [
            {name: part.summary.sha256[name] for name in (CUTOUTS, INDEX)} for part in test_set.parts
        ],
    }


def watch_list(rows: pd.DataFrame, radius_arcsec: float) -> pd.DataFrame:
    """Candidates as brokers take them: id, ra, dec (degrees), radius (arcsec), the highest probability first.

    Parameters
    ----------
    rows : DataFrame
        Of the catalogue. Candidates are called lenses, have a place in the sky, and some cutout that a
        member looks at.
    radius_arcsec : float
        The same for all.
    """
    placed = np.isfinite(rows["ra"]) & np.isfinite(rows["dec"])
    chosen: pd.DataFrame = rows[(rows["pred"] == 1) & placed & (rows["n_cutouts"] > 0)]
    chosen = chosen.sort_values(["prob", "id"], ascending=[False, True], kind="stable")
    return chosen[["id", "ra", "dec"]].assign(radius=radius_arcsec)
