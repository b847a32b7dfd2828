"""The picture of completeness, looked at for what it shows."""

import numpy as np
import pandas as pd
import pytest

from drawn_figures import texts_of
from stronglens.scoring.completeness_plot import plot_completeness


def row(
    objects: str, name: str, low: float, high: float, share: float, n_lenses: int = 4
) -> dict[str, object]:
    return {
        "objects": objects,
        "property": name,
        "low": low,
        "high": high,
        "n_lenses": n_lenses,
        "completeness": share,
        "interval_low": share - 0.25,
        "interval_high": min(1.0, share + 0.125),
    }


TABLE = pd.DataFrame(
    [
        row("global", "einstein_radius_arcsec", 0.5, 1.0, 0.5),
        row("global", "einstein_radius_arcsec", 1.0, 2.0, 0.75, 3),
        row("domain::hsc", "einstein_radius_arcsec", 0.5, 2.0, 0.25),
        row("global", "lens_magnitude", 18, 20, 0.5, 9),
    ]
)


def test_points_lie_in_their_bins_with_their_intervals() -> None:
    figure = plot_completeness(TABLE, "Ensemble nano", "r")
    radius, lens, source = figure.axes
    whole, hsc = radius.containers
    points = np.asarray(whole.lines[0].get_xydata())  # type: ignore[union-attr]
    assert points[:, 1].tolist() == [0.5, 0.75]
    # Set apart by 2 % of the width, 1.5, about the middles.
    assert points[:, 0].tolist() == pytest.approx([0.75 - 0.015, 1.5 - 0.015])
    assert np.asarray(hsc.lines[0].get_xydata()).tolist() == [pytest.approx([1.25 + 0.015, 0.25])]  # type: ignore[union-attr]
    (bars,) = whole.lines[2]  # type: ignore[misc]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([0.25, 0.625]), pytest.approx([0.5, 0.875])]
    strokes = [segment.tolist() for segment in radius.collections[0].get_segments()]  # type: ignore[attr-defined]
    assert strokes == [[[0.5, 0.5], [1.0, 0.5]], [[1.0, 0.75], [2.0, 0.75]]]
    assert (lens.get_xlabel(), source.get_xlabel()) == (
        "r magnitude of the lens (AB)",
        "r magnitude of the source (AB)",
    )
    assert [text.get_text() for text in source.texts] == ["not known of these objects"]
    assert {"all", "hsc"} <= texts_of(figure)


def test_the_title_counts_the_lenses_of_the_first_property() -> None:
    assert plot_completeness(TABLE, "Ensemble nano").get_suptitle() == "Ensemble nano\nCompleteness, 7 lenses"
    empty = plot_completeness(TABLE.iloc[:0])
    assert empty.get_suptitle() == "Completeness"
    assert not empty.legends
