"""Figures of a search."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from made_searches import LR, SPACE, conclude, draw, made_up, results
from stronglens.formats.trial_files import TrialResult, best_of
from stronglens.searching.search_plots import (
    draw_curves,
    draw_history,
    draw_importance,
    draw_slices,
    importance,
)
from stronglens.settings.search import Dimension


def test_importance_finds_what_matters_and_says_nothing_of_few_trials() -> None:
    trials = results(made_up(40))
    space = {key: Dimension.model_validate(value) for key, value in SPACE.items()}
    shares = importance(trials, space)
    assert next(iter(shares)) == "train.lr"
    assert sum(shares.values()) == pytest.approx(1)
    few = trials[:8]
    assert importance(few, space) == {}
    assert "10 trials" in draw_importance(few, space).texts[0].get_text()


def test_figures_of_one_trial_and_of_none_but_failures(tmp_path: Path) -> None:
    settings = json.dumps({"model": "nano", "space": {"train.lr": LR}})
    one = [trial | {"params": {"train.lr": 1e-3}} for trial in made_up(8)]
    for name, trials, code in (("one", one[7:], 0), ("none", one[5:6], 1)):
        assert conclude(tmp_path / name, trials, settings) == code
        assert draw(tmp_path / name, {"train.lr": LR}) == code
    assert not {path.name for path in (tmp_path / "none").iterdir()} - {"trial_5.json"}
    read = results(one)
    figure = draw_history(read, best_of(read))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "failed (1)" in labels and "best so far" in labels
    curves = draw_curves(read, best_of(read)).axes[0].lines
    assert max(len(line.get_ydata()) for line in curves) == 20


def trial(number: int, aucs: list[float], state: str = "complete", **params: Any) -> TrialResult:
    best = None if state == "failed" else max(aucs)
    described = {
        "trial": number,
        "study": "lr",
        "state": state,
        "params": params,
        "val_auc": aucs,
        "best_val_auc": best,
        "best_epoch": None if best is None else aucs.index(best) + 1,
        "seconds": 1.0,
    }
    return TrialResult.model_validate(described)


SIX = [
    trial(0, [0.6, 0.8]),
    trial(1, [0.7, 0.75]),
    trial(2, [0.55, 0.7], "pruned"),
    trial(3, [0.5], "failed"),
    trial(4, [0.85, 0.9, 0.88]),
    trial(5, [0.86, 0.87]),
]


def lines_of(figure: Figure, label: str) -> list[tuple[list[float], list[float]]]:
    """Points of the lines whose label begins so."""
    return [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in figure.axes[0].lines
        if str(line.get_label()).startswith(label)
    ]


def test_the_history_shows_each_trial_and_the_best_so_far() -> None:
    figure = draw_history(SIX, best_of(SIX))
    assert lines_of(figure, "trained to the end (4)") == [([0, 1, 4, 5], [0.8, 0.75, 0.9, 0.87])]
    assert lines_of(figure, "given up (1)") == [([2], [0.7])]
    assert lines_of(figure, "best so far") == [([0, 1, 4, 5, 5], [0.8, 0.8, 0.9, 0.9, 0.9])]
    assert lines_of(figure, "the best") == [([4], [0.9])]
    assert lines_of(figure, "failed (1)")
    assert lines_of(figure, "further down") == []


def test_a_trial_that_learnt_nothing_is_an_arrow_at_the_edge() -> None:
    trials = [trial(number, [0.9 + 0.01 * number]) for number in range(8)] + [trial(8, [0.5])]
    figure = draw_history(trials, best_of(trials))
    # A quarter of the scores is below 0.91, the best is 0.97: the axis begins 2 x 0.06 below 0.91.
    (arrow,) = [line for line in figure.axes[0].lines if line.get_marker() == "v" and len(line.get_xdata())]
    assert np.asarray(arrow.get_xdata()).tolist() == [8]
    assert np.asarray(arrow.get_ydata()).tolist() == pytest.approx([0.79])
    assert len(lines_of(figure, "further down")) == 1
    assert lines_of(figure, "trained to the end (9)")[0][0] == list(range(8))


def test_curves_end_where_their_trial_ended() -> None:
    axes = draw_curves(SIX, best_of(SIX)).axes[0]
    curves = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
    for one in SIX:
        assert one.val_auc in curves
    (best,) = [line for line in axes.lines if line.get_label() == "the best, trial 4"]
    assert np.asarray(best.get_xdata()).tolist() == [1, 2, 3]
    assert ([2], [0.9]) in [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in axes.lines
    ]


def test_slices_have_an_axis_for_each_key() -> None:
    space = {
        "train.lr": Dimension(low=1e-4, high=1e-2, log=True),
        "train.schedule": Dimension(choices=["cosine", "step"]),
        "network.timm": Dimension(choices=[{}, {"patch_size": 3}]),
        "train.augment": Dimension(choices=[True, False]),
    }
    values = [
        {"train.lr": 1e-3, "train.schedule": "step", "network.timm": {}, "train.augment": True},
        {
            "train.lr": 1e-2,
            "train.schedule": "cosine",
            "network.timm": {"patch_size": 3},
            "train.augment": False,
        },
    ]
    trials = [trial(number, [0.8 + 0.1 * number], **params) for number, params in enumerate(values)]
    figure = draw_slices(trials, best_of(trials), space)
    panels = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_xlabel()}
    assert list(panels) == ["network.timm", "train.augment", "train.lr", "train.schedule"]
    assert panels["train.lr"].get_xscale() == "log"
    assert np.asarray(panels["train.lr"].lines[0].get_xdata()).tolist() == [1e-3, 1e-2]
    expected = {
        "train.schedule": (["cosine", "step"], [1, 0]),
        "network.timm": (["{}", '{"patch_size": 3}'], [0, 1]),
        "train.augment": (["true", "false"], [0, 1]),
    }
    for key, (names, places) in expected.items():
        axes = panels[key]
        assert [label.get_text() for label in axes.get_xticklabels()] == names
        # Beside one another about the place of their choice.
        assert np.abs(np.asarray(axes.lines[0].get_xdata()) - places).max() <= 0.25
        assert np.asarray(axes.lines[0].get_ydata()).tolist() == [0.8, 0.9]


def test_the_importance_is_drawn_as_it_was_found() -> None:
    rng = np.random.default_rng(1)
    rates, decays = rng.uniform(0, 1, (2, 12))
    space = {"train.lr": Dimension(low=0.0, high=1.0), "train.weight_decay": Dimension(low=0.0, high=1.0)}
    trials = [
        trial(
            number, [0.5 + 0.4 * float(rate)], **{"train.lr": float(rate), "train.weight_decay": float(decay)}
        )
        for number, (rate, decay) in enumerate(zip(rates, decays, strict=True))
    ]
    shares = importance(trials, space)
    assert list(shares) == ["train.lr", "train.weight_decay"]
    assert shares["train.lr"] > 0.8  # nothing else matters here
    axes = draw_importance(trials, space).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["train.weight_decay", "train.lr"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(list(shares.values())[::-1])  # type: ignore[attr-defined]
    equal = [trial(number, [0.5], **{"train.lr": 0.5, "train.weight_decay": 0.5}) for number in range(12)]
    assert importance(equal, space) == {}
