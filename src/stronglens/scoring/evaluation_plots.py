"""Pictures of how well a classifier does."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from stronglens.formats.digits import probability, share, stated
from stronglens.formats.figures import BLUE, GREY, ORANGE, PURPLE, STYLES, save_figure
from stronglens.scoring.bootstrap import Ranked
from stronglens.scoring.completeness_plot import plot_completeness
from stronglens.scoring.few_counts import score_interval
from stronglens.scoring.metrics import (
    calibration_bins,
    expected_calibration_error,
    metrics_at,
    objects_by_domain,
)
from stronglens.scoring.operating_points import purity_of
from stronglens.scoring.scored import Scored

N_HISTOGRAM_BINS = 50
PREVALENCES = (1e-2, 1e-3, 1e-4)
SKIES = (("#BBBBBB", "-"), ("#777777", "--"), ("black", "-."))
"""Not the colours of domains, which are beside them."""

Curve = tuple[str, npt.NDArray[np.int64], npt.NDArray[np.float64], str, str]
"""Name, labels, probabilities, colour and dashes."""


def save_plots(
    scored: Scored,
    threshold: float,
    out_dir: Path,
    prevalences: Sequence[float] = PREVALENCES,
    completeness: pd.DataFrame | None = None,
    title: str = "",
    band: str = "",
) -> None:
    """Draw all pictures, as PNG and PDF files.

    Parameters
    ----------
    scored : Scored
        Labels and probabilities.
    threshold : float
        Marked in the pictures; an object is called a lens if its probability is at least this.
    out_dir : Path
        Receives two files for each of `PLOTS`, and for `completeness` if it is given.
    prevalences : sequence of float
        Fractions of lenses in skies for which purity is drawn.
    completeness : DataFrame, optional
        See `stronglens.scoring.completeness.read_completeness`.
    title : str
        What was scored, for all titles.
    band : str
        That of the magnitudes in `completeness`.
    """
    of_sky = {"precision_recall": partial(plot_precision_recall, prevalences=prevalences)}
    for name, plot in (PLOTS | of_sky).items():
        figure = plot(scored, threshold)
        if title:
            figure.suptitle(f"{title}\n{figure.get_suptitle()}", fontsize="medium")
        save_figure(figure, out_dir / f"{name}.png")
    if completeness is not None:
        save_figure(plot_completeness(completeness, title, band), out_dir / "completeness.png")


def plot_roc(scored: Scored, threshold: float) -> Figure:
    """True against false positive rate, for all objects and each domain; the false positive rate in linear
    and in logarithmic scale, since lenses are rare and a survey works at the left end.
    """
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    linear, logarithmic = figure.subplots(1, 2, sharey=True)
    at = metrics_at(scored.labels, scored.probs, threshold)
    n_others = int(np.count_nonzero(scored.labels == 0))
    for axes in (linear, logarithmic):
        for name, labels, probs, colour, dashes in _curves(scored):
            false_rates, true_rates, _ = roc_curve(labels, probs)
            label = f"{name}, AUC = {stated(float(roc_auc_score(labels, probs)), n=len(labels))}"
            axes.plot(false_rates, true_rates, color=colour, linestyle=dashes, label=label)
        diagonal = np.linspace(0, 1, 1001)
        axes.plot(diagonal, diagonal, color=GREY, linewidth=0.8, label="chance")
        if at["specificity"] is not None and at["recall"] is not None:
            _mark(axes, 1 - at["specificity"], at["recall"], threshold)
        axes.set(xlabel="false positive rate (non-lenses called lenses)", ylim=(0, 1.02))
        axes.grid(alpha=0.3)
    linear.set(xlim=(-0.01, 1), ylabel="true positive rate (lenses found)")
    logarithmic.set(xscale="log", xlim=(0.5 / max(n_others, 10), 1))
    _legend_below(linear)
    _say_if_undefined(scored, linear)
    figure.suptitle(f"ROC curve, {_size(scored)}")
    return figure


def plot_precision_recall(
    scored: Scored, threshold: float, prevalences: Sequence[float] = PREVALENCES
) -> Figure:
    """Precision against recall, for all objects and each domain; and what purity all objects would have in
    skies with few lenses, in logarithmic scale.
    """
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axes, of_sky = figure.subplots(1, 2)
    at = metrics_at(scored.labels, scored.probs, threshold)
    for name, labels, probs, colour, dashes in _curves(scored):
        precision, recall, _ = precision_recall_curve(labels, probs, drop_intermediate=True)
        label = f"{name}, AP = {stated(float(average_precision_score(labels, probs)), n=len(labels))}"
        axes.plot(recall, precision, color=colour, linestyle=dashes, label=label, drawstyle="steps-post")
    of_lenses = float(np.mean(scored.labels))
    axes.axhline(
        of_lenses,
        color=GREY,
        linewidth=0.8,
        label=f"chance ({stated(of_lenses, n=len(scored.labels))} are lenses)",
    )
    if at["precision"] is not None and at["recall"] is not None:
        _mark(axes, at["recall"], at["precision"], threshold)
    axes.set(
        xlabel="recall (lenses found)",
        ylabel="precision (called lenses that are lenses)",
        xlim=(0, 1.01),
        ylim=(0, 1.02),
        title="these objects",
    )
    axes.grid(alpha=0.3)
    _legend_below(axes)
    _say_if_undefined(scored, axes)
    _draw_purity(of_sky, scored, threshold, prevalences)
    figure.suptitle(f"Precision and recall, {_size(scored)}")
    return figure


def _draw_purity(axes: Axes, scored: Scored, threshold: float, prevalences: Sequence[float]) -> None:
    ranked = Ranked(scored.labels, scored.probs)
    true, false = ranked.counts(np.ones(len(scored.labels), dtype=np.int64))
    if true[-1] and false[-1]:
        passed = ranked.thresholds >= threshold
        for prevalence, (colour, dashes) in zip(prevalences, itertools.cycle(SKIES), strict=False):
            purity = purity_of(true, false, prevalence)
            # Before the first false positive it is 1, which says no more than that there are too few objects.
            known = false > 0
            label = f"1 lens in {1 / prevalence:,.0f}"
            axes.plot(true[known] / true[-1], purity[known], color=colour, linestyle=dashes, label=label)
            if passed.any():
                place = np.flatnonzero(passed)[-1]
                axes.plot(true[place] / true[-1], purity[place], "o", color=colour, markersize=6)
        _legend_below(axes, "dot: threshold")
    axes.set(
        xlabel="recall (lenses found)",
        ylabel="purity (called lenses that are lenses)",
        xlim=(0, 1.01),
        yscale="log",
        ylim=(min(prevalences, default=1e-2) / 10, 1.5),
        title="in skies with few lenses",
    )
    axes.grid(alpha=0.3)


def plot_reliability(scored: Scored, threshold: float) -> Figure:
    """Fraction of lenses against mean probability in bins, and how many objects are in each bin."""
    figure = Figure(figsize=(5.6, 6.4), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = calibration_bins(scored.labels, scored.probs)
    low, high = score_interval(bins.lens_fractions, bins.counts)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="calibrated")
    ece = expected_calibration_error(scored.labels, scored.probs)
    axes.errorbar(
        bins.mean_probs,
        bins.lens_fractions,
        yerr=(bins.lens_fractions - low, high - bins.lens_fractions),
        color=BLUE,
        marker="o",
        markersize=4,
        linestyle="none",
        elinewidth=1,
        capsize=2,
        label=f"found, ECE = {stated(ece, n=len(scored.labels))}",
    )
    axes.axvline(
        threshold, color=ORANGE, linestyle="--", linewidth=1, label=f"threshold {probability(threshold)}"
    )
    axes.set(
        ylabel="fraction of lenses",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    figure.suptitle(f"Reliability, {_size(scored)}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    axes.grid(alpha=0.3)
    below.stem(bins.mean_probs, bins.counts, linefmt=BLUE, markerfmt="o", basefmt=" ", bottom=0.5)
    below.set(
        xlabel="mean probability of being a lens, in bins of equal width", ylabel=scored.unit, yscale="log"
    )
    below.set_ylim(0.5, max(10, 2 * bins.counts.max()))
    _count_ticks(below)
    below.grid(alpha=0.3)
    return figure


def plot_confusion_matrix(scored: Scored, threshold: float) -> Figure:
    """How many of each class were called what: all objects, and those of each domain."""
    chosen = {"all": np.ones(len(scored.labels), dtype=bool)} | dict(objects_by_domain(scored.domains))
    figure = Figure(figsize=(3.6 * len(chosen) + 1.6, 4.4), layout="constrained")
    panels = figure.subplots(1, len(chosen), squeeze=False)[0]
    for axes, (name, inside) in zip(panels, chosen.items(), strict=True):
        at = metrics_at(scored.labels[inside], scored.probs[inside], threshold)
        counts = np.array([[at["tn"], at["fp"]], [at["fn"], at["tp"]]], dtype=np.int64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.7 else "black"  # whichever stands out more
            axes.text(
                column,
                row,
                f"{count:,}\n{share(int(count), int(counts[row].sum()))}",
                ha="center",
                va="center",
                color=colour,
                fontsize=12,
            )
        axes.set_xticks([0, 1], ["non-lens", "lens"])
        axes.set_yticks([0, 1], ["non-lens", "lens"], rotation=90, va="center")
        axes.set(xlabel="called", ylabel="true", title=f"{name}, {np.count_nonzero(inside):,} {scored.unit}")
    figure.suptitle(f"Confusion matrix at threshold {probability(threshold)}")
    figure.colorbar(image, ax=panels[-1], label="share of the true class", format=PercentFormatter(1))
    return figure


def plot_score_histogram(scored: Scored, threshold: float) -> Figure:
    """Distribution of the probabilities of lenses and non-lenses."""
    figure, axes = _one_panel(width=6.4)
    edges = np.linspace(0, 1, N_HISTOGRAM_BINS + 1)
    for label, name, colour, dashes in ((0, "non-lenses", GREY, "--"), (1, "lenses", PURPLE, "-")):
        probs = scored.probs[scored.labels == label]
        counts, _ = np.histogram(probs, edges)
        axes.stairs(counts, edges, color=colour, alpha=0.2, fill=True)
        axes.stairs(
            counts, edges, color=colour, linestyle=dashes, linewidth=1.4, label=f"{name} ({len(probs):,})"
        )
    axes.axvline(threshold, color="black", linewidth=1.2, label=f"threshold {probability(threshold)}")
    axes.set(
        xlabel="probability of being a lens",
        ylabel=f"{scored.unit} per bin of {1 / N_HISTOGRAM_BINS:g}",
        yscale="log",
        xlim=(0, 1),
    )
    figure.suptitle(f"Probabilities by true class, {_size(scored)}")
    axes.set_ylim(0.7, None)
    _count_ticks(axes)
    axes.grid(alpha=0.3)
    _legend_below(axes)
    return figure


PLOTS: dict[str, Callable[[Scored, float], Figure]] = {
    "roc": plot_roc,
    "precision_recall": plot_precision_recall,
    "reliability": plot_reliability,
    "confusion_matrix": plot_confusion_matrix,
    "score_histogram": plot_score_histogram,
}
"""Stem of the file and what draws it."""


def _curves(scored: Scored) -> Iterator[Curve]:
    """All objects, then each domain; those with one class only have no curve."""
    chosen = {"all": np.ones(len(scored.labels), dtype=bool)} | dict(objects_by_domain(scored.domains))
    for (name, of_domain), (colour, dashes) in zip(chosen.items(), itertools.cycle(STYLES), strict=False):
        labels = scored.labels[of_domain]
        if 0 < np.count_nonzero(labels) < len(labels):
            yield name, labels, scored.probs[of_domain], colour, dashes


def _one_panel(width: float = 5.6, height: float = 4.8) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _mark(axes: Axes, x: float, y: float, threshold: float) -> None:
    axes.plot(x, y, "o", color="black", markersize=6, label=f"threshold {probability(threshold)}", zorder=5)


def _say_if_undefined(scored: Scored, axes: Axes) -> None:
    if not any(True for _ in _curves(scored)):
        axes.text(
            0.5, 0.9, f"undefined: all {scored.unit} are of one class", ha="center", transform=axes.transAxes
        )


def _legend_below(axes: Axes, title: str | None = None) -> None:
    """A legend under the axis, where it covers nothing."""
    axes.legend(title=title, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize="small")


def _count_ticks(axes: Axes) -> None:
    """Plain numbers on a logarithmic axis of counts, which few objects do not fill over a decade."""
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _size(scored: Scored) -> str:
    return f"{len(scored.labels):,} {scored.unit}"
