"""Metrics of the lens-finding field, against slow counts and cases by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import evaluate
from stronglens.formats.artefact import sha256_of
from stronglens.formats.packed import CUTOUTS, INDEX, PARAMETERS, PackSummary
from stronglens.running.errors import InputError
from stronglens.scoring import bootstrap
from stronglens.scoring.completeness import read_completeness, write_completeness
from stronglens.scoring.field_metrics import completeness_by, field_metrics, field_metrics_by_domain
from stronglens.settings.decide import EvaluateSettings

SETTINGS = EvaluateSettings(prevalences=[0.5, 1e-3], beta=0.5, purity=0.8)


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.resamples, "__defaults__", (None, 50, 0))


def slow(labels: list[int], probs: list[float], threshold: float) -> dict[str, float]:
    """Each metric by trying all thresholds, and one that lets nothing pass."""
    n_lenses, n_others = sum(labels), len(labels) - sum(labels)

    def rates(at: float) -> tuple[float, int]:
        true = sum(label for label, prob in zip(labels, probs, strict=True) if prob >= at)
        false = sum(1 - label for label, prob in zip(labels, probs, strict=True) if prob >= at)
        return true / n_lenses, false

    points = [rates(at) for at in {*probs, 2.0}]
    found = {
        f"tpr_at_fpr_{rate:g}": max(tpr for tpr, false in points if false <= rate * n_others + 1e-9)
        for rate in (0.1, 0.01, 0.001)
    }
    found["tpr0"] = max(tpr for tpr, false in points if false < 1)
    found["tpr10"] = max(tpr for tpr, false in points if false < 10)
    found["completeness"] = rates(threshold)[0]
    for sky in SETTINGS.prevalences:

        def purity(tpr: float, false: int, sky: float = sky) -> float:
            passing = sky * tpr + (1 - sky) * false / n_others
            return sky * tpr / passing if passing else np.nan

        def fbeta(tpr: float, false: int, purity=purity) -> float:
            return 1.25 * purity(tpr, false) * tpr / (0.25 * purity(tpr, false) + tpr) if tpr else 0.0

        at = rates(threshold)
        found[f"purity@{sky:g}"] = purity(*at)
        found[f"fbeta@{sky:g}"] = fbeta(*at)
        found[f"highest_fbeta@{sky:g}"] = max(fbeta(*one) for one in points)
        found[f"completeness_at_purity@{sky:g}"] = max(
            [one[0] for one in points if purity(*one) >= 0.8], default=0
        )
    return found


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.data())
def test_agrees_with_a_slow_count(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 60))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda x: 0 < sum(x) < n))
    probs = data.draw(st.lists(st.integers(0, 40).map(lambda x: x / 40), min_size=n, max_size=n))
    threshold = data.draw(st.sampled_from([0.0, 0.33, 0.5, 1.0]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bootstrap.resamples, "__defaults__", (None, 2, 0))
        found = field_metrics(np.array(labels), np.array(probs), threshold, SETTINGS)
    for name, value in slow(labels, probs, threshold).items():
        assert (np.nan if found[name] is None else found[name]) == pytest.approx(value, nan_ok=True), name


def draw(n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    generator = np.random.default_rng(4)
    labels = (np.arange(n) % 2).astype(np.int64)
    return labels, 1 / (1 + np.exp(-generator.normal(3 * labels - 1.5, 1.5)))


def test_by_hand() -> None:
    labels = np.array([1, 1, 0, 1, *[0] * 9, 1, 0, 1])
    probs = np.linspace(1, 0, len(labels))
    found = field_metrics(labels, probs, probs[3], SETTINGS)
    assert found["tpr0"] == 2 / 5
    assert found["tpr10"] == 3 / 5  # the tenth false positive is above the fourth lens
    assert found["purity@0.5"] == pytest.approx((3 / 5) / (3 / 5 + 1 / 11))
    assert found["purity@0.001"] == pytest.approx((0.001 * 3 / 5) / (0.001 * 3 / 5 + 0.999 / 11))
    assert (found["n_lenses"], found["n_others"]) == (5, 11)


def test_intervals_hold_the_value(few_resamples: None) -> None:
    labels, probs = draw(2000)
    found = field_metrics(labels, probs, 0.5, SETTINGS)
    for name in ("tpr_at_fpr_0.1", "tpr_at_fpr_0.01", "completeness", "purity@0.001", "fbeta@0.5"):
        low, high = found["intervals"][name]
        assert low < found[name] < high, name


def test_domains_and_one_class(few_resamples: None) -> None:
    labels, probs = draw(100)
    domains = np.where(labels == 1, "hsc", "slsim").astype(object)
    found = field_metrics_by_domain(labels, probs, 0.5, SETTINGS, domains, np.arange(100))
    assert list(found) == ["global", "domain::hsc", "domain::slsim"]
    assert found["global"]["tpr0"] is not None
    assert found["domain::hsc"]["tpr0"] is None
    assert found["domain::hsc"]["intervals"]["tpr0"] is None


def test_completeness_in_bins(few_resamples: None) -> None:
    radii = np.array([0.5, 0.6, 0.7, 0.8, 1.0, 2.0, np.nan])
    called = np.array([False, False, True, True, True, True, True])
    first, second = completeness_by(radii, called, 2)
    assert (first["low"], first["high"], second["low"], second["high"]) == (0.5, 0.75, 0.75, 2.0)
    assert (first["n_lenses"], second["n_lenses"]) == (3, 3)
    assert (first["completeness"], second["completeness"]) == (1 / 3, 1)
    assert first["interval"][0] <= 1 / 3 <= first["interval"][1]
    assert completeness_by(np.full(3, np.nan), called[:3], 2) == []
    (only,) = completeness_by(np.full(3, 1.0), called[:3], 4)
    assert (only["low"], only["high"], only["n_lenses"]) == (1.0, 1.0, 3)


def write_set(folder: Path, *, parameters: bool) -> list[str]:
    """A table of an ensemble and the packed data it is of: wide lenses are found, narrow ones are not."""
    n = 80
    labels = np.arange(n) % 2
    radii = 0.5 + np.arange(n) / n
    probs = np.where(labels == 1, np.where(radii > 1, 0.9, 0.2), 0.1)
    names = [f"hsc_{number:03d}" for number in range(n)]
    folder.mkdir()
    pd.DataFrame(
        {"object": names, "domain": "hsc", "label": labels, "prob": probs, "prob_raw": probs**2}
    ).to_csv(folder / "ens.csv", index=False)
    known = pd.DataFrame({"object": names, "bucket": "hsc_lenses", "Rein": radii, "mag_src_i": np.nan})
    (known if parameters else known[["object", "bucket"]][:0]).to_parquet(folder / "parameters.parquet")
    PackSummary(
        dataset="made",
        labelled=True,
        size_px=41,
        bands=["i"],
        n_cutouts=n,
        n_objects=n,
        sha256={CUTOUTS: "", INDEX: "", PARAMETERS: sha256_of(folder / PARAMETERS)},
    ).write(folder / "summary.json")
    return [f"--csv={folder}/ens.csv", f"--packed={folder}", "--threshold=0.5", f"--out-dir={folder}/out"]


def test_completeness_of_a_run(tmp_path: Path, few_resamples: None) -> None:
    assert evaluate.main([*write_set(tmp_path / "a", parameters=True), "--settings.n-bins=2"]) == 0
    with (tmp_path / "a/out/completeness.csv").open() as text:
        rows = [row for row in csv.DictReader(text) if row["objects"] == "global"]
    assert [row["property"] for row in rows] == ["einstein_radius_arcsec"] * 2
    assert [float(row["completeness"]) for row in rows] == [0, 1]
    assert sum(int(row["n_lenses"]) for row in rows) == 40
    found = json.loads((tmp_path / "a/out/field_metrics.json").read_text())
    assert found["global"]["tpr0"] == 1
    assert set(found["calibration"]) == {"prob", "prob_raw"}
    table = read_completeness(tmp_path / "a/out/completeness.csv")
    assert list(table["completeness"]) == [0, 1] * 2  # of all, and of the one domain
    assert (table["interval_low"] <= table["completeness"]).all()
    written = pd.read_csv(tmp_path / "a/out/completeness.csv", dtype=str, keep_default_na=False)
    assert [repr(value) for value in table["high"]] == list(written["high"])


def test_sets_of_which_nothing_is_known(tmp_path: Path, few_resamples: None) -> None:
    assert evaluate.main(write_set(tmp_path / "a", parameters=False)) == 0
    assert (tmp_path / "a/out/completeness.csv").read_text().count("\n") == 1
    assert not len(read_completeness(tmp_path / "a/out/completeness.csv"))


def test_bins_without_an_interval_have_none_when_they_are_read(tmp_path: Path) -> None:
    row = {"objects": "global", "property": "lens_magnitude", "low": 20.1, "high": 20.1, "n_lenses": 1}
    ends = {"completeness": 1.0, "interval_low": "", "interval_high": ""}
    write_completeness(tmp_path / "completeness.csv", [row | ends])
    (found,) = read_completeness(tmp_path / "completeness.csv").to_dict("records")
    assert np.isnan(found.pop("interval_low")) and np.isnan(found.pop("interval_high"))
    assert found == row | {"completeness": 1}


@pytest.mark.parametrize("text", [None, "", "objects,low\nglobal,1\n", "low\nwide\n"])
def test_what_is_no_table_of_completeness(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "completeness.csv").write_text(text)
    with pytest.raises(InputError, match=r"completeness\.csv: expected"):
        read_completeness(tmp_path / "completeness.csv")


def test_changed_parameters(tmp_path: Path, few_resamples: None, capsys: pytest.CaptureFixture[str]) -> None:
    options = write_set(tmp_path / "a", parameters=True)
    (tmp_path / "a/parameters.parquet").write_bytes(b"other")
    assert evaluate.main(options) == 1
    assert "parameters.parquet: expected sha256" in capsys.readouterr().err
