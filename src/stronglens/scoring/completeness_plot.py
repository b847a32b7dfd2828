"""A picture of completeness as a function of properties of the lenses."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stronglens.formats.figures import STYLES

MARKERS = ("o", "s", "^", "D")
LABELS = {
    "einstein_radius_arcsec": "Einstein radius (arcsec)",
    "lens_magnitude": "{band} magnitude of the lens (AB)",
    "source_magnitude": "{band} magnitude of the source (AB)",
}


def plot_completeness(table: pd.DataFrame, title: str = "", band: str = "") -> Figure:
    """Completeness against each property, with confidence intervals, for all lenses and each domain, side by
    side; a level stroke is the width of a bin of all lenses.

    Parameters
    ----------
    table : DataFrame
        See `stronglens.scoring.completeness.read_completeness`.
    title : str
        What was scored.
    band : str
        That of the magnitudes, for their axes.
    """
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    for axes, (name, label) in zip(figure.subplots(1, 3, sharey=True), LABELS.items(), strict=True):
        of_property = table[table["property"] == name]
        axes.set(xlabel=label.format(band=band).strip(), ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
        width = float(of_property["high"].max() - of_property["low"].min())
        blocks = list(of_property.groupby("objects", sort=False))
        for number, ((objects, bins), (colour, _), marker) in enumerate(
            zip(blocks, cycle(STYLES), cycle(MARKERS), strict=False)
        ):
            value = bins["completeness"].to_numpy(float)
            ends = bins[["interval_low", "interval_high"]].to_numpy(float).T
            name_shown = str(objects).removeprefix("domain::").replace("global", "all")
            # Set a little apart, since bins of several domains may have one middle.
            middle = (bins["low"] + bins["high"]).to_numpy(float) / 2 + 0.02 * width * (
                number - (len(blocks) - 1) / 2
            )
            if objects == "global":
                axes.hlines(value, bins["low"], bins["high"], color=colour, linewidth=1, alpha=0.5)
            axes.errorbar(
                middle,
                value,
                np.abs(ends - value),
                **{"color": colour, "marker": marker, "linestyle": "none", "elinewidth": 1.2, "capsize": 2},
                label=name_shown,
            )
        if not len(of_property):
            axes.text(0.5, 0.5, "not known of these objects", ha="center", transform=axes.transAxes)
    figure.axes[0].set_ylabel("completeness at the threshold")
    of_all = table[(table["property"] == next(iter(LABELS))) & (table["objects"] == "global")]
    n_lenses = f"{of_all['n_lenses'].sum():,.0f} lenses" if len(of_all) else ""
    figure.suptitle("\n".join(filter(None, (title, ", ".join(filter(None, ("Completeness", n_lenses)))))))
    handles, labels = next(
        (found for axes in figure.axes if (found := axes.get_legend_handles_labels())[0]), ([], [])
    )
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
