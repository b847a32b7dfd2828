"""What the page of candidates shows, in which order."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stronglens.candidates.choose import View, best, mistakes, shown_rows, uncertain
from stronglens.ensembling.scored_set import ScoredSet
from stronglens.formats.ensemble_table import EnsembleDescription, EnsembleTable
from stronglens.running.errors import InputError

PROBS = [0.2, 0.9, 0.5, 0.9, 0.45, 0.6]


def scored(labels: list[int] | None = None) -> ScoredSet:
    description = EnsembleDescription(members=[], level="object", sha256={})
    table = pa.table({"prob": PROBS, "label": labels or [-1] * 6})
    return ScoredSet(EnsembleTable(Path("test_ens.csv"), description), table, 0.5)


def test_the_best_come_first_and_of_equals_the_first() -> None:
    assert best(scored(), 4).rows.tolist() == [1, 3, 5, 2]
    assert best(scored(), 4).says == "The 4 of 6 objects with the highest probabilities."
    assert best(scored(), 100).rows.tolist() == [1, 3, 5, 2, 4, 0]
    assert best(scored(), 6).says == "All 6 objects, the highest probabilities first."


def test_those_near_the_threshold() -> None:
    assert uncertain(scored(), 3).rows.tolist() == [2, 4, 5]
    assert uncertain(scored(), 3).says == "The 3 objects whose probabilities are nearest to t*."
    assert uncertain(scored(), 6).says == "All objects, the nearest to t* first."


def test_mistakes_are_those_at_the_threshold_the_surest_first() -> None:
    false_positives, false_negatives = mistakes(scored([1, 0, 0, 1, 1, 0]), 10)
    assert false_positives.rows.tolist() == [1, 5, 2]  # 0.5 is called a lens
    assert false_negatives.rows.tolist() == [0, 4]
    assert false_positives.key == "false_positives"
    assert "called lenses at t*: all 3, the surest first" in false_positives.says
    few, _ = mistakes(scored([1, 0, 0, 1, 1, 0]), 2)
    assert few.rows.tolist() == [1, 5]
    assert "2 of 3" in few.says


def test_mistakes_need_labels() -> None:
    with pytest.raises(InputError, match=r"test_ens\.csv: expected labelled objects, found some without"):
        mistakes(scored([1, 0, -1, 1, 1, 0]), 2)


def test_rows_of_several_views_come_once() -> None:
    views = [View("a", "", "", np.array([3, 1])), View("b", "", "", np.array([2, 1, 0]))]
    assert shown_rows(views).tolist() == [3, 1, 2, 0]
    assert shown_rows([]).tolist() == []
