import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import threshold
from ensemble import main as ensemble_main
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from stronglens.formats.threshold_file import read_threshold, write_threshold
from stronglens.running.errors import InputError
from stronglens.scoring.choosing import best_threshold
from stronglens.scoring.operating_points import youden_threshold
from stronglens.settings.decide import ThresholdSettings

LENSES = [f"slsim_lenses/D1_L_{number:08d}" for number in range(6)]
OTHERS = [f"hsc_nonlenses/D2_N_{number:08d}" for number in range(6)]


def brute_force(labels: list[int], probs: list[float]) -> float:
    """The highest of the probabilities with the highest J, compared as integers."""
    n_lenses, n_others = sum(labels), len(labels) - sum(labels)

    def scaled_j(at: float) -> int:
        called = [label for label, prob in zip(labels, probs, strict=True) if prob >= at]
        return sum(called) * n_others - (len(called) - sum(called)) * n_lenses

    return max(sorted(set(probs), reverse=True), key=scaled_j)


@given(st.data())
def test_is_the_best_of_all_distinct_probabilities(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 30))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda x: 0 < sum(x) < n))
    some = st.sampled_from([0.0, 0.1, 0.5, 0.5 + 1e-16, 0.7, 1.0]) | st.floats(0, 1)
    probs = data.draw(st.lists(some, min_size=n, max_size=n))
    assert youden_threshold(np.array(labels), np.array(probs)) == brute_force(labels, probs)


def test_of_equal_j_the_highest() -> None:
    # J is 1/2 at 0.8 and at 0.2.
    assert youden_threshold(np.array([1, 0, 1, 0]), np.array([0.8, 0.6, 0.2, 0.1])) == 0.8


def test_no_better_than_chance_still_gives_a_probability() -> None:
    assert youden_threshold(np.array([0, 1]), np.array([0.9, 0.1])) == 0.1


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_one_class_only(labels: list[int]) -> None:
    with pytest.raises(InputError, match="both classes"):
        youden_threshold(np.array(labels, dtype=np.int64), np.linspace(0, 1, len(labels)))


@given(st.floats(0, 1))
def test_file_gives_back_the_same_number(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    path = tmp_path_factory.getbasetemp() / "threshold.txt"
    write_threshold(path, value)
    assert read_threshold(path) == value


@pytest.mark.parametrize("text", ["", "abc", "nan", "1.5", "-0.1", "0.5 0.6", "inf"])
def test_unreadable_file_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "threshold.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"threshold\.txt: expected"):
        read_threshold(path)


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


def chosen(labels: list[int], probs: list[float], **settings: object) -> float:
    return best_threshold(np.array(labels), np.array(probs), ThresholdSettings.model_validate(settings))


@given(st.data())
def test_other_methods_try_all_distinct_probabilities(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 25))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda x: 0 < sum(x) < n))
    probs = data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0]), min_size=n, max_size=n))
    prevalence = data.draw(st.sampled_from([None, 0.5, 1e-3]))
    method = data.draw(st.sampled_from(["fbeta", "fpr", "purity"]))
    settings = {"method": method, "fpr": 0.3, "purity": 0.6, "beta": 0.5, "prevalence": prevalence}
    n_lenses, n_others = sum(labels), n - sum(labels)
    sky = n_lenses / n if prevalence is None else prevalence

    def value(at: float) -> float:
        """What is to be as high as can be; below 0 where the threshold will not do."""
        true = sum(label for label, prob in zip(labels, probs, strict=True) if prob >= at) / n_lenses
        false = sum(1 - label for label, prob in zip(labels, probs, strict=True) if prob >= at) / n_others
        purity = sky * true / (sky * true + (1 - sky) * false)
        if method == "fbeta":
            return 1.25 * purity * true / (0.25 * purity + true) if true else 0
        allowed = false <= 0.3 + 1e-12 if method == "fpr" else purity >= 0.6 - 1e-12
        return true if allowed and true else -1

    best = max(map(value, probs))
    if best < 0:
        with pytest.raises(InputError, match="ask for less"):
            chosen(labels, probs, **settings)
        return
    found = chosen(labels, probs, **settings)
    assert found in probs
    assert value(found) == pytest.approx(best, rel=1e-9)
    assert not [at for at in probs if at > found and value(at) > best - 1e-12]  # of equals the highest


def test_of_equal_f_betas_the_highest_threshold_though_they_are_rounded_differently() -> None:
    # 2 of 7 lenses and no other, or 6 of 7 lenses and 3 of 6 others: both 2/3.
    labels = [0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1]
    probs = [0.1, 0.1, 0.1, 0.5, 0.5, 0.0, 0.0, 0.0, 0.1, 0.1, 0.0, 0.1, 0.1]
    assert chosen(labels, probs, method="fbeta", beta=0.5, prevalence=0.5) == 0.5


def test_rare_lenses_want_a_higher_threshold() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([1, 0], 500)
    probs = 1 / (1 + np.exp(-generator.normal(2 * labels - 1, 1)))
    at = [
        best_threshold(labels, probs, ThresholdSettings(method="fbeta", beta=1, prevalence=prevalence))
        for prevalence in (0.5, 0.05, 0.005)
    ]
    assert at[0] < at[1] < at[2]


def test_a_false_positive_rate_of_a_whole_number_of_objects() -> None:
    # 0.29 x 100 comes out below 29
    labels, probs = [0] * 100 + [1], [*np.linspace(1, 0.01, 100).round(2), 0.72]
    assert chosen(labels, probs, method="fpr", fpr=0.29) == 0.72


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
