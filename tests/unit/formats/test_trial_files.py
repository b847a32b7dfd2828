"""What trials leave, and which of them is the best."""

import math
from typing import Any

import pytest

from sidecar_examples import EXAMPLES
from stronglens.formats.trial_files import TrialResult, best_of
from stronglens.running.errors import InputError


def trial(number: int, state: str, auc: float | None, message: str | None = None) -> TrialResult:
    changed: dict[str, Any] = {"trial": number, "state": state, "best_val_auc": auc, "message": message}
    return TrialResult.model_validate(EXAMPLES[TrialResult] | changed)


def test_the_best_was_trained_to_its_end_and_is_the_first_of_equals() -> None:
    trials = [
        trial(4, "complete", 0.8),
        trial(0, "pruned", 0.99),
        trial(3, "complete", 0.9),
        trial(1, "complete", 0.9),
        trial(2, "failed", None),
    ]
    assert best_of(trials).trial == 1


def test_without_one_the_first_reason_is_given() -> None:
    trials = [
        trial(0, "pruned", 0.9),
        trial(1, "failed", None, "diverged"),
        trial(2, "failed", None, "other"),
    ]
    with pytest.raises(InputError, match=r"none of 3 trials was trained to its end: diverged$"):
        best_of(trials)
    with pytest.raises(InputError, match=r"none of 0 trials was trained to its end$"):
        best_of([])


def test_an_auc_that_is_not_known_is_nan() -> None:
    assert math.isnan(trial(0, "failed", None).auc)
    assert trial(0, "complete", 0.5).auc == 0.5
