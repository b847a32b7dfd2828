"""Weights of samples: groups weigh the same in sum."""

import pandas as pd
import pytest

from stronglens.training.balance import balancing_weights

TABLE = pd.DataFrame(
    {
        "label": [1, 0, 0, 0, 1, 1, 0, 0],
        "domain": ["hsc", "hsc", "slsim", "hsc", "slsim", "hsc", "hsc", "hsc"],
    }
)


def test_no_weights_by_default() -> None:
    assert balancing_weights(TABLE, "none") is None
    assert balancing_weights(TABLE, "none", n_unlabelled=3) is None


@pytest.mark.parametrize(
    ("balance", "columns"), [("class", ["label"]), ("domain", ["domain"]), ("bucket", ["label", "domain"])]
)
def test_groups_weigh_the_same(balance: str, columns: list[str]) -> None:
    weights = balancing_weights(TABLE, balance)  # type: ignore[arg-type]
    assert weights is not None
    assert weights.mean().item() == pytest.approx(1)
    sums = TABLE.assign(weight=weights.numpy()).groupby(columns)["weight"].sum()
    assert len(sums) == 2 ** len(columns)
    assert sums.to_numpy() == pytest.approx(len(TABLE) / len(sums))


def test_what_is_in_no_group_weighs_one_and_changes_no_group() -> None:
    alone, more = (balancing_weights(TABLE, "bucket", n) for n in (0, 3))
    assert alone is not None and more is not None
    assert more.tolist() == [*alone.tolist(), 1, 1, 1]
