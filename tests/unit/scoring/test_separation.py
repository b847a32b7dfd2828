"""Probabilities that tell nothing apart: an error where rounding decides, a warning where chance may."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import threshold
from ensemble import main as ensemble_main
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from stronglens.running.errors import InputError
from stronglens.scoring.choosing import best_threshold
from stronglens.scoring.separation import chance_warning, refuse_rounding_noise
from stronglens.settings.decide import ThresholdSettings

KEYS = [f"{bucket}/D_{number:08d}" for bucket in ("slsim_lenses", "hsc_nonlenses") for number in range(40)]


def choose(folder: Path, prob: Callable[[str, str], float], *options: str, seeds: int = 1) -> int:
    packed = write_packed_tables(folder / "packed", cutouts_of(KEYS))
    folders = [
        write_prediction(folder / f"pred/{seed}", packed, prob if seed == 1 else honest, seed=seed)
        for seed in range(1, seeds + 1)
    ]
    given = [f"--predictions={one}" for one in folders]
    assert ensemble_main([*given, f"--packed={packed}", f"--out-dir={folder / 'ens'}"]) == 0
    more = [*given, *options] if options else []
    return threshold.main([f"--ensemble-csv={folder}/ens/val_ens.csv", f"--out-dir={folder}/out", *more])


def noise(key: str) -> float:
    return np.random.default_rng(int(key[-2:]) + 100 * ("non" in key)).normal()


def honest(key: str, band: str) -> float:
    return float(1 / (1 + np.exp(-noise(key) - (0 if "non" in key else 3))))


def inverted(key: str, band: str) -> float:
    return 1 - honest(key, band)


def constant(key: str, band: str) -> float:
    return 0.4931640625


def rounded(key: str, band: str) -> float:
    return 0.4931640625 * (1 + 1e-7 * noise(key))


def mostly_rounded(key: str, band: str) -> float:
    return 0.1 if key.endswith("7") else rounded(key, band)


def saturated(key: str, band: str) -> float:
    return float(key.startswith("hsc"))


@pytest.mark.parametrize("prob", [constant, rounded])
def test_equal_probabilities_are_an_error(
    tmp_path: Path, prob: Callable[[str, str], float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose(tmp_path, prob) == 1
    assert f"val_ens.csv: expected probabilities that differ, found 0.493164 for all {len(KEYS)}" in (
        capsys.readouterr().err
    )
    assert not list(tmp_path.glob("out/*"))


def test_a_threshold_within_rounding_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose(tmp_path, mostly_rounded) == 1
    said = capsys.readouterr().err
    assert "val_ens.csv: expected a threshold that tells objects apart, found t* = 0.4931" in said
    assert not list(tmp_path.glob("out/*"))


def test_a_member_that_tells_nothing_apart_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose(tmp_path, constant, "--settings.method=mean_of_members", seeds=2) == 1
    assert f"{tmp_path}/pred/1/pred_val.csv: expected probabilities that differ" in capsys.readouterr().err


@pytest.mark.parametrize(("prob", "area"), [(inverted, "AUC 0.0"), (saturated, "AUC 0.000 ")])
def test_the_wrong_way_round_is_a_warning_that_stays(
    tmp_path: Path, prob: Callable[[str, str], float], area: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose(tmp_path, prob) == 0
    stated = json.loads((tmp_path / "out/metrics_val_ens.json").read_text())["global"]
    (warning,) = stated["warnings"]
    assert warning.startswith(area) and "the wrong way round" in warning
    assert warning in capsys.readouterr().err


def test_honest_probabilities_are_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose(tmp_path, honest) == 0
    assert "warnings" not in json.loads((tmp_path / "out/metrics_val_ens.json").read_text())["global"]
    assert "AUC" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("area", "interval", "warns"),
    [
        *(
            (0.6, [0.45, 0.7], True),
            (0.6, [0.5, 0.7], True),
            (0.6, [0.51, 0.7], False),
            (0.3, [0.2, 0.4], True),
        ),
        *((0.0, None, True), (0.5, None, True), (1.0, None, False), (None, None, False)),
    ],
)
def test_chance_within_the_interval(area: float | None, interval: list[float] | None, warns: bool) -> None:
    found = chance_warning({"roc_auc": area, "intervals": {"roc_auc": interval}})
    assert (found is not None) == warns


@pytest.mark.parametrize("n_steps", [2, 5, 1000])
@pytest.mark.parametrize("centre", [-12.0, 0.0, 9.0])
def test_calibrated_and_rare_probabilities_are_not_noise(n_steps: int, centre: float) -> None:
    generator = np.random.default_rng(n_steps)
    labels = generator.integers(0, 2, 1000)
    steps = np.digitize(generator.normal(2 * labels), np.linspace(-2, 4, n_steps + 1)[1:-1])
    probs = 1 / (1 + np.exp(-centre - 3 * steps / n_steps))
    for method in ("youden", "fbeta", "fpr"):
        chosen = best_threshold(
            labels, probs, ThresholdSettings.model_validate({"method": method, "fpr": 0.5})
        )
        refuse_rounding_noise("x", probs, chosen)
    with pytest.raises(InputError, match="expected"):
        tiny = probs.mean() * (1 + 1e-6 * (probs - probs.mean()))
        refuse_rounding_noise("x", tiny, float(np.median(tiny)))
