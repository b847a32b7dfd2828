"""Pictures of a packed set, looked at for what they show."""

from pathlib import Path

import numpy as np
import pytest

from drawn_figures import keep_saved_figures, texts_of
from stronglens.formats.inspection_files import ContactSheet, Histogram, Histograms
from stronglens.inspecting.inspection_plots import (
    BAND_STYLES,
    GAP_PX,
    arrange_cutouts,
    save_contact_sheet,
    save_histograms,
)

CUTOUTS = np.random.default_rng(1).normal(5, 1, (3, 7, 7)).astype(np.float32)
SHEET = ContactSheet(
    dataset="mine",
    n_cutouts=1234,
    n_objects=500,
    n_most=3,
    bands=["g", "r"],
    objects={"lenses": ["lenses/a", "lenses/b"], "others": ["others/c"]},
    cutout_keys=[("lenses/a", "g"), ("lenses/b", "r"), ("others/c", "g")],
    cutouts=CUTOUTS,
)


def test_cutouts_lie_by_object_and_band_and_gaps_stay_empty() -> None:
    picture = arrange_cutouts(SHEET, ["lenses/a", "lenses/b"], ["r", "g"])
    assert picture.shape == (14 + GAP_PX, 14 + GAP_PX)
    upper, lower, left, right = slice(9, 16), slice(0, 7), slice(0, 7), slice(9, 16)
    # The first object is at the top, y upwards; bands in the order that is asked for.
    for place, cutout in (((upper, right), CUTOUTS[0]), ((lower, left), CUTOUTS[1])):
        shown = picture[place]
        assert (shown.min(), shown.max()) == (0, 1)
        assert np.array_equal(np.argsort(shown, axis=None), np.argsort(cutout, axis=None))
    assert np.isnan(picture[upper, left]).all()
    assert np.isnan(picture[lower, right]).all()
    assert np.isnan(picture[7:9]).all()
    assert np.isnan(arrange_cutouts(SHEET, [], ["g"])).all()


def test_the_stretch_is_that_of_the_inverse_sine_in_units_of_the_noise() -> None:
    picture = arrange_cutouts(SHEET, ["lenses/a"], ["g"])
    above = CUTOUTS[0].astype(np.float64) - np.median(CUTOUTS[0])
    curved = np.arcsinh(above / (1.4826 * np.median(np.abs(above))))
    np.testing.assert_allclose(picture, (curved - curved.min()) / (curved.max() - curved.min()), atol=1e-12)


def test_the_contact_sheet_names_buckets_objects_and_bands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = keep_saved_figures(monkeypatch, draw=False)
    save_contact_sheet(SHEET, tmp_path / "sheet.png")
    figure = saved["sheet"]
    assert figure.get_suptitle() == "mine: 1,234 cutouts of 500 objects"
    lenses, others = figure.axes
    assert (lenses.get_title(), others.get_title()) == ("lenses", "others")
    assert [label.get_text() for label in lenses.get_xticklabels()] == ["g", "r"]
    # From the bottom, where y begins; each in the middle of its cutout.
    assert [label.get_text() for label in lenses.get_yticklabels()] == ["b", "a"]
    assert lenses.get_yticks().tolist() == [3, 12]
    shown = np.ma.filled(lenses.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(shown, arrange_cutouts(SHEET, SHEET.objects["lenses"], SHEET.bands))


def test_histograms_are_densities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    histograms = [
        Histogram(bucket="lenses", band="g", n_cutouts=7, counts=[3, 0, 1]),
        Histogram(bucket="lenses", band="r", n_cutouts=8, counts=[0, 5, 5]),
        Histogram(bucket="others", band="g", n_cutouts=9, counts=[2, 2, 2]),
    ]
    counted = Histograms(linear_counts=0.5, edges=[0.0, 1.0, 3.0, 7.0], histograms=histograms)
    saved = keep_saved_figures(monkeypatch, draw=False)
    save_histograms(counted, tmp_path / "histograms.png")
    figure = saved["histograms"]
    lenses, others = figure.axes
    assert figure.get_suptitle() == "Pixel values of 24 cutouts"
    assert (lenses.get_title(), others.get_title()) == ("lenses", "others")
    values, edges, _ = lenses.patches[0].get_data()  # type: ignore[attr-defined]
    # Three of four pixels in a bin of width 1, one in a bin of width 4, and no line where there is none.
    np.testing.assert_array_equal(values, [0.75, np.nan, 0.0625])
    assert edges.tolist() == [0, 1, 3, 7]
    assert [text.get_text() for text in lenses.get_legend().get_texts()] == ["g (7 cutouts)", "r (8 cutouts)"]
    assert [patch.get_linestyle() for patch in lenses.patches] == ["-", "--"]
    assert (lenses.get_xscale(), lenses.get_yscale()) == ("symlog", "log")
    assert {"pixel value (counts)", "share of pixels per count"} <= texts_of(figure)


def test_bands_differ_by_colour_and_by_dashes() -> None:
    assert len({colour for colour, _ in BAND_STYLES}) == len({dashes for _, dashes in BAND_STYLES}) == 5
