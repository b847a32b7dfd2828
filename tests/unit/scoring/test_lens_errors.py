"""Errors of estimated lens parameters, by hand."""

import numpy as np
import pytest

from stronglens.scoring import bootstrap
from stronglens.scoring.lens_errors import errors_of, in_words


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.resamples, "__defaults__", (None, 100, 0))


def test_errors_by_hand() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    errors = np.array([0.1, 0.2, 0.3, 0.0, 5.0])
    found = errors_of(truth, truth + errors, np.arange(5))
    intervals = found.pop("intervals")
    assert found == {
        "n": 5,
        "bias": pytest.approx(0.2),
        "scatter_mad": pytest.approx(1.4826 * 0.1),  # deviations 0.1, 0, 0.1, 0.2, 4.8
        "rms": pytest.approx(np.sqrt((0.01 + 0.04 + 0.09 + 25) / 5)),
        "rms_of_mean": pytest.approx(np.sqrt(2)),
        "outlier_fraction": pytest.approx(0.2),
    }
    low, high = intervals["bias"]
    assert 0 <= low < 0.2 < high <= 5
    assert in_words(found, "mag").startswith("bias +0.2, scatter 0.148, rms 2.24 mag (always the mean: 1.41)")


def test_rows_of_one_object_are_drawn_together() -> None:
    truth, errors = np.zeros(40), np.repeat([0.0, 1.0], 20)
    together = errors_of(truth, errors, np.repeat([0, 1], 20))["intervals"]["rms"]
    apart = errors_of(truth, errors, np.arange(40))["intervals"]["rms"]
    assert together == [0, 1]
    assert 0.4 < apart[0] < apart[1] < 0.9


def test_nothing_known_is_said() -> None:
    nothing = np.empty(0)
    found = errors_of(nothing, nothing, np.empty(0, dtype=np.int64))
    assert (found["n"], found["bias"], found["intervals"]) == (0, None, None)
    assert in_words(found, "") == "known of no lens here"


def test_pulls_by_hand() -> None:
    truth, errors = np.arange(5.0), np.array([0.1, -0.2, 0.3, 0.0, -0.5])
    stds = np.array([0.1, 0.1, 0.2, 0.1, 0.2])  # pulls 1, -2, 1.5, 0, -2.5
    found = errors_of(truth, truth + errors, np.arange(5), stds)
    assert found["coverage_68"] == pytest.approx(2 / 5)
    assert found["coverage_95"] == pytest.approx(3 / 5)
    assert found["mean_pull"] == pytest.approx(-0.4)
    assert found["rms_pull"] == pytest.approx(np.sqrt((1 + 4 + 2.25 + 6.25) / 5))
    low, high = found["intervals"]["coverage_68"]
    assert 0 <= low < 0.4 < high <= 1
    assert "40.0% within one standard deviation, 60.0% within 1.96, rms pull 1.64" in in_words(found, "")
    plain = errors_of(truth, truth + errors, np.arange(5))
    assert plain == {key: value for key, value in found.items() if key in plain} | {
        "intervals": {key: found["intervals"][key] for key in plain["intervals"]}
    }


def test_gaussians_of_the_right_width_have_the_stated_coverage() -> None:
    rng = np.random.default_rng(7)
    stds, truth = rng.uniform(0.1, 2, 5000), rng.normal(size=5000)
    found = errors_of(truth, truth + rng.normal(0, stds), np.arange(5000), stds)
    assert found["coverage_68"] == pytest.approx(0.6827, abs=0.02)
    assert found["coverage_95"] == pytest.approx(0.95, abs=0.01)
    assert found["mean_pull"] == pytest.approx(0, abs=0.04)
    assert found["rms_pull"] == pytest.approx(1, abs=0.03)
    of_none = np.empty(0)
    nothing = errors_of(of_none, of_none, np.empty(0, dtype=np.int64), of_none)
    assert (nothing["n"], nothing["coverage_68"], nothing["rms_pull"]) == (0, None, None)
