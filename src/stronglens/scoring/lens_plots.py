"""A picture of estimated lens parameters against the truth."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from stronglens.formats.figures import GREY, STYLES
from stronglens.scoring.lens_errors import Estimates
from stronglens.scoring.metrics import objects_by_domain
from stronglens.settings.lens_parameters import LENS_PARAMETERS

N_COLUMNS = 4

MOST_BARS = 500
"""Lenses whose standard deviations are drawn; more would be a grey area."""


def plot_estimates(found: Estimates, errors: Mapping[str, Mapping[str, Any]], title: str = "") -> Figure:
    """Estimates against true values, a panel for each parameter; bias and scatter of all lenses above it.

    Where estimates come with standard deviations these are bars, and how many true values are within them is
    above the panel too.

    Parameters
    ----------
    found : Estimates
        Estimates and truth.
    errors : mapping
        Of all lenses, by parameter (see `stronglens.scoring.lens_errors.errors_of`).
    title : str
        The ensemble and the set.
    """
    n_columns = min(N_COLUMNS, len(found.names))
    n_rows = math.ceil(len(found.names) / n_columns)
    width, height = (3.6, 3.9) if found.stds is None else (4.4, 5.0)  # more is written above it
    figure = Figure(figsize=(width * n_columns, height * n_rows), layout="constrained")
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    domains = objects_by_domain(found.domains) or {"all": np.ones(len(found.probs), dtype=bool)}
    for number, (name, axes) in enumerate(zip(found.names, panels, strict=False)):
        unit = f" ({LENS_PARAMETERS[name]})" if LENS_PARAMETERS[name] else ""
        axes.set(xlabel=f"true {name}{unit}", ylabel=f"estimated {name}{unit}")
        known = np.isfinite(found.truth[:, number])
        if not known.any():
            axes.text(0.5, 0.5, "not known of these lenses", ha="center", transform=axes.transAxes)
            continue
        truth, estimates = found.truth[:, number], found.estimates[:, number]
        for (domain, inside), (colour, _), marker in zip(domains.items(), STYLES, "o^sv", strict=False):
            chosen = inside & known
            axes.plot(
                truth[chosen],
                estimates[chosen],
                marker,
                color=colour,
                markersize=5 if known.sum() < MOST_BARS else 3 if known.sum() < 2000 else 1.5,
                markeredgewidth=0,
                alpha=0.5,
                label=domain,
                rasterized=True,
            )
            if found.stds is not None and known.sum() < MOST_BARS:
                stds = found.stds[chosen, number]
                axes.vlines(
                    truth[chosen],
                    estimates[chosen] - stds,
                    estimates[chosen] + stds,
                    color=colour,
                    alpha=0.3,
                    linewidth=0.8,
                    rasterized=True,
                )
        low, high = np.min([truth[known], estimates[known]]), np.max([truth[known], estimates[known]])
        edge = 0.03 * (high - low or 1.0)
        ends = (low - edge, high + edge)  # the same on both axes
        axes.plot(ends, ends, color=GREY, linewidth=0.9)
        mean = float(np.mean(truth[known]))
        axes.axhline(mean, color=GREY, linewidth=0.9, linestyle=":")
        axes.set(xlim=ends, ylim=ends)
        axes.grid(alpha=0.3)
        of_all = errors[name]
        axes.set_title(
            f"bias {_short(of_all['bias'], '+')}, scatter {_short(of_all['scatter_mad'])}\n"
            f"rms {_short(of_all['rms'])} (always the mean: {_short(of_all['rms_of_mean'])})"
            f"{_of_widths(of_all)}",
            fontsize="medium",
        )
    for axes in panels[len(found.names) :]:
        axes.set_axis_off()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=4, markerscale=1.5)
    n = len(np.unique(found.objects))
    about = f"Estimated lens parameters of {n:,} lenses; dotted: the mean of the true values"
    if found.stds is not None and (np.isfinite(found.truth).sum(axis=0) < MOST_BARS).any():
        about += "; bars: one standard deviation"
    if n_columns < N_COLUMNS:  # too narrow for a line
        about = about.replace("; ", "\n")
    figure.suptitle("\n".join(filter(None, (title, about))))
    return figure


def _of_widths(errors: Mapping[str, Any]) -> str:
    """A line about standard deviations, where there are some."""
    if "rms_pull" not in errors:
        return ""
    within = f"{errors['coverage_68']:.0%} within 1 std, {errors['coverage_95']:.0%} within 1.96 std"
    return f"\n{within}\nrms pull {_short(errors['rms_pull'])}"


def _short(value: float, sign: str = "") -> str:
    """Two digits: `0.10`, `12`."""
    return f"{value:{sign}#.2g}".removesuffix(".")
