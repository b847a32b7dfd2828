"""The picture of a comparison, looked at for what it shows."""

import numpy as np
import pytest

from stronglens.comparing.drift_plots import MOST_DETAILS, draw_drift
from stronglens.formats.drift_files import Compared

VALUES = np.array([3.0, 1.0, 2.0])


def one(statistic: str, band: str, distance: float, limit: float = 0.25) -> Compared:
    return Compared(
        statistic, band, VALUES, {"b_lenses": VALUES + 1, "a_lenses": 2 * VALUES}, distance, limit
    )


COMPARED = [one("sky", "g", 0.3), one("sky", "r", 0.1), one("noise", "g", 0.5), one("probability", "", 0.2)]


def test_the_overview_has_a_cell_for_each_comparison() -> None:
    figure = draw_drift(COMPARED, "Test set blind")
    assert figure.get_suptitle() == (
        "Test set blind against the training set: 2 of 4 differ (up to 3 values each)"
    )
    overview = figure.axes[0]
    assert [label.get_text() for label in overview.get_xticklabels()] == ["g", "r", "all bands"]
    assert [label.get_text() for label in overview.get_yticklabels()] == [
        *("sky (counts)", "noise (counts)", "probability")
    ]
    nan = np.nan
    cells = np.ma.filled(overview.images[0].get_array(), nan)
    expected = [[1.2, 0.4, nan], [2.0, nan, nan], [nan, nan, 0.8]]  # distance over limit
    np.testing.assert_allclose(cells, expected)
    texts = {text.get_position(): text.get_text() for text in overview.texts}
    assert texts[0, 0] == "0.30\nlimit 0.25"
    assert texts[2, 2] == "0.20\nlimit 0.25"
    # Frames lie about the cells of what drifts.
    frames = [patch.get_bbox() for patch in overview.patches]  # type: ignore[attr-defined]
    centres = {tuple(np.round((box.p0 + box.p1) / 2).tolist()) for box in frames}
    assert centres == {(0, 0), (0, 1)}


def test_what_drifts_is_drawn_the_furthest_first() -> None:
    figure = draw_drift(COMPARED)
    assert figure.get_suptitle().startswith("Blind set against the training set")
    details = [axes for axes in figure.axes if "outside" in axes.get_title()]
    assert [axes.get_title() for axes in details] == [
        "g: 0.50 outside (limit 0.25)",
        "g: 0.30 outside (limit 0.25)",
    ]
    assert details[0].get_xlabel() == "noise (counts)"
    lines = {str(line.get_label()): line for line in details[0].lines}
    assert list(lines) == ["a_lenses", "b_lenses", "blind set"]
    blind = lines["blind set"]
    assert np.asarray(blind.get_xdata()).tolist() == [1, 2, 3]
    assert np.asarray(blind.get_ydata()).tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert np.asarray(lines["a_lenses"].get_xdata()).tolist() == [2, 4, 6]


def test_nothing_that_drifts_leaves_the_overview_alone() -> None:
    figure = draw_drift([one("sky", "g", 0.25)])  # at its limit it does not yet
    assert len([axes for axes in figure.axes if "outside" in axes.get_title()]) == 0
    assert not figure.axes[0].patches


def test_at_most_so_many_are_drawn_and_it_says_so() -> None:
    many = [one(f"s{number}", "g", 0.3 + 0.01 * number) for number in range(MOST_DETAILS + 3)]
    figure = draw_drift(many)
    details = [axes for axes in figure.axes if "outside" in axes.get_title()]
    assert len(details) == MOST_DETAILS
    assert details[0].get_xlabel() == f"s{MOST_DETAILS + 2}"
    (below,) = [part for part in figure.subfigs if part.get_suptitle()]
    assert below.get_suptitle() == f"the {MOST_DETAILS} furthest over their limits"
