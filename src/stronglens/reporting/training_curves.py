"""Learning curves of all members of an ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stronglens.formats.figures import GREY, save_figure
from stronglens.formats.member_files import RESULTS, TrainingResults
from stronglens.running.errors import InputError

PANELS = (
    ("val_auc", "validation AUC"),
    ("val_loss", "validation loss (cross-entropy)"),
    ("train_loss", "training loss (cross-entropy)"),
    ("lr", "learning rate"),
)
"""Columns of `training_log.csv` that are drawn, and what they are."""

SMALLEST_AUC_RANGE, SMALLEST_LOSS_RANGE = 0.1, 0.1
"""Of an axis: smaller differences between epochs are noise, and look like it."""

LARGEST_LR_RATIO = 100.0
"""Of the axis: the last step of a cosine, a rate next to 0, would leave no room for all others."""

DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Training:
    """The training of one member.

    Attributes
    ----------
    model : str
        Name of its model.
    seed : int
        Its seed.
    epochs : DataFrame
        A row an epoch: epoch (from 1), and the columns of `PANELS`.
    best_epoch : int
        The epoch whose weights were kept.
    """

    model: str
    seed: int
    epochs: pd.DataFrame
    best_epoch: int


def read_training(folder: Path) -> Training:
    """Read the log of a member's training.

    Parameters
    ----------
    folder : Path
        The member's, with `training_log.csv` and `results.json`.

    Raises
    ------
    InputError
        A file is missing or malformed.
    """
    results = TrainingResults.read(folder / RESULTS)
    path = folder / "training_log.csv"
    try:
        epochs = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the log of a training, found something else ({error})") from error
    missing = {"epoch", *(column for column, _ in PANELS)} - set(epochs)
    if missing:
        raise InputError(f"{path}: expected columns {', '.join(sorted(missing))}, found none of these names")
    return Training(results.model, results.seed, epochs, results.best.epoch)


def plot_training(members: Sequence[Path], path: Path, ensemble: str = "") -> None:
    """Draw the learning curves of members.

    Parameters
    ----------
    members : sequence of Path
        Their folders; none if no member was trained here, which the figure then says.
    path : Path
        A PNG file; a PDF file is written beside it.
    ensemble : str
        Its name, for the title.
    """
    save_figure(draw_training([read_training(folder) for folder in members], ensemble), path)


def draw_training(trainings: Sequence[Training], ensemble: str = "") -> Figure:
    """A panel for each of `PANELS`: colour by seed, dashes by model, a dot at each best epoch."""
    if not trainings:
        return _nothing("No member of this ensemble was trained here.")
    figure = Figure(figsize=(9.5, 6.2), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).flat
    models = list(dict.fromkeys(one.model for one in trainings))
    seeds = sorted({one.seed for one in trainings})
    # Even steps of one map differ in lightness too, whatever the number of seeds.
    colours = dict(zip(seeds, colormaps["viridis"](np.linspace(0, 0.88, len(seeds))), strict=True))
    for axes, (column, name) in zip(panels, PANELS, strict=True):
        for one in trainings:
            style: dict[str, Any] = {
                "color": colours[one.seed],
                "linestyle": DASHES[models.index(one.model) % len(DASHES)],
                "label": f"{one.model} seed {one.seed}",
            }
            axes.plot(one.epochs["epoch"], one.epochs[column], linewidth=1.4, **style)
            at_best = one.epochs.loc[one.epochs["epoch"] == one.best_epoch, column]
            axes.plot([one.best_epoch] * len(at_best), at_best, "o", color=colours[one.seed], markersize=5)
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if column == "val_auc":
            _at_least(axes, SMALLEST_AUC_RANGE, most=1.0)
        if column.endswith("loss"):
            _at_least(axes, SMALLEST_LOSS_RANGE)
        if column == "lr" and all((one.epochs["lr"] > 0).all() for one in trainings):
            axes.set_yscale("log")
            highest = max(float(one.epochs["lr"].max()) for one in trainings)
            axes.set_ylim(bottom=max(axes.get_ylim()[0], highest / LARGEST_LR_RATIO))
    for axes in figure.axes[2:]:
        axes.set_xlabel("epoch")
    of = f"Ensemble {ensemble}: training" if ensemble else "Training"
    n_members = f"{len(trainings)} member{'s' if len(trainings) > 1 else ''}"
    figure.suptitle(f"{of} of {n_members} (dot: the epoch that was kept)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), fontsize="small")
    return figure


def _at_least(axes: Axes, span: float, most: float = np.inf) -> None:
    """Widen the vertical range, so that noise does not fill the panel; values are not above `most`."""
    low, high = axes.get_ylim()
    lack = max(0.0, span - (high - low)) / 2
    top = min(high + lack, max(high, most))
    axes.set_ylim(min(low, top - span), top)


def _nothing(text: str) -> Figure:
    figure = Figure(figsize=(6, 2), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center", color=GREY)
    return figure
