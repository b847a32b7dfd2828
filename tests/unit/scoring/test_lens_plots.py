"""The picture of estimates against the truth, looked at for what it shows."""

from dataclasses import replace

import numpy as np

from drawn_figures import texts_of
from stronglens.scoring.lens_errors import Estimates
from stronglens.scoring.lens_plots import MOST_BARS, plot_estimates

NAN = np.nan
FOUND = Estimates(
    names=["Rein", "zlens", "sh"],
    truth=np.array([[1.0, 0.5, NAN], [2.0, NAN, NAN], [3.0, 0.3, NAN]]),
    estimates=np.array([[1.5, 0.4, 0.1], [2.0, 0.2, 0.2], [2.0, 0.35, 0.3]]),
    probs=np.array([0.9, 0.5, 0.1]),
    domains=np.array(["hsc", "slsim", "hsc"], dtype=object),
    objects=np.array([0, 1, 1]),
)
ERRORS = {
    name: {"bias": -0.1667, "scatter_mad": 0.7413, "rms": 0.645, "rms_of_mean": 0.8165}
    for name in ("Rein", "zlens")
}


def test_a_panel_a_parameter_with_points_by_domain() -> None:
    figure = plot_estimates(FOUND, ERRORS, "Ensemble nano")
    radius, redshift, shear, *rest = figure.axes
    assert not rest
    points = {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in radius.lines[:2]}
    assert points == {"hsc": [[1.0, 1.5], [3.0, 2.0]], "slsim": [[2.0, 2.0]]}
    assert np.asarray(redshift.lines[0].get_xydata()).tolist() == [
        [0.5, 0.4],
        [0.3, 0.35],
    ]  # those that are known
    assert (radius.get_xlabel(), radius.get_ylabel()) == ("true Rein (arcsec)", "estimated Rein (arcsec)")
    assert redshift.get_xlabel() == "true zlens"
    assert [text.get_text() for text in shear.texts] == ["not known of these lenses"]
    assert radius.get_title() == "bias -0.17, scatter 0.74\nrms 0.65 (always the mean: 0.82)"
    # Of two objects, one of which has two rows.
    assert figure.get_suptitle().startswith("Ensemble nano\nEstimated lens parameters of 2 lenses")
    assert {"hsc", "slsim"} <= texts_of(figure)


def test_both_axes_have_one_range_with_the_line_of_equality_and_the_mean() -> None:
    radius = plot_estimates(FOUND, ERRORS).axes[0]
    assert radius.get_xlim() == radius.get_ylim()
    low, high = radius.get_xlim()
    assert low < 1.0
    assert high > 3.0
    *_, equality, mean = radius.lines
    assert np.asarray(equality.get_xydata()).tolist() == [[low, low], [high, high]]
    assert set(np.asarray(mean.get_ydata()).tolist()) == {2.0}


def test_widths_are_bars_and_their_coverage_is_above_the_panel() -> None:
    wide = replace(FOUND, stds=np.array([[0.4, 0.1, 0.1], [0.2, 0.1, 0.1], [0.5, 0.1, 0.1]]))
    of_widths = {"coverage_68": 0.667, "coverage_95": 1.0, "mean_pull": 0.1, "rms_pull": 1.234}
    figure = plot_estimates(wide, {name: errors | of_widths for name, errors in ERRORS.items()})
    radius = figure.axes[0]
    assert radius.get_title().endswith("\n67% within 1 std, 100% within 1.96 std\nrms pull 1.2")
    bars = [segment.tolist() for drawn in radius.collections for segment in drawn.get_segments()]
    assert bars == [[[1.0, 1.1], [1.0, 1.9]], [[3.0, 1.5], [3.0, 2.5]], [[2.0, 1.8], [2.0, 2.2]]]
    assert "bars: one standard deviation" in figure.get_suptitle()
    assert not plot_estimates(FOUND, ERRORS).axes[0].collections


def test_of_many_lenses_no_bars_are_drawn_or_explained() -> None:
    n = MOST_BARS
    many = Estimates(
        names=["Rein"],
        truth=np.linspace(0.5, 2, n)[:, None],
        estimates=np.linspace(0.6, 1.9, n)[:, None],
        probs=np.full(n, 0.5),
        domains=np.full(n, "hsc", dtype=object),
        objects=np.arange(n),
        stds=np.full((n, 1), 0.1),
    )
    of_widths = {"coverage_68": 0.7, "coverage_95": 0.9, "mean_pull": 0.0, "rms_pull": 1.0}
    figure = plot_estimates(many, {"Rein": ERRORS["Rein"] | of_widths})
    assert not figure.axes[0].collections
    assert "bars" not in figure.get_suptitle()
