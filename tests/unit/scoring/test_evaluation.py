"""The steps that score a table and draw its pictures: their files, and what they refuse."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evaluate
import plot_evaluation
from drawn_figures import data_of, keep_saved_figures, texts_of
from stronglens.formats.artefact import sha256_of, write_json
from stronglens.scoring import bootstrap
from stronglens.scoring.evaluation_plots import (
    save_plots,
)
from stronglens.scoring.metrics import metrics_at, metrics_by_domain
from stronglens.scoring.scored import Scored

NUMBERS = {"metrics.json", "metrics.csv", "field_metrics.json", "completeness.csv"}
PICTURES = {
    f"{name}.{ending}"
    for name in ("roc", "precision_recall", "reliability", "confusion_matrix", "score_histogram")
    for ending in ("png", "pdf")
}
COMPLETENESS = {"completeness.png", "completeness.pdf"}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the resamples: what intervals hold is tested elsewhere."""
    monkeypatch.setattr(bootstrap, "N_RESAMPLES", 100)


def draw(n: int = 400) -> Scored:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    probs = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.5)))
    return Scored(labels, probs, np.where(rng.random(n) < 0.5, "hsc", "slsim").astype(object))


def write_csv(path: Path, scored: Scored) -> Path:
    with path.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["path", "domain", "label", "prob", "pred"])
        assert scored.domains is not None
        for number, row in enumerate(zip(scored.domains, scored.labels, scored.probs.tolist(), strict=True)):
            writer.writerow([f"/data/{number}.fits", *row, 0])
    return path


def write_npy(folder: Path, scored: Scored) -> list[str]:
    np.save(folder / "labels.npy", scored.labels)
    np.save(folder / "probs.npy", scored.probs)
    return [f"--labels={folder}/labels.npy", f"--probs={folder}/probs.npy"]


def run(folder: Path, *options: str) -> int:
    return evaluate.main([f"--out-dir={folder}/out", *options])


def plot(folder: Path, *options: str) -> set[str]:
    """Names of the pictures that are drawn, into a folder of their own."""
    assert plot_evaluation.main([f"--out-dir={folder}/pictures", *options]) == 0
    return {path.name for path in (folder / "pictures").iterdir()}


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *options: str, code: int = 1) -> str:
    """The message of a run that must fail and leave nothing."""
    assert run(folder, *options) == code
    assert not list(folder.glob("out/*"))
    return capsys.readouterr().err


def test_csv_with_domains(tmp_path: Path) -> None:
    scored = draw()
    (tmp_path / "t.txt").write_text("0.4766\n")
    table = write_csv(tmp_path / "pred.csv", scored)
    assert run(tmp_path, f"--csv={table}", f"--threshold-file={tmp_path}/t.txt") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == NUMBERS
    expected = metrics_by_domain(scored.labels, scored.probs, 0.4766, scored.domains)
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    for name, values in found.items():
        intervals = values.pop("intervals")
        for low, high in (intervals[metric] for metric in ("accuracy", "roc_auc", "brier")):
            assert low < high
        low, high = intervals["roc_auc"]
        assert low < expected[name]["roc_auc"] < high
    assert found == expected
    with (tmp_path / "out/metrics.csv").open() as text:
        rows = list(csv.DictReader(text))
    assert [row.pop("objects") for row in rows] == ["global", "domain::hsc", "domain::slsim"]
    assert [{name: float(value) for name, value in row.items()} for row in rows] == list(expected.values())


def test_the_score_of_validation_stands_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_csv(tmp_path / "pred.csv", draw())
    options = f"--csv={table}", "--threshold=0.5"
    assert run(tmp_path, *options) == 0
    assert "these: AUC 0." in capsys.readouterr().err
    validation = tmp_path / "metrics_val_ens.json"
    values = {"roc_auc": 0.987654, "accuracy": 0.9, "recall": 0.8, "specificity": None}
    write_json(validation, {"global": values | {"threshold": 0.5}})
    assert run(tmp_path, *options, f"--validation-metrics={validation}") == 0
    said = capsys.readouterr().err
    assert "validation: AUC 0.988, accuracy 0.900, recall 0.800, specificity undefined" in said
    auc = metrics_at(draw().labels, draw().probs, 0.5)["roc_auc"]
    value, *ends = re.search(r"held-out: AUC ([\d.]+) \[([\d.]+), ([\d.]+)\]", said).groups()
    assert float(value) == pytest.approx(auc, abs=0.005)
    assert {len(end) for end in ends} == {len(value)}


def test_npy_by_hand(tmp_path: Path) -> None:
    scored = draw()
    assert run(tmp_path, *write_npy(tmp_path, scored), "--threshold=0.5") == 0
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["global"].pop("intervals")["n_resamples"] == 100  # as the fixture says
    assert found == {"global": metrics_at(scored.labels, scored.probs, 0.5)}
    assert plot(tmp_path, *write_npy(tmp_path, scored), "--threshold=0.5") == PICTURES


def test_optimised_threshold(tmp_path: Path) -> None:
    scored = Scored(np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.35, 0.9]), None)
    assert run(tmp_path, *write_npy(tmp_path, scored), "--optimize-threshold") == 0
    found = json.loads((tmp_path / "out/metrics.json").read_text())["global"]
    assert (found["threshold"], found["accuracy"]) == (0.35, 1)


def test_metrics_can_lie_elsewhere(tmp_path: Path) -> None:
    options = write_npy(tmp_path, draw())
    assert (
        run(tmp_path, *options, "--threshold=0.5", f"--metrics-json={tmp_path}/ens/metrics_test_ens.json")
        == 0
    )
    assert "global" in json.loads((tmp_path / "ens/metrics_test_ens.json").read_text())
    assert not (tmp_path / "out/metrics.json").exists()


def test_one_class_is_null_in_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = Scored(np.zeros(3, dtype=np.int64), np.array([0.0, 0.5, 1.0]), None)
    assert run(tmp_path, *write_npy(tmp_path, scored), "--threshold=0.5") == 0
    assert json.loads((tmp_path / "out/metrics.json").read_text())["global"]["roc_auc"] is None
    with (tmp_path / "out/metrics.csv").open() as text:
        assert next(csv.DictReader(text))["roc_auc"] == ""
    completeness = f"--completeness={tmp_path}/out/completeness.csv"
    options = (*write_npy(tmp_path, scored), "--threshold=0.5", completeness)
    saved = keep_saved_figures(monkeypatch, draw=False)
    assert plot(tmp_path, *options) == PICTURES | COMPLETENESS
    for name in ("roc", "precision_recall"):
        assert "undefined: all samples are of one class" in texts_of(saved[name])
    assert "not known of these objects" in texts_of(saved["completeness"])


def test_pictures_of_a_table_are_those_of_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the two commands take is read in the same way; prevalences are those that are given."""
    scored = draw()
    options = (f"--csv={write_csv(tmp_path / 'pred.csv', scored)}", "--optimize-threshold")
    assert run(tmp_path, *options) == 0
    threshold = json.loads((tmp_path / "out/metrics.json").read_text())["global"]["threshold"]
    saved = keep_saved_figures(monkeypatch, draw=False)
    assert plot(tmp_path, *options, "--prevalences=[0.25]") == PICTURES
    drawn = {name: (texts_of(figure), data_of(figure)) for name, figure in saved.items()}
    assert "1 lens in 4" in drawn["precision_recall"][0]
    save_plots(scored, threshold, tmp_path / "expected", [0.25])
    assert drawn == {name: (texts_of(figure), data_of(figure)) for name, figure in saved.items()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--csv=a.csv"], "--optimize-threshold; found none"),
        (["--csv=a.csv", "--threshold=0.5", "--optimize-threshold"], "found 2"),
        (["--threshold=0.5"], "give either --csv FILE, or --labels FILE and --probs FILE"),
        (["--csv=a.csv", "--labels=b.npy", "--threshold=0.5"], "give either --csv"),
        (["--labels=b.npy", "--threshold=0.5"], "give either --csv"),
        (["--csv=a.csv", "--labels=b.npy", "--probs=c.npy", "--threshold=0.5"], "give either --csv"),
        (["--csv=a.csv", "--threshold=1.5"], '--threshold: found "1.5"'),
        (["--csv=a.csv", "--threshold=nan"], '--threshold: found "nan"'),
    ],
)
def test_wrong_command_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert message in refused(capsys, tmp_path, *options, code=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "expected a CSV file, found none"),
        ("", "found an empty one"),
        ("label,prob\n", "expected labelled objects, found none"),
        ("label,pred\n1,0\n", "found none named prob"),
        ("label,prob\n1,0.5\n-1,0.5\n", "line 3: expected label 1, a lens, or 0, found -1"),
        ("label,prob\n1,0.5\n0,\n", "line 3: expected a number in column prob"),
        ("label,prob\n1,0.5\n0,NaN\n", "line 3: expected a number in column prob"),
        ("label,prob\n1,2\n", "line 2: expected a probability from 0 to 1"),
        ("label,prob\n1,0.5,7\n", "found a malformed one"),
    ],
)
def test_wrong_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "a.csv").write_text(text)
    assert message in refused(capsys, tmp_path, f"--csv={tmp_path}/a.csv", "--threshold=0.5")


@pytest.mark.parametrize(
    ("labels", "probs", "message"),
    [
        ([1, 0], [0.5], r"found shapes (1,) and (2,)"),
        ([[1, 0]], [[0.5, 0.5]], "found shapes (1, 2) and (1, 2)"),
        ([], [], "expected labelled objects, found none"),
        ([1, 2], [0.5, 0.5], "labels.npy: element 1: expected label 1, a lens, or 0, found 2"),
        ([1, 0], [0.5, np.nan], "probs.npy: element 1: expected a probability from 0 to 1, found nan"),
        ([1, 0], [-0.5, 0.5], "probs.npy: element 0: expected a probability from 0 to 1, found -0.5"),
        ([1, 0], ["0.5", "0.5"], "probs.npy: expected an NPY file of numbers"),
        ([1, 0], [None, 0.5], "probs.npy: expected an NPY file of numbers"),  # an object array: a pickle
    ],
)
def test_wrong_arrays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: list[Any], probs: list[Any], message: str
) -> None:
    np.save(tmp_path / "labels.npy", np.array(labels))
    np.save(tmp_path / "probs.npy", np.array(probs), allow_pickle=True)
    options = (f"--labels={tmp_path}/labels.npy", f"--probs={tmp_path}/probs.npy", "--threshold=0.5")
    assert message in refused(capsys, tmp_path, *options)


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"0.5"])
def test_files_that_are_no_arrays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    np.save(tmp_path / "labels.npy", np.array([0, 1]))
    if content is not None:
        (tmp_path / "probs.npy").write_bytes(content)
    options = (f"--labels={tmp_path}/labels.npy", f"--probs={tmp_path}/probs.npy", "--threshold=0.5")
    assert "probs.npy: expected an NPY file" in refused(capsys, tmp_path, *options)


@pytest.mark.parametrize(
    ("name", "described_in"), [("val_ens.csv", "val_ens.json"), ("pred_val.csv", "pred_val.json")]
)
def test_table_that_changed_since_it_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, described_in: str
) -> None:
    table = write_csv(tmp_path / name, draw())
    write_json(tmp_path / described_in, {"sha256": {name: sha256_of(table)}})
    assert run(tmp_path / "good", f"--csv={table}", "--threshold=0.5") == 0
    table.write_text(table.read_text().replace("hsc", "slsim", 1))
    capsys.readouterr()
    assert f"{name}: expected sha256" in refused(capsys, tmp_path, f"--csv={table}", "--threshold=0.5")


def test_missing_threshold_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = write_npy(tmp_path, draw())
    message = refused(capsys, tmp_path, *options, f"--threshold-file={tmp_path}/none.txt")
    assert "none.txt: expected a file with the threshold, found none" in message
