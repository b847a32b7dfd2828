"""Figures: titles that name what was scored, legends that cover nothing, as many digits as are known."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import write_index
from stronglens.comparing.drift_plots import MOST_DETAILS, draw_drift
from stronglens.formats.drift_files import Compared
from stronglens.reporting import html
from stronglens.reporting.overview import _measured
from stronglens.reporting.training_curves import (
    SMALLEST_AUC_RANGE,
    SMALLEST_LOSS_RANGE,
    Training,
    draw_training,
)
from stronglens.scoring.completeness_plot import plot_completeness
from stronglens.scoring.evaluation_plots import PLOTS, plot_confusion_matrix, plot_reliability, plot_roc
from stronglens.scoring.scored import Scored


def scored(n: int, domains: int = 1) -> Scored:
    generator = np.random.default_rng(n)
    labels = np.arange(n) % 2
    names = np.array([f"d{number // 2 % domains}" for number in range(n)], dtype=object)
    return Scored(labels, np.clip(0.3 * labels + 0.7 * generator.random(n), 0, 1), names, unit="objects")


def texts_of(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for legend in legends if legend is not None for text in legend.get_texts()]


@pytest.mark.parametrize("name", PLOTS)
def test_legends_cover_nothing(name: str) -> None:
    figure = PLOTS[name](scored(90, domains=2), 0.5)
    figure.canvas.draw()
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    for legend in legends:
        frame = legend.get_window_extent()
        assert not any(frame.overlaps(axes.get_window_extent()) for axes in figure.axes)


@pytest.mark.parametrize(("n", "digits"), [(90, 2), (400, 2), (1_000, 3), (20_000, 3), (2_000_000, 4)])
def test_rates_have_the_digits_that_the_number_of_objects_deserves(n: int, digits: int) -> None:
    # Curves of millions of objects take long; how many digits a rate has is decided in one place.
    for plot, name in ((plot_reliability, "found"), (plot_roc, "all"))[: 1 if n > 20_000 else 2]:
        rate = next(text for text in texts_of(plot(scored(n), 0.5)) if text.startswith(name))
        assert len(rate.rpartition(".")[2]) == digits


def test_percentages_of_few_objects_have_no_decimals() -> None:
    cells = plot_confusion_matrix(scored(22), 0.5).axes[0].texts
    assert not any("." in cell.get_text() for cell in cells)


def test_every_domain_has_a_curve_however_many_there_are() -> None:
    names = [text.partition(",")[0] for text in texts_of(plot_roc(scored(400, domains=6), 0.5))]
    assert {"all", *(f"d{number}" for number in range(6))} <= set(names)


def test_completeness_names_the_set_the_band_and_the_number_of_lenses() -> None:
    row = {"property": "lens_magnitude", "low": 20.0, "high": 21.0, "n_lenses": 9, "completeness": 0.5}
    ends = {"interval_low": 0.4, "interval_high": 0.6}
    names = ["global", *(f"domain::d{number}" for number in range(6))]
    rows = [{"objects": name, **row, **ends} for name in names]
    rows.append({"objects": "global", **row, **ends, "property": "einstein_radius_arcsec", "n_lenses": 4})
    figure = plot_completeness(pd.DataFrame(rows), "Ensemble nano, held-out objects", "r")
    assert figure.get_suptitle() == "Ensemble nano, held-out objects\nCompleteness, 4 lenses"
    assert figure.axes[1].get_xlabel() == "r magnitude of the lens (AB)"
    bars = figure.axes[1].containers
    assert len(bars) == len(names)
    assert all(bar.lines[0].get_linestyle() == "None" for bar in bars)
    assert len({float(bar.lines[0].get_xdata()[0]) for bar in bars}) == len(names)


def compared(n_drifting: int, n: int = 20) -> list[Compared]:
    values = np.linspace(0, 1, 30)
    training = {f"bucket_{number}": values + 0.1 * number for number in range(6)}
    return [
        Compared(
            f"s{number // 4}", "griz"[number % 4], values, training, 0.4 if number < n_drifting else 0.1, 0.3
        )
        for number in range(n)
    ]


@pytest.mark.parametrize("n_drifting", [0, 3, 20])
def test_drift_is_one_overview_and_the_details_of_what_differs(n_drifting: int) -> None:
    figure = draw_drift(compared(n_drifting), "Test set blind")
    assert figure.get_suptitle().startswith(
        f"Test set blind against the training set: {n_drifting} of 20 differ"
    )
    overview, _, *details = (
        [axes for axes in figure.axes if axes.get_visible()] if n_drifting else [*figure.axes]
    )
    assert len(overview.texts) == 20
    assert len(overview.patches) == n_drifting
    shown = [axes for axes in details if "outside" in axes.get_title()]
    assert len(shown) == min(n_drifting, MOST_DETAILS)
    # Every bucket is drawn, however many there are, and the blind set.
    assert all(len(axes.lines) == 7 for axes in shown)


def test_the_axis_of_an_auc_does_not_dramatise_noise() -> None:
    epochs = pd.DataFrame(
        {"epoch": [1, 2], "val_auc": [0.984, 0.992], "val_loss": 0.1, "train_loss": 0.1, "lr": 0.1}
    )
    figure = draw_training([Training("nano", 42, epochs, 2)])
    low, high = figure.axes[0].get_ylim()
    assert high - low >= SMALLEST_AUC_RANGE - 1e-9
    assert low <= 0.984 and 0.992 <= high <= 1.0


def test_the_axis_of_a_loss_does_not_dramatise_noise() -> None:
    epochs = pd.DataFrame(
        {"epoch": [1, 2], "val_auc": 0.9, "val_loss": [0.100, 0.108], "train_loss": [1.0, 2.0], "lr": 0.1}
    )
    figure = draw_training([Training("nano", 42, epochs, 2)], "mixed")
    assert figure.get_suptitle() == "Ensemble mixed: training of 1 member (dot: the epoch that was kept)"
    low, high = figure.axes[1].get_ylim()
    assert high - low >= SMALLEST_LOSS_RANGE - 1e-9 and low <= 0.100 and high >= 0.108
    low, high = figure.axes[2].get_ylim()
    assert low < 1 and high > 2


def test_numbers_that_cannot_be_known_are_not_printed() -> None:
    block = {"n_others": 45, "purity_wanted": 0.9, "intervals": {}}
    key = "completeness_at_purity"
    # 3 x 0.9 / (0.1 x 0.0001): of so many non-lenses three may pass.
    expected = "not measurable with 45 non-lenses (needs about 300,000)"
    assert _measured(block | {f"{key}@0.0001": 0.0444}, key, f"{key}@0.0001") == expected
    rate = "tpr_at_fpr_0.001"
    assert (
        _measured(block | {rate: 0.2}, rate, rate) == "not measurable with 45 non-lenses (needs about 1,000)"
    )
    known = {"tpr_at_fpr_0.1": 0.5, "intervals": {"tpr_at_fpr_0.1": [0.4, 0.6]}}
    assert _measured(block | known, "tpr_at_fpr_0.1", "tpr_at_fpr_0.1") == "0.50 [0.40, 0.60]"


def test_headers_of_tables_are_aligned_with_their_columns() -> None:
    made = html.table(
        ("file", "n", "reason"), [("a.fits", "1", "empty"), ("b.fits", "not " * 20, "gone")], [0, 2]
    )
    headers, cells = (re.findall(f"<{tag}( [^>]*)?>", made) for tag in ("th", "td"))
    assert ["text" in header for header in headers] == [True, False, True]
    assert ["text" in cell for cell in cells] == [True, False, True] * 2
    assert "long" in cells[4] and "long" not in cells[1]


def test_the_first_page_refers_to_everything_by_relative_paths(tmp_path: Path) -> None:
    results = tmp_path / "results"
    out = results / "report/index.html"
    options = [
        *(f"--overviews=nano={results}/report/nano/overview.html", f"--data={results}/report/data.html"),
        *(f"--candidates={results}/candidates/index.html", f"--out={out}"),
        f"--figures={json.dumps({'Held-out <b>': [f'{results}/evaluation/nano/heldout/roc.png']})}",
    ]
    assert write_index.main(options) == 0
    found = re.findall(r'(?:href|src)="([^"]*)"', out.read_text())
    assert {*found} == {
        *("data:,", "../candidates/index.html", "nano/overview.html", "data.html"),
        "../evaluation/nano/heldout/roc.png",
    }
    assert "Held-out &lt;b&gt;" in out.read_text() and "ROC curve" in out.read_text()
