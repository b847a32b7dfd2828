"""Figures and pages of the report: their numbers, and what they say where there is nothing."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

import describe_data
import plot_run_times
import plot_training
import write_overview
from candidate_files import THRESHOLD, write_ensemble
from drawn_figures import is_picture
from fits_files import plant_faults, write_labelled
from packed_files import write_packed
from stronglens.comparing.drift import BAND_CORRELATION, PROBABILITY, STATISTICS
from stronglens.comparing.drift_plots import NAMES
from stronglens.formats.artefact import write_json
from stronglens.formats.digits import stated, with_limits
from stronglens.formats.figures import save_figure
from stronglens.inspecting.inspection import inspect_data
from stronglens.packing.pack import build_buckets
from stronglens.reporting.html import page, paragraph, table
from stronglens.reporting.jobs import Jobs
from stronglens.reporting.run_times import COLUMNS, draw_run_times, read_benchmarks
from stronglens.reporting.training_curves import draw_training, read_training
from stronglens.scoring.bootstrap import intervals_by_domain, with_intervals
from stronglens.scoring.completeness_plot import plot_completeness
from stronglens.scoring.evaluation_plots import (
    plot_confusion_matrix,
    plot_precision_recall,
    plot_roc,
    plot_score_histogram,
)
from stronglens.scoring.field_metrics import field_metrics_by_domain
from stronglens.scoring.metrics import metrics_by_domain
from stronglens.scoring.scored import Scored
from stronglens.settings.data import PackSettings, SplitSettings
from stronglens.settings.decide import EvaluateSettings
from stronglens.splitting.split import split_objects

JOBS: dict[str, Any] = {
    "patterns": [
        *("simulate.tsv", "train/{model}/seed_{seed}.tsv", "threshold/{ensemble}.tsv"),
        "predict_test/{model}/seed_{seed}/{testset}_part_{part}.tsv",
        *("measure_transfer/{ensemble}/{source}_to_{target}.tsv", "trials/{model}/{trial}.tsv"),
    ],
    "members": {"nano": [1, 2]},
    "ensembles": ["both"],
    "parts": {"blind": 2},
}
BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write_member(folder: Path, seed: int, aucs: list[float], model: str = "nano") -> Path:
    best = int(np.argmax(aucs)) + 1
    epochs = pd.DataFrame({"epoch": np.arange(1, len(aucs) + 1), "val_auc": aucs})
    epochs = epochs.assign(train_loss=0.5, train_acc=0.9, val_loss=0.6, val_acc=0.8, lr=1e-3)
    folder.mkdir(parents=True)
    epochs.to_csv(folder / "training_log.csv", index=False)
    settings = {"network": {"name": "convnextv2_nano"}}
    described: dict[str, Any] = {"model": model, "seed": seed, "settings": settings}
    write_json(
        folder / "results.json",
        described
        | {
            "best": {"epoch": best, "val_auc": aucs[best - 1]},
            "n_epochs": len(aucs),
            "test": {"auc": 0.912345},
        },
    )
    size = {"weights_sha256": "0" * 64, "size_px": 41, "in_chans": 1}
    write_json(folder / "best.json", described | size | {"best_epoch": best})
    return folder


def test_learning_curves_show_every_member_and_its_best_epoch(tmp_path: Path) -> None:
    folders = [
        write_member(tmp_path / "1", 1, [0.7, 0.9, 0.8]),
        write_member(tmp_path / "2", 7, [0.6, 0.7]),
        write_member(tmp_path / "3", 7, [0.5], model="stack"),
    ]
    out = tmp_path / "training.png"
    assert plot_training.main([*(f"--members={folder}" for folder in folders), f"--out={out}"]) == 0
    assert is_picture(out)
    figure = draw_training([read_training(folder) for folder in folders])
    axes = figure.axes[0]
    curves = [line for line in axes.lines if line.get_marker() == "None"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in curves] == [[0.7, 0.9, 0.8], [0.6, 0.7], [0.5]]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in dots] == [(2, 0.9), (2, 0.7), (1, 0.5)]
    # A seed has one colour, a model its dashes.
    assert (curves[1].get_color() == curves[2].get_color()).all()
    assert curves[1].get_linestyle() == curves[0].get_linestyle() != curves[2].get_linestyle()


def test_an_ensemble_of_ready_members_has_a_figure_that_says_so(tmp_path: Path) -> None:
    assert plot_training.main([f"--out={tmp_path}/training.png"]) == 0
    assert is_picture(tmp_path / "training.png")
    assert "No member" in draw_training([]).texts[0].get_text()


def test_a_broken_training_log_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_member(tmp_path / "1", 1, [0.7])
    (folder / "training_log.csv").write_text("epoch,train_loss\n1,0.5\n")
    assert plot_training.main([f"--members={folder}", f"--out={tmp_path}/training.png"]) == 1
    assert "expected columns lr, val_auc, val_loss" in capsys.readouterr().err


def test_run_times_of_all_jobs(tmp_path: Path) -> None:
    files = {
        "train/nano/seed_1.tsv": "90.5\t0:01:30\t1385.2\t1\t1\t1\t1\t1\t85\t74.3",
        "train/nano/seed_2.tsv": "70.0\t0:01:10\t1000.0\t1\t1\t1\t1\t1\t85\t60.0",
        "simulate.tsv": "0.1\t0:00:00\t-\t-\t-\t-\t-\t-\t0\tNA",
        # Of a seed and a test set that the config has not any more.
        "train/nano/seed_3.tsv": "70.0\t0:01:10\t1000.0\t1\t1\t1\t1\t1\t85\t60.0",
        "predict_test/nano/seed_1/old_part_0.tsv": "7.0\t0:00:07\t1000.0\t1\t1\t1\t1\t1\t85\t60.0",
    }
    for name, line in files.items():
        (tmp_path / "benchmarks" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "benchmarks" / name).write_text(f"{BENCHMARK}{line}\n")
    out = tmp_path / "run_times.png"
    options = [f"--benchmarks={tmp_path}/benchmarks", "--jobs", json.dumps(JOBS)]
    assert plot_run_times.main([*options, f"--out={out}"]) == 0
    assert is_picture(out)
    jobs = pd.read_csv(out.with_suffix(".csv"), keep_default_na=False)
    assert list(jobs.itertuples(index=False, name=None)) == [
        ("simulate", "", 0.1, "", ""),
        ("train", "nano/seed_1", 90.5, "1385.2", "74.3"),
        ("train", "nano/seed_2", 70.0, "1000.0", "60.0"),
    ]
    names = [
        text.get_text()
        for text in draw_run_times(read_benchmarks(tmp_path / "benchmarks", Jobs(**JOBS)))
        .axes[0]
        .get_yticklabels()
    ]
    assert names == ["train (2)", "simulate (1)"]


def test_jobs_are_those_of_the_config_and_any_of_wildcards_it_does_not_know(tmp_path: Path) -> None:
    expected = {
        *("predict_test/nano/seed_1/blind_part_0.tsv", "predict_test/nano/seed_2/blind_part_1.tsv"),
        *("threshold/both.tsv", "measure_transfer/both/slsim_to_hsc.tsv", "trials/nano/7.tsv"),
    }
    others = {"threshold/old.tsv", "predict_test/nano/seed_1/blind_part_2.tsv", "trials/atto/7.tsv", "a.tsv"}
    for name in expected | others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = Jobs(**JOBS).benchmarks(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in found} == expected


def test_run_times_without_benchmarks_and_with_broken_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--benchmarks={tmp_path}/benchmarks", f"--out={tmp_path}/run_times.png"]
    options += ["--jobs", json.dumps(JOBS)]
    assert plot_run_times.main(options) == 0
    assert (tmp_path / "run_times.csv").read_text() == "rule,job,run_time_s,memory_mb,cpu_time_s\n"
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/simulate.tsv").write_text("nothing\n")
    assert plot_run_times.main(options) == 1
    assert "simulate.tsv: expected a benchmark" in capsys.readouterr().err


def scores(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 300)
    probs = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.5)))
    domains = np.where(rng.random(300) < 0.5, "hsc", "slsim").astype(object)
    arguments = labels, probs, THRESHOLD, domains
    return with_intervals(metrics_by_domain(*arguments), intervals_by_domain(*arguments))


def few_false_alarms(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    labels = np.arange(300) % 2
    probs = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.5)))
    return field_metrics_by_domain(labels, probs, THRESHOLD, EvaluateSettings(prevalences=[1e-3]))


@pytest.fixture
def overview_options(tmp_path: Path) -> list[str]:
    packed = write_packed(tmp_path / "packed", n_per_bucket=5, bands="g")
    names = list(pd.read_parquet(packed / "index.parquet")["object"])
    probs = {name: number / len(names) for number, name in enumerate(names)}
    csv = write_ensemble(tmp_path / "blind/test_ens.csv", packed, probs, labelled=False)
    write_json(tmp_path / "val.json", scores(1))
    write_json(tmp_path / "heldout.json", scores(2))
    for name, seed in (("val", 1), ("heldout", 2)):
        write_json(tmp_path / f"{name}_field.json", few_false_alarms(seed))
    one = {"statistic": "sky", "band": "g", "distance": 0.2, "limit": 0.1, "drifts": True}
    drift = {"n_drifting": 2, "compared": [one] * 7, "identical_cutouts": {"n_cutouts": 3}}
    write_json(tmp_path / "drift.json", drift)
    member = write_member(tmp_path / "member", 42, [0.7, 0.87654])
    citation = Path(__file__).parents[3] / "CITATION.cff"
    return [
        *(f"--validation={tmp_path}/val.json", f"--scored=heldout={tmp_path}/heldout.json"),
        *(f"--field=validation={tmp_path}/val_field.json", f"--field=heldout={tmp_path}/heldout_field.json"),
        *(f"--blind=challenge={csv}", f"--drift=challenge={tmp_path}/drift.json", f"--members={member}"),
        *(f"--citation={citation}", f"--out={tmp_path}/overview.html"),
    ]


def test_the_overview_says_what_matters(tmp_path: Path, overview_options: list[str]) -> None:
    assert write_overview.main([*overview_options, "--ensemble=nano <b>", "--simulated"]) == 0
    text = (tmp_path / "overview.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    heldout = scores(2)
    for name in ("global", "domain::hsc", "domain::slsim"):
        low, high = heldout[name]["intervals"]["roc_auc"]
        assert with_limits(heldout[name]["roc_auc"], (low, high)) in text
    assert stated(scores(1)["global"]["recall"], scores(1)["global"]["intervals"]["recall"]) in text
    field = few_false_alarms(2)["global"]
    for name in ("tpr_at_fpr_0.1", "tpr0", "purity@0.001"):
        low, high = field["intervals"][name]
        assert f"<td>{with_limits(field[name], (low, high))}</td></tr>" in text
    assert "completeness at a purity of 0.9, one lens in 1,000" in text
    assert "0.877" in text and "2 of 2" in text and "0.912" in text
    # 20 objects, probabilities 0, 0.05, …; 0.6 and more are lenses.
    assert "<td>20</td><td>8</td><td>40 %</td><td>2 of 7</td><td>3</td>" in text
    assert "challenge differs from the training set" in text
    assert "The data are simulated" in text
    assert "10.1109/CVPR52729.2023.01548" in text and "Woo et al." in text and "Birrer &amp; Amara" in text
    assert "nano &lt;b&gt;" in text and "<b>" not in text
    assert "http" not in text


def test_the_overview_without_a_blind_set_and_with_undefined_scores(
    tmp_path: Path, overview_options: list[str]
) -> None:
    undefined = scores(2)
    undefined["global"] |= {"roc_auc": None, "intervals": {"roc_auc": None}}
    write_json(tmp_path / "heldout.json", undefined)
    options = [
        one for one in overview_options if not one.startswith(("--blind", "--drift", "--citation", "--field"))
    ]
    assert write_overview.main([*options, "--ensemble=nano"]) == 0
    text = (tmp_path / "overview.html").read_text()
    assert "undefined" in text
    assert "simulated" not in text and "Test sets without labels" not in text and "cite" not in text
    assert "Few false alarms" not in text


def test_the_page_on_the_data_names_what_could_not_be_read(tmp_path: Path) -> None:
    places = write_labelled(tmp_path / "data", 10)
    plant_faults(Path(places["hsc_lenses"]) / "hsc_lenses")
    build_buckets(PackSettings(labelled=places, max_rejected=0.05), tmp_path / "packed")
    split_objects(tmp_path / "packed", tmp_path / "splits", SplitSettings())
    inspect_data(tmp_path / "packed", tmp_path / "inspection", splits_folder=tmp_path / "splits", n_objects=1)
    options = [
        *(f"--summary={tmp_path}/packed/summary.json", f"--splits={tmp_path}/splits/objects.json"),
        *(f"--inspection={tmp_path}/inspection/summary.json", f"--out={tmp_path}/data.html"),
    ]
    assert describe_data.main([*options, f"--tests=challenge={tmp_path}/packed/summary.json"]) == 0
    text = (tmp_path / "data.html").read_text()
    summary = json.loads((tmp_path / "packed/summary.json").read_text())
    numbers = 199, 193, summary["n_objects"], summary["n_objects_incomplete"], 6
    row = "".join(f"<td>{number}</td>" for number in numbers)
    assert f"<td>labelled</td>{row}" in text and f"<td>challenge</td>{row}" in text
    bad = json.loads((tmp_path / "inspection/summary.json").read_text())["bad_files"]
    assert len(bad) == 6
    for one in bad:
        assert one["path"] in text.replace("<wbr>", "")
        assert f'<td class="text">{one["band"]}</td>' in text
    # The test set is the same data: its files are named once more, under its name.
    assert text.count('<td class="text">') == 36  # file, band, reason
    assert text.count("<td>challenge</td><td class") == 6


def test_pages_warn_of_members_that_may_have_learnt_what_they_are_scored_on(
    tmp_path: Path, overview_options: list[str]
) -> None:
    assert write_overview.main([*overview_options, "--ensemble=nano"]) == 0
    assert "Trained elsewhere" not in (tmp_path / "overview.html").read_text()
    ready = write_member(tmp_path / "ready", 7, [0.5])
    (ready / "results.json").unlink()
    best = json.loads((ready / "best.json").read_text()) | {"imported": True}
    (ready / "best.json").write_text(json.dumps(best))
    assert write_overview.main([*overview_options, "--ensemble=nano", f"--members={ready}"]) == 0
    text = (tmp_path / "overview.html").read_text()
    assert "Trained elsewhere: nano seed 7. Whether they have learnt from these objects is not known" in text


def test_pages_show_text_as_text() -> None:
    text = page("a < b", [paragraph("<script>", "note"), table(["x & y"], [["<i>"]])])
    assert "<title>a &lt; b</title>" in text and "&lt;script&gt;" in text
    assert "x &amp; y" in text and "<td>&lt;i&gt;</td>" in text


def contrast(one: Any, other: Any) -> float:
    """Of two colours, from 1 to 21: WCAG 2."""

    def luminance(colour: Any) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("n_wrong", range(0, 101, 5))
def test_numbers_in_confusion_matrices_can_be_read(n_wrong: int) -> None:
    labels = np.repeat([0, 1], 100)
    probs = np.where(np.tile(np.arange(100), 2) < n_wrong, 1 - labels, labels).astype(float)
    axes = plot_confusion_matrix(Scored(labels, probs, None), 0.5).axes[0]
    image = axes.images[0]
    assert len(axes.texts) == 4
    for text in axes.texts:
        column, row = (int(place) for place in text.get_position())
        ground = image.cmap(image.norm(image.get_array()[row, column]))
        assert contrast(text.get_color(), ground[:3]) >= 4.5


def test_rare_things_stand_on_logarithmic_axes() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 200)
    scored = Scored(labels, 0.3 * labels + 0.7 * rng.random(200), None)
    assert plot_roc(scored, 0.5).axes[1].get_xscale() == "log"
    assert plot_score_histogram(scored, 0.5).axes[0].get_yscale() == "log"
    axes = plot_precision_recall(scored, 0.5, prevalences=[0.01, 1e-4]).axes[1]
    assert axes.get_yscale() == "log"
    curves = [line for line in axes.lines if line.get_marker() == "None"]
    assert [line.get_label() for line in curves] == ["1 lens in 100", "1 lens in 10,000"]
    assert len({(line.get_color(), line.get_linestyle()) for line in curves}) == 2
    # All are called lenses at the end, where purity is what the sky has.
    assert [line.get_ydata()[-1] for line in curves] == pytest.approx([0.01, 1e-4])
    times = pd.DataFrame([("train", "", 10.0, 5.0, 1.0)], columns=["rule", "job", *COLUMNS.values()])
    assert [axes.get_xscale() for axes in draw_run_times(times).axes] == ["log", "log"]


def test_what_is_compared_has_a_name_and_a_unit() -> None:
    assert {*STATISTICS, BAND_CORRELATION, PROBABILITY} == set(NAMES)


def test_completeness_of_domains_can_be_told_apart_without_colour() -> None:
    one = {"property": "einstein_radius_arcsec", "low": 0.5, "high": 1.0, "n_lenses": 9, "completeness": 0.5}
    ends = {"interval_low": 0.4, "interval_high": 0.6}
    objects = ("global", "domain::hsc", "domain::slsim")
    figure = plot_completeness(pd.DataFrame([{"objects": name, **one, **ends} for name in objects]))
    lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    bars = figure.axes[0].containers
    assert [bar.get_label() for bar in bars] == ["all", "hsc", "slsim"]
    markers = [bar.lines[0].get_marker() for bar in bars]
    assert len(set(markers)) == 3 and not lines
    assert len({float(bar.lines[0].get_xdata()[0]) for bar in bars}) == 3


@pytest.mark.parametrize("config", [[], ["CONFIG=config/challenge.yaml"]])
def test_make_calls_what_the_readme_says(config: list[str]) -> None:
    options = " --configfile config/challenge.yaml" if config else ""
    for target, command in (
        ("report", f"snakemake{options} --report report.html"),
        ("status", f"python workflow/scripts/show_status.py{options}"),
    ):
        done = subprocess.run(
            ["make", "--no-print-directory", "-n", target, *config],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        assert " ".join(done.stdout.split()).endswith(command)


def test_confusion_matrices_of_all_and_of_each_domain() -> None:
    labels, probs = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.1, 0.9, 0.1, 0.1])
    domains = np.array(["a", "b", "a", "b", "b"], dtype=object)
    figure = plot_confusion_matrix(Scored(labels, probs, domains), 0.5)
    counts = {
        axes.get_title(): [text.get_text().split("\n")[0] for text in axes.texts]
        for axes in figure.axes
        if axes.texts
    }
    assert counts == {
        "all, 5 samples": ["2", "1", "1", "1"],
        "a, 2 samples": ["0", "1", "0", "1"],
        "b, 3 samples": ["2", "0", "1", "0"],
    }


def test_equal_figures_are_equal_files(tmp_path: Path) -> None:
    for name in ("one", "other"):
        save_figure(draw_training([]), tmp_path / f"{name}.png")
    for ending in ("png", "pdf"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"other.{ending}").read_bytes()
