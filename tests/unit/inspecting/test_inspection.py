"""The look at a packed data set: numbers against a slow count, pictures of what was chosen."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inspect_data as step
import plot_data
from drawn_figures import is_picture, keep_saved_figures, texts_of
from fits_files import BANDS, plant_faults, write_labelled, write_single_band, write_test_set
from stronglens.formats.inspection_files import Histograms, read_sheet
from stronglens.formats.packed import open_packed
from stronglens.inspecting.inspection import choose_cutouts, choose_sheet, count_pixels, describe_pixels
from stronglens.inspecting.inspection_plots import arrange_cutouts
from stronglens.packing.pack import build_buckets
from stronglens.settings.data import BUCKETS, PackSettings, SplitSettings
from stronglens.splitting.split import split_objects


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled set with faults in one bucket, packed and split."""
    folder = tmp_path_factory.mktemp("inspect")
    places = write_labelled(folder / "data", 10)
    plant_faults(Path(places["hsc_lenses"]) / "hsc_lenses")
    settings = PackSettings(labelled=places, max_rejected=0.05)
    build_buckets(settings, folder / "packed")
    split_objects(folder / "packed", folder / "splits", SplitSettings())
    return folder


@pytest.fixture(scope="module")
def inspected(folder: Path) -> dict[str, Any]:
    return inspect(folder, folder / "inspection", "--splits", str(folder / "splits"))


def inspect(folder: Path, out: Path, *options: str) -> dict[str, Any]:
    """The summary; the pictures are drawn, too."""
    assert step.main(["--packed", str(folder / "packed"), "--out-dir", str(out), *options]) == 0
    assert plot_data.main(["--inspection", str(out), "--out-dir", str(out)]) == 0
    content: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return content


def test_the_summary_says_what_is_there_and_what_was_bad(inspected: dict[str, Any]) -> None:
    found = inspected
    assert found["n_files"] == 199
    assert found["cutouts"]["slsim_lenses"] == dict.fromkeys(BANDS, 10)
    assert found["cutouts"]["hsc_lenses"] == dict.fromkeys(BANDS, 10) | {"r": 3}
    assert found["counts"]["label"] == {"0": 100, "1": 93}
    assert found["counts"]["domain"] == {"hsc": 93, "slsim": 100}
    assert len(found["bad_files"]) == 6
    assert all(row["bucket"] == "hsc_lenses" and row["reason"] for row in found["bad_files"])
    assert found["missing_bands"]["r"]["first"] == ["hsc_lenses/D2_L_00000006"]
    splits = found["splits"]["split"]
    assert sum(splits.values()) == found["splits"]["n_objects"] == 40
    assert splits == {"train": 28, "val": 6, "test": 6}


def test_pixels_are_described_as_a_slow_count_does(folder: Path, inspected: dict[str, Any]) -> None:
    found = inspected["pixels"]
    packed = open_packed(folder / "packed")
    assert list(found) == sorted(BUCKETS)
    rows = (packed.index["bucket"] == "slsim_lenses") & (packed.index["band"] == "i")
    cutouts = packed.cutouts[rows].astype(np.float64)
    values = found["slsim_lenses"]["i"]
    assert values["n_cutouts"] == 10
    for name in ("mean", "std", "min", "max", "median"):
        assert values[name] == pytest.approx(getattr(np, name)(cutouts), rel=1e-6)


def test_noise_is_that_of_the_border() -> None:
    generator = np.random.default_rng(0)
    cutouts = generator.normal(3, 0.7, (200, 41, 41)).astype(np.float32)
    cutouts[:, 10:30, 10:30] += 500
    assert describe_pixels(cutouts)["noise"] == pytest.approx(0.7, rel=0.02)


def test_at_most_so_many_cutouts_are_taken_evenly_spaced(folder: Path) -> None:
    packed = open_packed(folder / "packed")
    few, all_of_them = choose_cutouts(packed, 4), choose_cutouts(packed, 5000)
    rows = few["slsim_nonlenses"]["g"]
    assert len(rows) == 4
    assert set(packed.index["band"][rows]) == {"g"}
    assert packed.index["object"][rows].str[-2:].tolist() == ["00", "03", "06", "09"]
    assert sorted(np.concatenate([r for bands in all_of_them.values() for r in bands.values()])) == [
        *range(193)
    ]


def test_the_same_is_written_each_time(folder: Path, inspected: dict[str, Any], tmp_path: Path) -> None:
    again = inspect(folder, tmp_path)
    assert again["splits"] is None
    assert again | {"splits": inspected["splits"]} == inspected
    assert {path.name for path in tmp_path.iterdir()} == {
        *("summary.json", "contact_sheet.json", "contact_sheet.npy", "histograms.json"),
        *("cutouts.png", "cutouts.pdf", "histograms.png", "histograms.pdf"),
    }
    for path in tmp_path.iterdir():
        if path.name != "summary.json":
            assert path.read_bytes() == (folder / "inspection" / path.name).read_bytes()
    assert is_picture(tmp_path / "cutouts.png") and is_picture(tmp_path / "histograms.png")


@pytest.mark.usefixtures("inspected")
def test_pictures_show_every_bucket_object_and_band(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = keep_saved_figures(monkeypatch, draw=False)
    assert plot_data.main(["--inspection", str(folder / "inspection"), "--out-dir", str(tmp_path)]) == 0
    sheet, cutouts = read_sheet(folder / "inspection"), saved["cutouts"]
    assert cutouts.get_suptitle() == "labelled: 193 cutouts of 40 objects"
    assert [axes.get_title() for axes in cutouts.axes] == list(BUCKETS)
    for axes, objects in zip(cutouts.axes, sheet.objects.values(), strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == list(BANDS)
        assert [label.get_text() for label in axes.get_yticklabels()] == [
            name.rpartition("/")[2][-14:] for name in reversed(objects)
        ]
        np.testing.assert_array_equal(
            axes.images[0].get_array(), np.ma.masked_invalid(arrange_cutouts(sheet, objects, sheet.bands))
        )
    histograms = saved["histograms"]
    assert {axes.get_title() for axes in histograms.axes} == set(BUCKETS)
    for axes in histograms.axes:
        counted = {band: 3 if (axes.get_title(), band) == ("hsc_lenses", "r") else 10 for band in BANDS}
        legend = [text.get_text() for text in axes.get_legend().get_texts()]
        assert set(legend) == {f"{band} ({n} cutouts)" for band, n in counted.items()}
        for stairs in axes.patches:
            values, edges, _ = stairs.get_data()
            # The pixels that are counted, all or but those of the last bin, are as many as one.
            assert np.nansum(values * np.diff(edges)) == pytest.approx(1)
    assert {"pixel value (counts)", "share of pixels per count"} <= texts_of(histograms)


def test_cutouts_are_arranged_by_object_and_band_the_right_way_up(folder: Path) -> None:
    packed = open_packed(folder / "packed")
    objects = ["hsc_lenses/D2_L_00000003", "hsc_lenses/D2_L_00000009"]  # the first lacks band r
    picture = arrange_cutouts(choose_sheet(packed, 10), objects, ["g", "r"])
    assert picture.shape == (84, 84)
    assert np.isnan(picture[43:, 43:]).all()
    assert np.isnan(picture[41:43]).all()
    for name, band, place in [
        (objects[0], "g", picture[43:, :41]),
        (objects[1], "g", picture[:41, :41]),
        (objects[1], "r", picture[:41, 43:]),
    ]:
        row = np.flatnonzero((packed.index["object"] == name) & (packed.index["band"] == band)).item()
        order = np.argsort(packed.cutouts[row], axis=None)
        assert (np.diff(place.ravel()[order]) >= 0).all()
        assert (place.min(), place.max()) == (0, 1)


@pytest.mark.usefixtures("inspected")
def test_objects_of_the_contact_sheet_are_evenly_spaced_with_all_their_cutouts(folder: Path) -> None:
    packed = open_packed(folder / "packed")
    sheet = read_sheet(folder / "inspection")
    assert list(sheet.objects) == list(BUCKETS)
    assert [name[-2:] for name in sheet.objects["slsim_lenses"]] == ["00", "01", "03", "05", "07", "09"]
    assert (sheet.n_cutouts, sheet.n_objects, sheet.n_most) == (193, 40, 6)
    chosen = {name for names in sheet.objects.values() for name in names}
    rows = np.flatnonzero(packed.index["object"].isin(chosen))
    assert sheet.cutouts.tolist() == packed.cutouts[rows].tolist()
    assert sheet.cutout_keys == list(
        zip(packed.index["object"][rows], packed.index["band"][rows], strict=True)
    )


@pytest.mark.usefixtures("inspected")
@pytest.mark.parametrize("exponent", [-40, 40])
def test_pixels_are_counted_alike_in_any_unit(folder: Path, exponent: int) -> None:
    packed = open_packed(folder / "packed")
    scaled = dataclasses.replace(packed, cutouts=packed.cutouts * np.float32(2.0**exponent))
    expected, found = (count_pixels(one, choose_cutouts(packed, 5)) for one in (packed, scaled))
    assert found.linear_counts == expected.linear_counts * 2.0**exponent
    np.testing.assert_allclose(found.edges, np.array(expected.edges) * 2.0**exponent)
    assert found.histograms == expected.histograms


@pytest.mark.usefixtures("inspected")
def test_pixels_are_counted_as_a_slow_count_does(folder: Path) -> None:
    packed = open_packed(folder / "packed")
    counted = Histograms.read(folder / "inspection/histograms.json")
    by_name = {(one.bucket, one.band): one for one in counted.histograms}
    assert set(by_name) == {(bucket, band) for bucket in BUCKETS for band in BANDS}
    edges = np.array(counted.edges)
    assert (np.diff(edges) > 0).all()
    # Bins of one width where they are linear, of a growing one beyond.
    assert np.diff(edges).min() < 1.5 * counted.linear_counts < np.diff(edges).max()
    for bucket, band in (("slsim_lenses", "g"), ("hsc_lenses", "r")):
        one = by_name[bucket, band]
        chosen = (packed.index["bucket"] == bucket) & (packed.index["band"] == band)
        pixels = packed.cutouts[np.flatnonzero(chosen)]
        assert one.n_cutouts == len(pixels)
        for number, count in enumerate(one.counts[:-1]):
            assert count == np.count_nonzero((pixels >= edges[number]) & (pixels < edges[number + 1]))


@pytest.mark.parametrize("name", ["contact_sheet.json", "contact_sheet.npy", "histograms.json"])
@pytest.mark.parametrize("content", [None, b"{}"])
@pytest.mark.usefixtures("inspected")
def test_what_is_drawn_must_be_what_was_written(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes | None
) -> None:
    for path in (folder / "inspection").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert plot_data.main(["--inspection", str(tmp_path), "--out-dir", str(tmp_path / "out")]) == 1
    assert f"{name}: expected" in caplog.text
    assert "Traceback" not in caplog.text
    assert not (tmp_path / "out/histograms.png").exists()


def test_sets_without_labels_and_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_single_band(tmp_path / "set")
    build_buckets(PackSettings(dataset="blind", path=str(tmp_path / "set")), tmp_path / "packed")
    saved = keep_saved_figures(monkeypatch)
    found = inspect(tmp_path, tmp_path / "out")
    assert found["cutouts"] == {"blind": {"single": 4}}
    assert list(found["pixels"]) == ["blind"]
    (sheet,), (histogram,) = saved["cutouts"].axes, saved["histograms"].axes
    assert [label.get_text() for label in sheet.get_xticklabels()] == ["single"]
    assert len(sheet.get_yticklabels()) == 4
    assert [text.get_text() for text in histogram.get_legend().get_texts()] == ["single (4 cutouts)"]
    assert is_picture(tmp_path / "out" / "cutouts.png")


def test_an_empty_part(tmp_path: Path) -> None:
    write_test_set(tmp_path / "set", 1)
    settings = PackSettings(dataset="blind", path=str(tmp_path / "set"))
    for part in range(2):
        build_buckets(settings, tmp_path / str(part) / "packed", part=part, n_parts=2)
        found = inspect(tmp_path / str(part), tmp_path / str(part) / "out")
        assert bool(found["pixels"]) == bool(found["n_cutouts"])


def test_changed_cutouts_are_refused(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (folder / "packed").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "cutouts.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "cutouts.npy").write_bytes(content)
    assert step.main(["--packed", str(tmp_path), "--out-dir", str(tmp_path / "out")]) == 1
    assert "cutouts.npy: expected sha256" in caplog.text
    assert not (tmp_path / "out").exists()
