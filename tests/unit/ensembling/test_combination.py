"""Combining bands and members, calibration, prevalence: fitted on validation, applied to test sets."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

import ensemble
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from member_scores import scores_of
from stronglens.ensembling.combination import Combination, corrected_for_prevalence
from stronglens.formats.threshold_file import write_threshold
from stronglens.settings.decide import CombineSettings


def test_mean_of_logits() -> None:
    settings = CombineSettings(combine_members="mean_of_logits")
    probs = np.array([[0.9, 0.2], [0.5, 0.2]])
    found = Combination(settings=settings).apply([scores_of(one) for one in probs])
    assert found.prob == pytest.approx(expit(logit(probs).mean(axis=0)))
    assert found.prob_std == pytest.approx(probs.std(axis=0, ddof=1))


@given(st.floats(0, 1), st.floats(1e-6, 0.99), st.floats(1e-6, 0.99))
def test_prevalence_is_bayes(prob: float, here: float, sky: float) -> None:
    found = float(corrected_for_prevalence(np.array([prob]), here, sky)[0])
    assert 0 <= found <= 1
    if 0.001 < prob < 0.999:
        odds = prob / (1 - prob) * (sky / (1 - sky)) / (here / (1 - here))
        assert found == pytest.approx(odds / (1 + odds))
    assert corrected_for_prevalence(np.array([prob]), here, here)[0] == pytest.approx(prob)


LENSES = [f"{domain}_lenses/D_L_{number:08d}" for domain in ("hsc", "slsim") for number in range(8)]
OTHERS = [f"{domain}_nonlenses/D_N_{number:08d}" for domain in ("hsc", "slsim") for number in range(8)]
BLIND = [f"object_{number:05d}" for number in range(20)]
FITTED = {
    "combine_bands": "logistic",
    "combine_members": "weighted",
    "calibration": "platt",
    "sky_prevalence": 1e-3,
}


def prob_of(seed: int):
    def prob(key: str, band: str) -> float:
        generator = np.random.default_rng([seed, *key.encode(), *band.encode()])
        return float(expit(generator.normal(1.5 if "_lenses" in key else -1.0, 1.5)))

    return prob


def write_run(folder: Path, n_parts: int = 1) -> tuple[list[str], list[str]]:
    """Options of the validation ensemble and of the test set's: two members with bands, one with stacks."""
    keys = LENSES + OTHERS
    options: dict[str, list[str]] = {"val": [], "test": []}
    for which, names, labelled in (("val", keys, True), ("test", BLIND, False)):
        for part in range(n_parts if which == "val" else 1):
            of_part = names[part :: n_parts if which == "val" else 1]
            packed = write_packed_tables(
                folder / f"packed_{which}_{part}", cutouts_of(of_part), labelled=labelled
            )
            options[which].append(f"--packed={packed}")
            for seed in (1, 2, 3):
                prediction = write_prediction(
                    folder / f"{which}_{part}/{seed}",
                    packed,
                    prob_of(seed),
                    which=which,
                    seed=seed,
                    stacked=seed == 3,
                )
                options[which].append(f"--predictions={prediction}")
    return options["val"], options["test"]


def make(folder: Path, options: list[str], *more: str) -> int:
    return ensemble.main([*options, f"--out-dir={folder}", *more])


def test_a_test_set_is_combined_as_validation_says(tmp_path: Path) -> None:
    val, test = write_run(tmp_path)
    assert make(tmp_path / "val_ens", val, "--settings", json.dumps(FITTED)) == 0
    table = pd.read_csv(tmp_path / "val_ens/val_ens.csv")
    assert list(table)[-2:] == ["prob_raw", "prob_sky"]
    description = json.loads((tmp_path / "val_ens/val_ens.json").read_text())
    found = Combination.model_validate(description["combination"])
    assert [weights is None for weights in found.band_weights] == [False, False, True]
    assert found.n_objects == len(table) == 32
    write_threshold(tmp_path / "t.txt", 0.5)
    options = ("--which=test", f"--threshold={tmp_path}/t.txt")
    validation = f"--validation={tmp_path}/val_ens/val_ens.json"
    assert make(tmp_path / "test_ens", test, *options, validation) == 0
    blind = pd.read_csv(tmp_path / "test_ens/test_ens.csv", index_col="object")
    stated = json.loads((tmp_path / "test_ens/test_ens.json").read_text())
    assert stated["combination"] == description["combination"]
    key = BLIND[4]
    of_members = [
        float(
            expit(
                logit([prob_of(seed)(key, band) for band in weights.bands]) @ weights.coefficients
                + weights.intercept
            )
        )
        if weights
        else prob_of(seed)(key, "g")
        for seed, weights in zip((1, 2, 3), found.band_weights, strict=True)
    ]
    assert found.member_weights is not None
    raw = float(np.dot(found.member_weights, of_members))
    assert found.sigmoid is not None
    prob = float(expit(found.sigmoid.slope * logit(raw) + found.sigmoid.intercept))
    assert blind.loc[key, "prob_raw"] == pytest.approx(raw)
    assert blind.loc[key, "prob"] == pytest.approx(prob)
    odds = prob / (1 - prob) * 0.001 / 0.999
    assert blind.loc[key, "prob_sky"] == pytest.approx(odds / (1 + odds))
    assert ((blind["prob"] >= 0.5) == blind["pred"]).all()


def test_parts_and_order_change_nothing_that_is_fitted(tmp_path: Path) -> None:
    contents = []
    for n_parts in (1, 3):
        val, _ = write_run(tmp_path / str(n_parts), n_parts)
        for number, options in enumerate((val, val[::-1])):
            folder = tmp_path / f"{n_parts}_{number}"
            assert make(folder, options, "--settings", json.dumps(FITTED)) == 0
            contents.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert contents[0] == contents[1] == contents[2] == contents[3]


@pytest.mark.parametrize("fitted", [{}, {"calibration": "temperature"}])
def test_validation_of_one_domain(tmp_path: Path, fitted: dict[str, str]) -> None:
    val, _ = write_run(tmp_path)
    settings = fitted | {"validation_domains": ["hsc"]}
    assert make(tmp_path / "out", val, "--settings", json.dumps(settings)) == 0
    table = pd.read_csv(tmp_path / "out/val_ens.csv")
    assert set(table["domain"]) == {"hsc"}
    assert len(table) == 16


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--settings.calibration=platt", "--which=test", "--threshold=t.txt"], 2, "--settings are for"),
        (["--validation=v.json"], 2, "--validation is not for --which val"),
        (["--level=file", "--settings.combine-bands=logistic"], 1, "at level file no bands are combined"),
        (["--settings.sky-prevalence=1"], 2, "sky-prevalence"),
        (["--settings", '{"validation_domains": ["hsc", "hsc"]}'], 2, "found one twice"),
    ],
)
def test_what_does_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: int, message: str
) -> None:
    val, _ = write_run(tmp_path)
    assert make(tmp_path / "out", val, *more) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_validation_of_other_members_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val, test = write_run(tmp_path)
    assert make(tmp_path / "val_ens", val[:-1], "--settings.calibration=platt") == 0
    write_threshold(tmp_path / "t.txt", 0.5)
    options = (
        "--which=test",
        f"--threshold={tmp_path}/t.txt",
        f"--validation={tmp_path}/val_ens/val_ens.json",
    )
    assert make(tmp_path / "out", test, *options) == 1
    assert (
        "expected the validation ensemble of nano seed 1, nano seed 2, nano seed 3" in capsys.readouterr().err
    )


def test_one_member_with_and_without_test_time_augmentation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = [write_packed_tables(tmp_path / f"p{part}", cutouts_of(LENSES[part::2])) for part in (0, 1)]
    predictions = [
        write_prediction(tmp_path / f"{part}", one, prob_of(1), **more)
        for part, (one, more) in enumerate(zip(packed, ({}, {"test_time_augmentation": True}), strict=True))
    ]
    options = [f"--packed={one}" for one in packed] + [f"--predictions={one}" for one in predictions]
    assert make(tmp_path / "out", options) == 1
    assert "with test-time augmentation in all parts or in none" in capsys.readouterr().err
