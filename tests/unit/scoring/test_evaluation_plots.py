"""Pictures of how well a classifier does: what they show, and that nothing of it is cut off."""

from pathlib import Path

import numpy as np
import pytest

from drawn_figures import count_pixels, labels_of, pixels_of, texts_of
from stronglens.formats.figures import BLUE, GREY, ORANGE, PURPLE
from stronglens.scoring.evaluation_plots import (
    PLOTS,
    plot_confusion_matrix,
    plot_reliability,
    plot_roc,
    plot_score_histogram,
)
from stronglens.scoring.metrics import metrics_at
from stronglens.scoring.scored import Scored, read_scored_csv

COLOURS = {
    # All objects, the first domain, and chance.
    "roc": (BLUE, ORANGE, GREY),
    "precision_recall": (BLUE, ORANGE, GREY),
    # What was found, and the threshold.
    "reliability": (BLUE, ORANGE),
    # Numbers, on dark cells and on pale ones.
    "confusion_matrix": ("white", "black"),
    # Lenses, and the threshold.
    "score_histogram": (PURPLE, "black"),
}
"""What each picture must show some of."""


def draw(n: int = 400) -> Scored:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    probs = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.5)))
    return Scored(labels, probs, np.where(rng.random(n) < 0.5, "hsc", "slsim").astype(object))


@pytest.mark.parametrize(("second", "unit"), [("b", "objects"), ("a", "samples")])
def test_captions_count_objects_only_where_each_row_is_one(tmp_path: Path, second: str, unit: str) -> None:
    (tmp_path / "pred.csv").write_text(f"label,prob,object\n1,0.9,a\n0,0.2,{second}\n")
    scored = read_scored_csv(tmp_path / "pred.csv")
    assert f"2 {unit}" in plot_roc(scored, 0.5).get_suptitle()


@pytest.mark.parametrize("name", PLOTS)
def test_pictures_are_drawn(name: str) -> None:
    figure = PLOTS[name](draw(), 0.4766)
    pixels = pixels_of(figure)
    assert [colour for colour in COLOURS[name] if count_pixels(pixels, colour) <= 20] == []
    assert any("0.477" in text for text in texts_of(figure))
    for axes in figure.axes:
        assert axes.get_ylabel() or len(axes.get_shared_y_axes().get_siblings(axes)) > 1
    # Boxes of text are up to 2 points higher than its letters.
    whole = figure.bbox.padded(2 * figure.dpi / 72)
    for text in labels_of(figure):
        frame = text.get_window_extent()
        assert whole.x0 <= frame.x0 <= frame.x1 <= whole.x1, text
        assert whole.y0 <= frame.y0 <= frame.y1 <= whole.y1, text


def test_pictures_show_the_numbers() -> None:
    scored = draw()
    found = metrics_at(scored.labels, scored.probs, 0.5)
    assert f"all, AUC = {found['roc_auc']:.2f}" in texts_of(plot_roc(scored, 0.5))
    assert f"found, ECE = {found['ece']:.2f}" in texts_of(plot_reliability(scored, 0.5))
    cells = [text.get_text().splitlines()[0] for text in plot_confusion_matrix(scored, 0.5).axes[0].texts]
    assert cells == [str(found[name]) for name in ("tn", "fp", "fn", "tp")]
    assert f"lenses ({scored.labels.sum()})" in texts_of(plot_score_histogram(scored, 0.5))
