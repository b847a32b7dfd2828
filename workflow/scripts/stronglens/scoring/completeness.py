"""Completeness as a function of properties of the lenses: Einstein radius, magnitudes of lens and source."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from pyarrow import parquet

from stronglens.artefact import check_sha256, read_json, write_aside
from stronglens.figures import STYLES, save_figure
from stronglens.packing.packed import PARAMETERS, SUMMARY
from stronglens.scoring.field_metrics import completeness_by
from stronglens.scoring.metrics import objects_by_domain
from stronglens.scoring.scored import Scored
from stronglens.settings.evaluate import EvaluateSettings

COLUMNS = (
    *("objects", "property", "low", "high"),
    *("n_lenses", "completeness", "interval_low", "interval_high"),
)


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
        By object key, with a column for each property that the data sets know, NaN where it was not measured:
        Einstein radius in arcsec, AB magnitudes.

    Raises
    ------
    InputError
        A file is missing, or was changed since it was made.
    """
    tables = []
    for folder in packed:
        path = folder / PARAMETERS
        check_sha256(path, read_json(folder / SUMMARY)["sha256"][PARAMETERS], folder / SUMMARY)
        known = set(parquet.read_schema(path).names)
        columns = {name: column for name, column in properties_of(band).items() if column in known}
        table = pd.read_parquet(path, columns=["object", *columns.values()]).set_index("object")
        tables.append(table.rename(columns={column: name for name, column in columns.items()}))
    return pd.concat(tables) if tables else pd.DataFrame()


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


def write_completeness(rows: Sequence[dict[str, Any]], out_dir: Path) -> None:
    """Write `completeness.csv`, `.png` and `.pdf`; where nothing is known, they say so."""
    with (
        write_aside(out_dir / "completeness.csv") as aside,
        aside.open("w", encoding="utf-8", newline="") as text,
    ):
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    save_figure(plot_completeness(rows), out_dir / "completeness.png")


MARKERS = ("o", "s", "^", "D")
LABELS = {
    "einstein_radius_arcsec": "Einstein radius (arcsec)",
    "lens_magnitude": "magnitude of the lens (AB)",
    "source_magnitude": "magnitude of the source (AB)",
}


def plot_completeness(rows: Sequence[dict[str, Any]]) -> Figure:
    """Completeness against each property, with confidence intervals, for all lenses and each domain; a level
    stroke is the width of a bin.
    """
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for axes, (name, label) in zip(figure.subplots(1, 3, sharey=True), LABELS.items(), strict=True):
        of_property = table[table["property"] == name]
        axes.set(xlabel=label, ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
        width = float(of_property["high"].max() - of_property["low"].min())
        for number, ((objects, bins), (colour, dashes), marker) in enumerate(
            zip(of_property.groupby("objects", sort=False), STYLES, MARKERS, strict=False)
        ):
            value = bins["completeness"].to_numpy(float)
            ends = bins[["interval_low", "interval_high"]].to_numpy(float).T
            name_shown = str(objects).removeprefix("domain::").replace("global", "all")
            # Set a little apart, since bins of several domains may have one middle.
            middle = (bins["low"] + bins["high"]).to_numpy(float) / 2 + 0.012 * width * (number - 1)
            axes.hlines(value, bins["low"], bins["high"], color=colour, linewidth=1, alpha=0.5)
            axes.errorbar(
                *(middle, value, np.abs(ends - value)),
                **{"color": colour, "marker": marker, "linestyle": dashes, "linewidth": 1, "capsize": 3},
                label=name_shown,
            )
        if not len(of_property):
            axes.text(0.5, 0.5, "not known of these objects", ha="center", transform=axes.transAxes)
    figure.axes[0].set_ylabel("completeness at the threshold")
    handles, labels = next(
        (found for axes in figure.axes if (found := axes.get_legend_handles_labels())[0]), ([], [])
    )
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
