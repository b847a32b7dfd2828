"""The area under the ROC curve that is counted on the device is scikit-learn's."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score

from stronglens.training.validation import roc_auc


@pytest.mark.parametrize("decimals", [1, 2, 7])
@pytest.mark.parametrize("n", [2, 3, 50, 3001])
def test_it_is_exact_with_ties_too(n: int, decimals: int) -> None:
    generator = torch.Generator().manual_seed(n)
    scores = torch.randn(n, generator=generator).round(decimals=decimals)
    labels = (torch.rand(n, generator=generator) > 0.7).float()
    labels[:2] = torch.tensor([0.0, 1.0])
    expected = roc_auc_score(labels.numpy(), scores.double().numpy())
    assert roc_auc(scores, labels).item() == pytest.approx(expected, abs=1e-14)


def test_signed_zeros_and_equal_scores_are_ties() -> None:
    assert roc_auc(torch.tensor([0.0, -0.0, -0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])).item() == 0.5


@pytest.mark.parametrize("scores", [[1.0, math.nan], [math.inf, 0.0]])
def test_without_both_classes_or_with_scores_that_are_not_finite_it_is_undefined(scores: list[float]) -> None:
    assert roc_auc(torch.tensor(scores), torch.tensor([0.0, 1.0])).isnan()
    for label in (0.0, 1.0):
        assert roc_auc(torch.tensor([0.1, 0.2]), torch.full((2,), label)).isnan()
