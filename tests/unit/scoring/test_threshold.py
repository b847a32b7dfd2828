"""The step that chooses a threshold: what it writes, warns of and refuses."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import threshold
from ensemble import main as ensemble_main
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from stronglens.formats.threshold_file import read_threshold

LENSES = [f"slsim_lenses/D1_L_{number:08d}" for number in range(6)]
OTHERS = [f"hsc_nonlenses/D2_N_{number:08d}" for number in range(6)]


def member_prob(seed: int, key: str, band: str) -> float:
    """Differs from object to object, from band to band and from member to member."""
    number = int(key[-2:])
    centre = 0.7 if "/D1_L" in key else 0.3
    return centre + 0.05 * (number % 3) * (1 if seed == 1 else -1) + 0.01 * "grizy".index(band) + 0.001 * seed


def write_ensemble(
    folder: Path,
    seeds: tuple[int, ...] = (1, 2, 3),
    keys: list[str] | None = None,
    combination: str = "mean_of_probs",
) -> list[Path]:
    """A validation ensemble in `folder/ens`; returns the folders of its members' predictions."""
    packed = write_packed_tables(folder / "packed", cutouts_of(keys or LENSES + OTHERS))
    folders = [
        write_prediction(folder / f"pred/{seed}", packed, partial(member_prob, seed), seed=seed)
        for seed in seeds
    ]
    options = [f"--predictions={one}" for one in folders]
    options.append(f"--settings.combine-members={combination}")
    assert ensemble_main([*options, f"--packed={packed}", f"--out-dir={folder / 'ens'}"]) == 0
    return folders


def run(folder: Path, *options: str) -> int:
    return threshold.main([f"--ensemble-csv={folder}/ens/val_ens.csv", f"--out-dir={folder}/out", *options])


def test_writes_threshold_and_metrics(tmp_path: Path) -> None:
    write_ensemble(tmp_path)
    assert run(tmp_path) == 0
    t_star = float((tmp_path / "out/threshold.txt").read_text())
    metrics = json.loads((tmp_path / "out/metrics_val_ens.json").read_text())
    assert set(metrics) == {"global", "domain::slsim", "domain::hsc"}
    assert metrics["global"]["threshold"] == t_star
    assert metrics["global"]["accuracy"] == 1  # the two classes do not overlap
    assert metrics["global"]["tp"] == len(LENSES)
    assert metrics["domain::hsc"]["roc_auc"] is None


def test_few_objects_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ensemble(tmp_path)
    assert run(tmp_path) == 0
    low, high = json.loads((tmp_path / "out/metrics_val_ens.json").read_text())["global"]["intervals"][
        "threshold"
    ]
    warning = "validation has 6 lenses and 6 non-lenses, fewer than 100 of a kind"
    said = capsys.readouterr().err
    assert warning in said
    assert f"from {low:.3f} to {high:.3f}" in said
    monkeypatch.setattr("stronglens.scoring.threshold.FEW_OBJECTS", 6)
    assert run(tmp_path) == 0
    assert "fewer than" not in capsys.readouterr().err


def own_thresholds(seeds: tuple[int, ...]) -> list[float]:
    """Of separable classes the best threshold of a member is its lowest mean over the bands of a lens."""
    return [
        min(float(np.mean([member_prob(seed, key, band) for band in "grizy"])) for key in LENSES)
        for seed in seeds
    ]


@pytest.mark.parametrize(
    ("method", "centre"), [("mean_of_members", np.mean), ("median_of_members", np.median)]
)
def test_members_own_thresholds(tmp_path: Path, method: str, centre: Callable[[list[float]], float]) -> None:
    folders = write_ensemble(tmp_path)
    options = [f"--predictions={folder}" for folder in reversed(folders)]
    assert run(tmp_path, *options, "--settings", json.dumps({"method": method})) == 0
    expected = centre(own_thresholds((1, 2, 3)))
    assert read_threshold(tmp_path / "out/threshold.txt") == pytest.approx(expected, rel=1e-14)


def test_mean_and_median_differ() -> None:
    own = own_thresholds((1, 2, 3))
    assert abs(np.mean(own) - np.median(own)) > 1e-3


def test_method_of_members_needs_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ensemble(tmp_path)
    assert run(tmp_path, "--settings.method=mean_of_members") == 2
    assert "needs --predictions" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The message of a run that must fail and leave nothing."""
    assert run(folder, *options) == 1
    assert not list(folder.glob("out/*"))
    return capsys.readouterr().err


def test_predictions_of_other_members(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = write_ensemble(tmp_path)
    options = [f"--predictions={folder}" for folder in folders[:2]]
    message = refused(tmp_path, capsys, *options, "--settings.method=mean_of_members")
    assert "expected those of the members" in message
    assert "nano seed 2" in message


def test_predictions_of_other_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = write_ensemble(tmp_path)
    packed = tmp_path / "packed"
    fewer = write_prediction(
        tmp_path / "fewer", packed, lambda key, band: 0.5, seed=3, keep=lambda key: key != LENSES[0]
    )
    options = [f"--predictions={folder}" for folder in (*folders[:2], fewer)]
    assert "same objects" in refused(tmp_path, capsys, *options, "--settings.method=mean_of_members")


def test_lenses_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ensemble(tmp_path, keys=LENSES)
    assert "found 6 lenses and 0 non-lenses" in refused(tmp_path, capsys)


def test_changed_ensemble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ensemble(tmp_path)
    csv = tmp_path / "ens/val_ens.csv"
    csv.write_text(csv.read_text().replace(",1,0.", ",0,0.", 1))
    assert "expected sha256" in refused(tmp_path, capsys)


def test_missing_ensemble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "val_ens.json: expected a JSON file" in refused(tmp_path, capsys)


def test_few_false_positives_are_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ensemble(tmp_path)
    assert run(tmp_path, "--settings", json.dumps({"method": "purity", "prevalence": 1e-3})) == 0
    assert "0 of the 6 non-lenses of validation pass t*" in capsys.readouterr().err
    metrics = json.loads((tmp_path / "out/metrics_val_ens.json").read_text())["global"]
    assert metrics["recall"] == metrics["precision"] == 1
    low, high = metrics["intervals"]["threshold"]
    assert low <= metrics["threshold"] <= high


def test_methods_of_members_need_their_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = write_ensemble(tmp_path, combination="mean_of_logits")
    options = [f"--predictions={folder}" for folder in folders]
    message = refused(tmp_path, capsys, *options, "--settings.method=mean_of_members")
    assert "expected the mean of members" in message
