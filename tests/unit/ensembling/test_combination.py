"""Combining bands and members, calibration, prevalence: fitted on validation, applied to test sets."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import log_loss, roc_auc_score

import ensemble
from made_predictions import cutouts_of, write_packed_tables, write_prediction
from stronglens.ensembling.combination import Combination, MemberScores, corrected_for_prevalence
from stronglens.ensembling.fitting import cross_fit, fit_combination
from stronglens.formats.threshold_file import write_threshold
from stronglens.running.errors import InputError
from stronglens.scoring.metrics import expected_calibration_error
from stronglens.settings.decide import CombineSettings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def scores_of(probs: Floats, band_logits: Floats | None = None) -> MemberScores:
    if band_logits is None:
        return MemberScores(probs, (), np.empty((len(probs), 0)))
    return MemberScores(probs, tuple("grizy"[: band_logits.shape[1]]), band_logits)


def draw(n: int, seed: int = 0) -> tuple[Integers, Floats]:
    """Labels, and logits that are calibrated."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, n)
    return (generator.random(n) < expit(logits)).astype(np.int64), logits


def combined(scores: list[MemberScores], labels: Integers, **settings: object) -> Combination:
    return fit_combination(scores, labels, CombineSettings.model_validate(settings))


def test_temperature_and_platt_find_what_was_done() -> None:
    labels, logits = draw(50_000)
    hot = combined([scores_of(expit(3 * logits))], labels, calibration="temperature").sigmoid
    assert hot is not None
    assert hot.intercept == 0
    assert 1 / hot.slope == pytest.approx(3, rel=0.03)
    shifted = combined([scores_of(expit(0.5 * logits + 1))], labels, calibration="platt").sigmoid
    assert shifted is not None
    assert (shifted.slope, shifted.intercept) == pytest.approx((2, -2), rel=0.04)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_calibration_holds_for_objects_it_has_not_seen(method: str) -> None:
    labels, logits = draw(4000)
    new_labels, new_logits = draw(4000, seed=1)
    found = combined([scores_of(expit(4 * logits))], labels, calibration=method)
    raw = expit(4 * new_logits)
    after = found.apply([scores_of(raw)])
    assert after.prob_raw is not None
    assert np.array_equal(after.prob_raw, raw)
    before_error = expected_calibration_error(new_labels, raw)
    assert expected_calibration_error(new_labels, after.prob) < before_error / 2
    assert (np.diff(after.prob[np.argsort(raw)]) >= 0).all()


def test_classes_that_do_not_overlap_leave_probabilities_below_one() -> None:
    labels = np.repeat([0, 1], 20)
    sigmoid = combined([scores_of(0.3 + 0.4 * labels)], labels, calibration="platt").sigmoid
    assert sigmoid is not None
    # Platt's targets: 21 of 22 for lenses
    assert sigmoid.apply(np.array([0.7])) == pytest.approx(21 / 22, rel=1e-4)


def test_scores_that_fall_where_they_should_rise_are_refused() -> None:
    labels, logits = draw(500)
    with pytest.raises(InputError, match="found a slope of -"):
        combined([scores_of(expit(-logits))], labels, calibration="platt")


def test_weights_have_the_highest_likelihood() -> None:
    labels, logits = draw(2000)
    generator = np.random.default_rng(5)
    members = [expit(logits + generator.normal(0, sigma, len(logits))) for sigma in (0.5, 1.5)]
    members.append(generator.random(len(logits)))
    found = combined([scores_of(one) for one in members], labels, combine_members="weighted")
    weights = np.array(found.member_weights)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert weights.min() >= 0
    assert weights[2] < 0.1 < weights[0]
    best = log_loss(labels, found.pooled(np.array(members)))
    for other in ([1, 0, 0], [1 / 3, 1 / 3, 1 / 3], *generator.dirichlet([1, 1, 1], 30)):
        assert best <= log_loss(labels, np.asarray(other) @ np.array(members)) + 1e-6


def test_mean_of_logits() -> None:
    settings = CombineSettings(combine_members="mean_of_logits")
    probs = np.array([[0.9, 0.2], [0.5, 0.2]])
    found = Combination(settings=settings).apply([scores_of(one) for one in probs])
    assert found.prob == pytest.approx(expit(logit(probs).mean(axis=0)))
    assert found.prob_std == pytest.approx(probs.std(axis=0, ddof=1))


def test_a_logistic_combiner_finds_the_bands_that_tell() -> None:
    labels, logits = draw(3000)
    generator = np.random.default_rng(2)
    noise = generator.normal(0, [0.5, 0.5, 3, 3, 3], (len(logits), 5))
    bands = logits[:, None] * [1, 1, 0, 0, 0] + noise
    member = scores_of(expit(bands).mean(axis=1), bands)
    found = combined([member], labels, combine_bands="logistic")
    (weights,) = found.band_weights
    assert weights is not None
    assert min(weights.coefficients[:2]) > 5 * max(map(abs, weights.coefficients[2:]))
    assert roc_auc_score(labels, found.apply([member]).prob) > roc_auc_score(labels, member.probs) + 0.05
    # a missing band adds nothing, in whatever order the others come
    part = MemberScores(member.probs, ("r", "g"), bands[:, [1, 0]])
    expected = bands[:, :2] @ weights.coefficients[:2] + weights.intercept
    assert found.of_members([part])[0] == pytest.approx(expit(expected))
    with pytest.raises(InputError, match="found u"):
        found.apply([MemberScores(member.probs, ("u",), bands[:, :1])])


def test_own_objects_are_combined_as_was_fitted_without_them() -> None:
    """Of noise, a fit finds in the objects that it has seen what is not there."""
    generator = np.random.default_rng(3)
    objects = np.arange(100) // 2
    labels = (np.arange(100) % 4 // 2).astype(np.int64)
    noise = np.repeat(generator.normal(0, 2, (50, 5)), 2, axis=0)
    member = scores_of(expit(noise).mean(axis=1), noise)
    settings = CombineSettings(combine_bands="logistic")
    seen = fit_combination([member], labels, settings).apply([member])
    assert roc_auc_score(labels, seen.prob) > 0.6
    unseen = cross_fit([member], labels, objects, settings)
    assert roc_auc_score(labels, unseen.prob) < 0.55
    # Rows of one object are in one fold: what is the same of them comes out the same.
    assert np.array_equal(unseen.prob[::2], unseen.prob[1::2])


@pytest.mark.parametrize(("n_lenses", "message"), [(4, "found 4 lenses and 8"), (0, "both classes")])
def test_too_few_to_fit(n_lenses: int, message: str) -> None:
    labels = (np.arange(12) < n_lenses).astype(np.int64)
    with pytest.raises(InputError, match=message):
        settings = CombineSettings(calibration="platt")
        fit_combination([scores_of(np.linspace(0.9, 0.1, 12))], labels, settings)
        cross_fit([scores_of(np.linspace(0.9, 0.1, 12))], labels, np.arange(12), settings)


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
        (["--validation=v.json"], 2, "--validation is for --which test"),
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
