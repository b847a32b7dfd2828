"""Figures of a search."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState, create_trial

from stronglens.formats.figures import BLUE, GREY, ORANGE, save_figure
from stronglens.formats.trial_files import TrialResult, best_of
from stronglens.searching.distributions import distribution_of
from stronglens.searching.space import in_words, number_type, written
from stronglens.settings.search import Dimension

MARKS = {"complete": (BLUE, "o", "trained to the end"), "pruned": (ORANGE, "x", "given up")}
AUC = "validation AUC"
TITLES = {
    "history": "validation AUC of each trial",
    "learning_curves": "validation AUC by epoch",
    "slices": "validation AUC by each key",
    "importance": "importance of the keys",
}
N_FOR_IMPORTANCE = 10
"""Trials that must have been trained to their end before the importance of keys means anything."""

_LONGEST_NAME = 22
_N_COLUMNS = 3


def save_search(
    trials: Sequence[TrialResult], space: Mapping[str, Dimension], out_dir: Path, search: str = ""
) -> None:
    """Draw all figures of a search, as PNG and PDF files.

    Parameters
    ----------
    trials : sequence of TrialResult
        See `stronglens.formats.trial_files.read_trials`.
    space : mapping
        What was tried, by key.
    out_dir : Path
        Receives history, learning_curves, slices and importance.
    search : str
        Its name, for the titles.

    Raises
    ------
    InputError
        No trial was trained to its end.
    """
    best = best_of(trials)
    for name, figure in (
        ("history", draw_history(trials, best)),
        ("learning_curves", draw_curves(trials, best)),
        ("slices", draw_slices(trials, best, space)),
        ("importance", draw_importance(trials, space)),
    ):
        n_trials = f"{len(trials)} trial{'s' if len(trials) > 1 else ''}"
        if name == "importance":
            n_trials = (
                f"{sum(trial.state == 'complete' for trial in trials)} of {n_trials} trained to the end"
            )
        if search:
            figure.suptitle(f"Search {search}: {TITLES[name]}, {n_trials}", fontsize="medium")
        save_figure(figure, out_dir / f"{name}.png")


def draw_history(trials: Sequence[TrialResult], best: TrialResult) -> Figure:
    """Each trial's best validation AUC against its number, and the best so far."""
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    axes = figure.subplots()
    bottom = _lowest_shown(trials)
    for state, (colour, marker, name) in MARKS.items():
        of_state = [trial for trial in trials if trial.state == state and trial.best_val_auc is not None]
        if of_state:
            x = [trial.trial for trial in of_state]
            _points(axes, x, [trial.auc for trial in of_state], bottom, colour, marker, name)
    failed = [trial.trial for trial in trials if trial.state == "failed"]
    if failed:
        along_bottom = axes.get_xaxis_transform()
        style: dict[str, Any] = {"marker": "|", "markersize": 11, "markeredgewidth": 2}
        axes.plot(failed, [0.03] * len(failed), linestyle="none", color=GREY, transform=along_bottom, **style)
        axes.plot([], [], linestyle="none", color=GREY, label=f"failed ({len(failed)})", **style)
    complete = [trial for trial in trials if trial.state == "complete"]
    so_far = np.maximum.accumulate([trial.auc for trial in complete])
    steps = [trial.trial for trial in complete]
    # To the last trial, whatever became of that.
    axes.plot(
        [*steps, max(trial.trial for trial in trials)],
        [*so_far, so_far[-1]],
        drawstyle="steps-post",
        color=BLUE,
        alpha=0.5,
        linewidth=1.4,
        label="best so far",
    )
    _say_below(axes, trials, bottom)
    _ring(axes, best.trial, best.auc)
    axes.set(xlabel="trial", ylabel=AUC)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=6, fontsize="small")
    return figure


def draw_curves(trials: Sequence[TrialResult], best: TrialResult) -> Figure:
    """The validation AUC of each trial against the epoch: where it was given up, and the best."""
    figure = Figure(figsize=(8.5, 4.8), layout="constrained")
    axes = figure.subplots()
    bottom = _lowest_shown(trials, every_epoch=True)
    said = set()
    for trial in trials:
        aucs = np.asarray(trial.val_auc, dtype=np.float64)
        if not len(aucs) or trial is best:
            continue
        colour, marker, name = MARKS.get(trial.state, (GREY, "|", "failed"))
        label = None if name in said else name
        said.add(name)
        epochs = np.arange(1, len(aucs) + 1)
        dashes = "-" if trial.state == "complete" else "--"
        axes.plot(epochs, aucs, dashes, color=colour, linewidth=1, alpha=0.55, label=label)
        if trial.state != "complete":
            axes.plot(epochs[-1:], np.maximum(aucs[-1:], bottom), marker, color=colour, markersize=6)
    aucs = np.asarray(best.val_auc, dtype=np.float64)
    epochs = np.arange(1, len(aucs) + 1)
    axes.plot(epochs, aucs, color="black", linewidth=2, label=f"the best, trial {best.trial}")
    axes.plot(best.best_epoch or 0, best.auc, "o", color="black", markersize=6)
    highest = max(max(trial.val_auc, default=0.0) for trial in trials)
    axes.set_ylim(bottom - 0.03 * (highest - bottom) - 1e-6, highest + 0.05 * (highest - bottom) + 1e-6)
    axes.set(xlabel="epoch", ylabel=AUC)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize="small")
    return figure


def draw_slices(trials: Sequence[TrialResult], best: TrialResult, space: Mapping[str, Dimension]) -> Figure:
    """A panel for each key: the best validation AUC of each trial against the value that it had."""
    keys = sorted(space)
    n_columns = min(_N_COLUMNS, len(keys))
    n_rows = -(-len(keys) // n_columns)
    figure = Figure(figsize=(max(3.4 * n_columns, 6.0), 3.0 * n_rows + 0.5), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    bottom = _lowest_shown(trials)
    for number, (axes, key) in enumerate(zip(panels.flat, keys, strict=False)):
        position, ticks = _positions(key, space[key])
        for state, (colour, marker, name) in MARKS.items():
            shown = [trial for trial in trials if trial.state == state and trial.best_val_auc is not None]
            x = [position(trial) for trial in shown]
            label = name if number == 0 and shown else None
            _points(axes, x, [trial.auc for trial in shown], bottom, colour, marker, label)
        if number == 0:
            _say_below(axes, trials, bottom)
        _ring(axes, position(best), best.auc, label="the best" if number == 0 else None)
        axes.set_xlabel(key)
        if ticks is not None:
            crowded = sum(map(len, ticks)) > 26
            axes.set_xticks(
                range(len(ticks)),
                ticks,
                rotation=30 if crowded else 0,
                ha="right" if crowded else "center",
                fontsize="small",
            )
            axes.set_xlim(-0.5, len(ticks) - 0.5)
        elif space[key].log:
            axes.set_xscale("log")
        elif number_type(key) is int:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(keys) :]:
        axes.set_axis_off()
    for row in panels:
        row[0].set_ylabel(AUC)
    figure.legend(loc="outside lower center", ncols=4, fontsize="small")
    return figure


def draw_importance(trials: Sequence[TrialResult], space: Mapping[str, Dimension]) -> Figure:
    """How much of the spread of validation AUCs goes with each key (fANOVA, Hutter et al. 2014)."""
    shares = importance(trials, space)
    if not shares:
        figure = Figure(figsize=(6, 2), layout="constrained")
        text = (
            f"Importance needs at least {N_FOR_IMPORTANCE} trials\nthat were trained to the end and differ."
        )
        figure.text(0.5, 0.5, text, ha="center", va="center", color=GREY)
        return figure
    figure = Figure(figsize=(7.5, 0.42 * len(shares) + 1.2), layout="constrained")
    axes = figure.subplots()
    names = list(reversed(shares))
    bars = axes.barh(names, [shares[name] for name in names], color=BLUE, height=0.6)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize="small")
    axes.set(xlabel="share of the variance of the validation AUC", xlim=(0, max(shares.values()) * 1.12))
    axes.grid(alpha=0.3, axis="x")
    axes.set_axisbelow(True)
    return figure


def importance(trials: Sequence[TrialResult], space: Mapping[str, Dimension]) -> dict[str, float]:
    """The share of each key, the largest first; they add up to 1. Empty where there are too few trials."""
    complete = [trial for trial in trials if trial.state == "complete"]
    values = {trial.auc for trial in complete}
    if len(complete) < N_FOR_IMPORTANCE or len(values) < 2:
        return {}
    distributions: dict[str, BaseDistribution] = {
        key: distribution_of(key, dimension) for key, dimension in space.items()
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            create_trial(
                state=TrialState.COMPLETE,
                value=trial.auc,
                params={key: written(value) for key, value in trial.params.items()},
                distributions=distributions,
            )
            for trial in complete
        ]
    )
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {key: float(share) for key, share in shares.items()}


def _positions(key: str, dimension: Dimension) -> tuple[Any, list[str] | None]:
    """Where a trial stands on the axis of a key, and the names there if they are no numbers."""
    if dimension.choices is None:
        return (lambda trial: trial.params[key]), None
    names = [written(choice) for choice in dimension.choices]
    shown = [in_words(choice) for choice in dimension.choices]

    def position(trial: TrialResult) -> float:
        value = written(trial.params[key])
        at = next(at for at, name in enumerate(names) if type(name) is type(value) and name == value)
        # Beside one another: trials of one choice would hide each other.
        return float(at + 0.5 * ((trial.trial * 0.618034) % 1 - 0.5))

    return position, [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in shown]


def _points(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    bottom: float,
    colour: str,
    marker: str,
    label: str | None,
) -> None:
    """Points, those below the part that is shown at its edge, as arrows."""
    shown = np.asarray(y, dtype=np.float64)
    is_below = shown < bottom
    x_shown = np.asarray(x, dtype=np.float64)
    style: dict[str, Any] = {"linestyle": "none", "color": colour, "alpha": 0.8}
    name = None if label is None else f"{label} ({len(x)})"
    axes.plot(x_shown[~is_below], shown[~is_below], marker=marker, markersize=6, label=name, **style)
    if is_below.any():
        axes.plot(
            x_shown[is_below],
            np.full(int(is_below.sum()), bottom),
            marker="v",
            markersize=7,
            markerfacecolor="none",
            **style,
        )


def _say_below(axes: Axes, trials: Sequence[TrialResult], bottom: float) -> None:
    """Explain the arrows, if there are any."""
    if any(trial.auc < bottom for trial in trials):
        axes.plot([], [], "v", color=GREY, markerfacecolor="none", markersize=7, label="further down")


def _ring(axes: Axes, x: float, y: float, label: str | None = "the best") -> None:
    axes.plot(
        [x],
        [y],
        "o",
        markersize=12,
        markerfacecolor="none",
        markeredgecolor="black",
        markeredgewidth=1.4,
        linestyle="none",
        label=label,
    )


def _lowest_shown(trials: Sequence[TrialResult], *, every_epoch: bool = False) -> float:
    """Where the axis of the AUC begins: a few settings that learn nothing must not flatten all others."""
    if every_epoch:
        values = np.concatenate([np.asarray(trial.val_auc, dtype=np.float64) for trial in trials])
    else:
        values = np.asarray([trial.auc for trial in trials if trial.best_val_auc is not None])
    low, high = np.quantile(values, [0.25, 1.0])
    return float(max(values.min(), low - 2 * (high - low)))
