"""Calibrated widths: factors on made-up lenses."""

import logging

import numpy as np
import pytest

from stronglens.ensembling.width_calibration import FEWEST_LENSES, WITHIN_ONE_STD, fit_factors


def made(n: int, seed: int, *, too_small_by: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Estimates of Rein whose widths are too small, and what is true; of every third nothing is known."""
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0.02, 0.3, n)
    truth = rng.uniform(0.5, 3, n)
    estimates = {"Rein": truth + rng.normal(0, errors), "Rein_std": errors / too_small_by}
    return estimates, {"Rein": np.where(np.arange(n) % 3, truth, np.nan)}


@pytest.mark.parametrize("too_small_by", [0.5, 1.0, 3.0])
def test_the_factor_makes_68_percent_of_other_lenses_lie_within_one_width(too_small_by: float) -> None:
    factors = fit_factors(*made(6000, 1, too_small_by=too_small_by))
    assert factors["Rein"] == pytest.approx(too_small_by, rel=0.05)
    estimates, truth = made(60_000, 2, too_small_by=too_small_by)
    within = np.abs(estimates["Rein"] - truth["Rein"]) <= factors["Rein"] * estimates["Rein_std"]
    assert within[np.isfinite(truth["Rein"])].mean() == pytest.approx(WITHIN_ONE_STD, abs=0.02)


def test_by_hand() -> None:
    n = 29  # the ceil(0.6827 * 30) = 21st smallest
    pulls = np.arange(1.0, n + 1)
    order = np.random.default_rng(0).permutation(n)
    found = fit_factors({"zlens": (pulls * 0.1)[order], "zlens_std": np.full(n, 0.1)}, {"zlens": np.zeros(n)})
    assert found == {"zlens": pytest.approx(21.0)}


def test_over_small_sets_the_coverage_is_68_percent_on_average() -> None:
    """What a plain quantile of few lenses does not reach."""
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(2000):
        pulls = rng.normal(size=FEWEST_LENSES)
        truth = {"sh": np.zeros(FEWEST_LENSES)}
        factor = fit_factors({"sh": pulls, "sh_std": np.ones(FEWEST_LENSES)}, truth)["sh"]
        covered.append(np.abs(rng.normal(size=50)) <= factor)
    assert WITHIN_ONE_STD - 0.01 < np.mean(covered) < WITHIN_ONE_STD + 0.06


def test_of_few_lenses_widths_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    estimates, truth = made(28, 5, too_small_by=3)  # 18 known
    with caplog.at_level(logging.WARNING):
        assert fit_factors(estimates, truth) == {"Rein": 1.0}
    assert "Rein is known of 18 validation lenses, fewer than 20" in caplog.text


def test_exact_estimates_keep_a_width() -> None:
    truth = {"zsrc": np.ones(30)}
    assert fit_factors({"zsrc": np.ones(30), "zsrc_std": np.ones(30)}, truth) == {"zsrc": 1.0}
