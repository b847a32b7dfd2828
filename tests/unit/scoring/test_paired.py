"""Two ensembles on the same objects: what one loses, and that the same objects are drawn for both."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stronglens.running.errors import InputError
from stronglens.scoring.paired import less, lost, measured_of
from stronglens.scoring.scored import Scored

LABELS = np.repeat([1, 0], 40)
NAMES = np.array([f"object {number}" for number in range(80)], dtype=object)


def scored(noise: float, seed: int) -> Scored:
    drawn = np.random.default_rng(seed).normal(0, noise, len(LABELS))
    return Scored(LABELS, np.clip(0.3 + 0.4 * LABELS + drawn, 0, 1), None, "objects", names=NAMES)


def test_what_is_lost_is_the_difference_of_the_metrics() -> None:
    own, reference = scored(0.3, 1), scored(0.2, 2)
    found = lost(own, 0.5, reference, 0.6)
    assert set(found) == {"own", "reference", "lost"}
    assert set(found["lost"]) == {"roc_auc", "accuracy", "recall", "specificity", "tpr_at_fpr_0.01"}
    for which, one, threshold in (("own", own, 0.5), ("reference", reference, 0.6)):
        assert found[which]["roc_auc"].value == pytest.approx(roc_auc_score(LABELS, one.probs))
        assert found[which]["recall"].value == pytest.approx((one.probs[:40] >= threshold).mean())
    for name, one in found["lost"].items():
        ahead, behind = found["reference"][name].value, found["own"][name].value
        assert ahead is not None
        assert behind is not None
        assert one.value == pytest.approx(ahead - behind)


def test_intervals_are_of_objects_that_are_drawn_for_both_alike() -> None:
    """Of two that say the same nothing is lost in any resample; one of them alone is uncertain."""
    found = lost(scored(0.3, 1), 0.5, scored(0.3, 1), 0.5)
    assert found["lost"]["roc_auc"].interval == [0, 0]
    interval = found["own"]["roc_auc"].interval
    assert interval is not None
    assert interval[0] < interval[1]


def test_other_objects_are_refused() -> None:
    other = Scored(LABELS, scored(0.3, 1).probs, None, "objects", names=NAMES[::-1])
    with pytest.raises(InputError, match="expected the same objects scored by both"):
        lost(scored(0.3, 1), 0.5, other, 0.5)


def test_what_is_undefined_stays_undefined() -> None:
    measured = measured_of(less({"recall": np.full(9, np.nan)}, {"recall": np.zeros(9)}))
    assert measured["recall"].value is None
