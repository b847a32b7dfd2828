"""The table of experiments, its comparison and its plot, on made-up predictions."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).parents[2]
SHIFTS = {"recipe": 1.0, "recipe_500": 0.5, "resnet": 2.0}
"""By how much lenses score higher, of each model; the noise is 1."""


@pytest.fixture
def experiments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, in a folder with predictions of three models, three seeds each."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.chdir(tmp_path)
    labels = np.tile([0, 1], 100)
    names = [f"object_{number}" for number in range(200)]
    domains = np.repeat(["hsc", "slsim"], 100)
    truth = pd.DataFrame({"id": names[::-1], "label": labels[::-1], "domain": domains[::-1]})
    truth.to_csv("truth.csv", index=False)
    generator = np.random.default_rng(1)
    for model, shift in SHIFTS.items():
        for seed in (42, 101, 202):
            blind = pd.DataFrame({"object": names, "prob": generator.normal(shift * labels)})
            known = blind.assign(label=labels, domain=domains)
            for which, rows in (("heldout", known), ("choose", blind.assign(label="", domain=""))):
                folder = Path(f"results/predictions/{model}/seed_{seed}/{which}/part_0")
                folder.mkdir(parents=True)
                rows.to_csv(folder / "pred_test.csv", index=False)
            timed = Path(f"results/benchmarks/train/{model}/seed_{seed}.tsv")
            timed.parent.mkdir(parents=True, exist_ok=True)
            timed.write_text(f"s\tcpu_time\n1.0\t{100 * shift}\n")
    Path("results/splits").mkdir()
    splits = pd.DataFrame({"split": ["train"] * 6000 + ["val"] * 1000})
    splits.to_parquet("results/splits/objects.parquet")
    return importlib.import_module("experiments")


def test_the_table_has_each_model_on_each_set(
    experiments: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    experiments.main(["--truth", "choose=truth.csv", "--against", "not_predicted_yet"])
    heldout, choose = capsys.readouterr().out.split("\nchoose\n")
    rows = [line for line in heldout.splitlines() if line.startswith("| re")]
    assert rows == [line for line in choose.splitlines() if line.startswith("| re")]
    assert [row.split(" | ")[0] for row in rows] == ["| recipe", "| recipe_500", "| resnet"]
    own = [
        roc_auc_score(one["label"], one["prob"])
        for one in (pd.read_csv(path) for path in Path().glob("results/predictions/resnet/*/heldout/*/*.csv"))
    ]
    assert f"| {np.mean(own):.4f} ± {np.std(own, ddof=1):.4f} |" in rows[-1]
    assert rows[-1].endswith("| 200 |")


def test_models_are_compared_seed_by_seed(experiments: ModuleType) -> None:
    found = experiments.members_of("choose", pd.read_csv("truth.csv"))
    _, rows = experiments.comparison(found, "recipe")
    assert [row[0] for row in rows] == ["recipe_500", "resnet"]
    aucs = {name: np.array([experiments.auc(one) for one in found[name].values()]) for name in SHIFTS}
    differences = aucs["resnet"] - aucs["recipe"]
    interval = stats.t.interval(0.95, 2, np.mean(differences), stats.sem(differences))
    assert rows[1][2] == f"{np.mean(differences):+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}]"
    ratio, low, high = (float(part.strip("[],")) for part in rows[1][3].split())
    assert ratio == pytest.approx(np.mean(1 - aucs["resnet"]) / np.mean(1 - aucs["recipe"]), abs=0.005)
    assert low < ratio < high < 1


def test_areas_of_weighted_objects_are_those_of_scikit_learn(experiments: ModuleType) -> None:
    generator = np.random.default_rng(2)
    labels, probs = generator.integers(0, 2, 50), generator.integers(0, 9, 50) / 8
    weights = generator.integers(0, 4, (3, 50))
    expected = [roc_auc_score(labels, probs, sample_weight=one) for one in weights]
    np.testing.assert_allclose(experiments.weighted_aucs(labels, probs, weights), expected)


def test_true_positives_are_counted_at_the_rate_that_is_allowed(experiments: ModuleType) -> None:
    objects = pd.DataFrame({"label": [0] * 100 + [1] * 4, "prob": [*range(100), 99.5, 98.5, 97.5, 1.5]})
    assert experiments.tpr_at_fpr(objects, 0.01) == 0.5
    assert experiments.tpr_at_fpr(objects, 0.001) == 0.25


def test_the_curve_joins_models_that_differ_in_their_number_of_objects(
    experiments: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {}
    close = experiments.pyplot.close
    monkeypatch.setattr(experiments.pyplot, "close", lambda figure: drawn.update(figure=figure))
    experiments.main(["--curve", "curve.png"])
    lines = {line.get_label(): line for line in drawn["figure"].axes[0].get_lines()}
    assert set(lines) == {"recipe", "resnet"}
    np.testing.assert_allclose(lines["recipe"].get_xdata(), [1000, 6000], rtol=1e-3)
    np.testing.assert_allclose(drawn["figure"].axes[1].get_lines()[0].get_xdata(), [50, 100])
    assert Path("curve.png").stat().st_size > 0
    close(drawn["figure"])


def test_the_sealed_set_is_asked_for_by_hand_alone(
    experiments: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    experiments.main(["--targets"])
    asked = capsys.readouterr().out.split()
    assert "results/predictions/resnet/seed_202/confirm/part_0/pred_test.csv" in asked
    assert not [path for path in asked if "sealed" in path]
