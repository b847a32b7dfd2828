"""Which objects the page of candidates shows, and in which views."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stronglens.ensembling.scored_set import ScoredSet
from stronglens.running.errors import InputError

Rows = npt.NDArray[np.int64]
"""Numbers of rows of an ensemble's table."""


@dataclass(frozen=True)
class View:
    """Some rows of a table, in the order in which they are looked at.

    Attributes
    ----------
    key, name, says : str
        For the page: a word, a title, and what the view shows.
    rows : ndarray of int64, shape (n_shown,)
        Which.
    """

    key: str
    name: str
    says: str
    rows: Rows


def best(scored: ScoredSet, n_most: int) -> View:
    """The highest probabilities, falling; of equals the one with the smaller key comes first."""
    rows = np.argsort(-scored.probs, kind="stable")[:n_most]
    n_all = len(scored.table)
    some = f"The {len(rows):,} of {n_all:,} objects with the highest probabilities."
    says = f"All {n_all:,} objects, the highest probabilities first." if len(rows) == n_all else some
    return View("best", "Best", says, rows)


def uncertain(scored: ScoredSet, n_most: int) -> View:
    """The probabilities nearest to t*, rising distance."""
    rows = np.argsort(np.abs(scored.probs - scored.threshold), kind="stable")[:n_most]
    some = f"The {len(rows):,} objects whose probabilities are nearest to t*."
    says = "All objects, the nearest to t* first." if len(rows) == len(scored.table) else some
    return View("uncertain", "Near t*", says, rows)


def mistakes(scored: ScoredSet, n_most: int) -> list[View]:
    """False positives and false negatives of labelled objects, those first that the networks are surest of.

    Raises
    ------
    InputError
        A label is not known.
    """
    labels = scored.table["label"].to_numpy()
    if not np.isin(labels, (0, 1)).all():
        raise InputError(f"{scored.ensemble.csv}: expected labelled objects, found some without a label")
    probs = scored.probs
    order = np.argsort(-probs, kind="stable")
    called = probs[order] >= scored.threshold
    false_positives = order[called & (labels[order] == 0)]
    false_negatives = order[~called & (labels[order] == 1)][::-1]
    return [
        _mistakes("False positives", "Non-lenses", "called lenses", false_positives, n_most),
        _mistakes("False negatives", "Lenses", "missed", false_negatives, n_most),
    ]


def _mistakes(name: str, what: str, how: str, rows: Rows, n_most: int) -> View:
    shown = rows[:n_most]
    counts = f"all {len(rows):,}" if len(shown) == len(rows) else f"{len(shown):,} of {len(rows):,}"
    says = f"{what} of the held-out split that are {how} at t*: {counts}, the surest first."
    return View(name.lower().replace(" ", "_"), name, says, shown)


def shown_rows(views: Sequence[View]) -> Rows:
    """All rows that some view shows, each once, in the order in which they first appear."""
    together = np.concatenate([view.rows for view in views]) if views else np.empty(0, np.int64)
    _, first = np.unique(together, return_index=True)
    rows: Rows = together[np.sort(first)]
    return rows
