"""The page of candidates: which objects, which numbers, which pictures."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.visualization import make_lupton_rgb
from PIL import Image

import candidates
from candidate_files import THRESHOLD, data_of, make_page, write_data, write_ensemble
from stronglens.candidates.pictures import (
    BANDS,
    COLOUR,
    Sheet,
    balances,
    band_pictures,
    colour_composites,
    light_ratios,
    save_sheet,
    side_by_side,
    usual_flux,
)
from stronglens.ensembling.scored_set import row_ids
from stronglens.formats.packed import open_packed
from stronglens.inspecting.cutout_statistics import frame_noise, frame_sky
from stronglens.settings.products import CandidatesSettings

SIZE = 33


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two objects of the test set lack bands."""
    folder = tmp_path_factory.mktemp("candidates")
    key = "hsc_lenses/D_00000003"
    options = write_data(folder, missing=((key, "i"), (key, "z"), ("hsc_lenses/D_00000004", "g")))
    (folder / "options").write_text("\n".join(options))
    make_page(folder, options, n_best=20, n_uncertain=7, n_mistakes=5)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Path:
    return folder / "page" / "index.html"


def view(page: Path, key: str) -> list[str]:
    data = data_of(page)
    (found,) = [one for one in data["views"] if one["key"] == key]
    return [data["items"]["id"][item] for item in found["items"]]


def test_the_best_and_the_uncertain_come_in_order(folder: Path, page: Path) -> None:
    table = pd.read_csv(folder / "ens/test_ens.csv")
    assert view(page, "best") == list(table.sort_values("prob", ascending=False)["object"][:20])
    distance = (table["prob"] - THRESHOLD).abs().sort_values()
    assert view(page, "uncertain") == list(table.loc[distance.index, "object"][:7])


def test_mistakes_are_those_of_the_held_out_split(folder: Path, page: Path) -> None:
    table = pd.read_csv(folder / "heldout/test_ens_labeled.csv").sort_values("prob")
    called = table["prob"] >= THRESHOLD
    assert view(page, "false_positives") == list(table[called & (table["label"] == 0)]["object"])[::-1][:5]
    assert view(page, "false_negatives") == list(table[~called & (table["label"] == 1)]["object"])[:5]


def test_each_object_stands_once_with_its_numbers(folder: Path, page: Path) -> None:
    data = data_of(page)
    items = data["items"]
    assert len({*zip(items["set"], items["id"], strict=True)}) == len(items["id"])
    assert {len(values) for values in items.values()} == {len(items["id"])}
    sets = [pd.read_csv(folder / name) for name in ("ens/test_ens.csv", "heldout/test_ens_labeled.csv")]
    tables = [table.set_index("object") for table in sets]
    for number, (place, name) in enumerate(zip(items["set"], items["id"], strict=True)):
        row = tables[place].loc[name]
        assert items["prob"][number] == pytest.approx(row["prob"], abs=1e-6)
        assert items["std"][number] == pytest.approx(row["prob_std"], abs=1e-6)
        assert items["label"][number] == row["label"]
    assert data["threshold"] == THRESHOLD
    assert data["members"] == ["nano seed 1", "nano seed 2"]
    assert data["colours"] == ["i", "r", "g"]


def test_answers_are_those_of_the_probabilities_in_full(tmp_path: Path) -> None:
    """Rounded for the page, a probability may lie on the other side of t*."""
    options = write_data(tmp_path, n_per_bucket=4)
    index = pd.read_parquet(tmp_path / "test/index.parquet")
    names = sorted(set(index["object"]))
    below, above = names[0], names[1]
    probs = dict.fromkeys(names, 0.1) | {below: THRESHOLD - 1e-9, above: THRESHOLD}
    write_ensemble(tmp_path / "ens/test_ens.csv", tmp_path / "test", probs, labelled=False)
    items = data_of(make_page(tmp_path, options))["items"]
    n_of_test_set = items["set"].count(0)
    answers = dict(zip(items["id"][:n_of_test_set], items["pred"], strict=False))
    assert (answers[below], answers[above]) == (0, 1)
    assert items["prob"][items["id"].index(below)] == THRESHOLD


def test_missing_bands_are_known(tmp_path: Path, folder: Path) -> None:
    page = make_page(tmp_path, (folder / "options").read_text().splitlines())
    items = data_of(page)["items"]
    n_of_test_set = items["set"].count(0)
    masks = dict(zip(items["id"][:n_of_test_set], items["bands"], strict=False))
    assert masks["hsc_lenses/D_00000003"] == 0b10011
    assert masks["hsc_lenses/D_00000004"] == 0b11110
    assert masks["hsc_lenses/D_00000005"] == 0b11111


def test_pictures_lie_where_the_page_looks_for_them(folder: Path, page: Path) -> None:
    """Each object's pictures made by themselves, and found as the page's script finds them."""
    items = data_of(page)["items"]
    sets = [open_packed(folder / "test"), open_packed(folder / "labelled")]
    cutouts = np.full((len(items["id"]), 5, SIZE, SIZE), np.nan, np.float32)
    for item, (name, place) in enumerate(zip(items["id"], items["set"], strict=True)):
        for row in np.flatnonzero(sets[place].index["object"] == name):
            cutouts[item, "grizy".index(sets[place].index["band"][row])] = sets[place].cutouts[row]
    settings = CandidatesSettings()
    colours = colour_composites(cutouts, [2, 1, 0], usual_flux(cutouts), settings.stretch, settings.softening)
    bands = side_by_side(band_pictures(cutouts))
    for sheet, expected in ((COLOUR, colours), (BANDS, bands)):
        for item, picture in enumerate(expected):
            number, inside = divmod(item, sheet.n_each)
            file = np.asarray(Image.open(page.parent / "images" / f"{sheet.name}_{number}.png"))
            height, width = picture.shape[:2]
            row, column = divmod(inside, sheet.n_across)
            assert (file[row * height :][:height, column * width :][:, :width] == picture).all()
    assert len({picture.tobytes() for picture in colours}) == len(colours)


def draw(n_objects: int = 3, n_bands: int = 4) -> np.ndarray:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    light = 30 * np.exp(-(np.hypot(x - 6, y - 9) ** 2) / 8)
    return (rng.normal(0.5, 0.2, (n_objects, n_bands, SIZE, SIZE)) + light).astype(np.float32)


def test_colours_are_those_of_lupton_et_al() -> None:
    cutouts, usual = draw(), np.array([1.0, 2.0, 4.0, 8.0])
    found = colour_composites(cutouts, [2, 1, 0], usual, stretch=20, softening=8)
    for number, bands in enumerate(cutouts):
        above = (bands - frame_sky(bands)[:, None, None]) / usual[:, None, None]
        scaled = above / np.median(frame_noise(bands) / usual)
        expected = make_lupton_rgb(scaled[2], scaled[1], scaled[0], stretch=20, Q=8)
        assert np.abs(found[number].astype(int) - expected[::-1]).max() <= 1


def test_a_usual_object_is_grey_and_up_is_up() -> None:
    cutouts = draw()
    cutouts *= np.array([1, 3, 5, 7], np.float32)[:, None, None]
    usual = usual_flux(cutouts)
    assert usual / usual[0] == pytest.approx([1, 3, 5, 7], rel=0.1)
    picture = colour_composites(cutouts, [3, 1, 0], usual, stretch=200, softening=8)[0].astype(int)
    row, column = np.unravel_index(picture.sum(axis=2).argmax(), (SIZE, SIZE))
    # y = 25 from below is the row 7 from above.
    assert (row, column) == pytest.approx((SIZE - 1 - (SIZE // 2 + 9), SIZE // 2 + 6), abs=1)
    assert np.ptp(picture[row, column]) < 25


def test_a_missing_band_is_replaced_by_its_neighbour_and_dark_by_itself() -> None:
    cutouts = draw()
    whole = colour_composites(cutouts, [2, 1, 1], np.ones(4), stretch=20, softening=8)
    cutouts[0, 0] = np.nan
    without = colour_composites(cutouts, [2, 1, 0], np.ones(4), stretch=20, softening=8)
    # The noise of three bands is not that of four.
    assert np.abs(without[0].astype(int) - whole[0]).mean() < 3
    assert not band_pictures(cutouts)[0, 0].any()
    assert band_pictures(cutouts)[0, 1].max() == 255
    cutouts[1] = np.nan
    assert not colour_composites(cutouts, [2, 1, 0], np.ones(4), stretch=20, softening=8)[1].any()


@pytest.mark.parametrize("exponent", [-50, -30, 20, 50])
@pytest.mark.parametrize("noise", [0, 1])
def test_pictures_do_not_depend_on_the_unit_of_the_pixels(exponent: int, noise: int) -> None:
    cutouts = noise * np.random.default_rng(4).normal(0, 0.1, (2, 3, SIZE, SIZE)).astype(np.float32)
    cutouts[:, :, SIZE // 2 - 1 : SIZE // 2 + 2] += np.float32([1, 2, 3])[:, None, None]
    shown = []
    for images in (cutouts, cutouts * np.float32(2.0**exponent)):
        usual = usual_flux(images)
        composed = colour_composites(images, [2, 1, 0], usual, stretch=20, softening=8)
        shown.append((composed, band_pictures(images)))
    assert all(np.array_equal(*pair) for pair in zip(*shown, strict=True))
    assert np.ptp(shown[0][1]) > 90


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_cutouts_are_shown(value: float) -> None:
    cutouts = np.full((2, 3, SIZE, SIZE), value, np.float32)
    assert (usual_flux(cutouts) == 1).all()
    assert not colour_composites(cutouts, [2, 1, 0], np.ones(3), stretch=20, softening=8).any()
    assert np.ptp(band_pictures(cutouts)) == 0


def test_a_sheet_that_is_not_full_is_shorter(tmp_path: Path) -> None:
    pictures = np.arange(7, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    save_sheet(tmp_path, Sheet("grey", 3, 50), 4, pictures)
    sheet = np.asarray(Image.open(tmp_path / "grey_4.png"))
    assert sheet[::2, ::2].tolist() == [[0, 1, 2], [3, 4, 5], [6, 0, 0]]


def test_the_page_is_the_same_every_time_and_old_pictures_go(folder: Path, tmp_path: Path) -> None:
    options = (folder / "options").read_text().splitlines()
    again = make_page(tmp_path, options, n_best=20, n_uncertain=7, n_mistakes=5)
    (again.parent / "images/bands_99.png").write_bytes(b"of another run")
    again = make_page(tmp_path, options, n_best=20, n_uncertain=7, n_mistakes=5)
    files = {path.relative_to(again.parent) for path in again.parent.rglob("*") if path.is_file()}
    for name in files:
        assert (again.parent / name).read_bytes() == (folder / "page" / name).read_bytes()
    assert Path("images/bands_99.png") not in files
    assert Path("images/colour_0.png") in files


def test_file_level_has_the_ids_of_its_submission(tmp_path: Path) -> None:
    data = data_of(make_page(tmp_path, write_data(tmp_path, n_per_bucket=4, level="file"), n_best=80))
    names = [name for name, place in zip(data["items"]["id"], data["items"]["set"], strict=True) if not place]
    assert len(names) == 80
    assert "D_00000000_g" in names


def test_ids_of_files_are_their_names_without_folders_and_ending() -> None:
    paths = ["/a.fits/b_g.FITS.GZ", "c.fits_r.fits.fz", "d.dat", "/e/f.g.fit"]
    table = pa.table({"path": pa.array(paths, pa.large_string())})
    assert row_ids(table, "file").to_pylist() == ["b_g", "c.fits_r", "d.dat", "f.g"]


def test_names_cannot_leave_the_script_they_stand_in(tmp_path: Path) -> None:
    options = write_data(tmp_path, n_per_bucket=4)
    name = "</script><script>alert(1)//\u2028"
    assert candidates.main([*options, f"--ensemble={name}", f"--out-dir={tmp_path}/page"]) == 0
    assert data_of(tmp_path / "page/index.html")["ensemble"] == name
    assert "\u2028" not in (tmp_path / "page/data.js").read_text()


def test_probabilities_without_cutouts_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = write_data(tmp_path, n_per_bucket=4)
    shutil.rmtree(tmp_path / "test")
    write_data(tmp_path / "fewer", n_per_bucket=2)
    shutil.move(tmp_path / "fewer/test", tmp_path / "test")
    assert candidates.main([*options, f"--out-dir={tmp_path}/page"]) == 1
    assert "expected the cutouts of" in capsys.readouterr().err
    assert not (tmp_path / "page/index.html").exists()


@pytest.mark.parametrize(
    ("bands", "given", "expected"),
    [
        (list("grizy"), None, ["i", "r", "g"]),
        (["g"], None, ["g", "g", "g"]),
        (["g", "r"], None, ["r", "r", "g"]),
        (["u", "v", "w", "x"], None, ["w", "v", "u"]),
        (list("grizy"), ["z", "i", "r"], ["z", "i", "r"]),
    ],
)
def test_colour_bands(bands: list[str], given: list[str] | None, expected: list[str]) -> None:
    assert CandidatesSettings(colour_bands=given).colours(bands) == expected


def test_light_in_the_middle_relative_to_green() -> None:
    cutouts = np.zeros((3, 3, SIZE, SIZE), np.float32)
    middle = slice(SIZE // 2 - 1, SIZE // 2 + 2)
    cutouts[0, :, middle, middle] = np.array([1, 2, 8])[:, None, None]
    cutouts[1, :, middle, middle] = np.array([1, 1, 100])[:, None, None]
    found = light_ratios(cutouts, [2, 1, 0], np.array([1.0, 1.0, 2.0]))
    assert found == pytest.approx(np.array([[2, 0.5], [8, 1], [1, 1]]))  # at most 8; no light, no colour


def test_factors_of_the_balances() -> None:
    rng = np.random.default_rng(2)
    noise = np.array([1.0, 2.0, 4.0])
    cutouts = rng.normal(0, noise[None, :, None, None], (200, 3, SIZE, SIZE)).astype(np.float32)
    found = balances(cutouts, [2, 1, 0], np.array([1.0, 1.0, 8.0]))
    assert found["counts"] == pytest.approx([4, 0.5, 0.5], rel=1e-3)
    assert found["noise"] == pytest.approx([2, 0.5, 1], rel=0.05)
