"""The page of candidates, used as a person uses it."""

import csv
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

import chromium
from candidate_files import THRESHOLD, data_of, make_page, write_data

SLOWEST_MS = 2000
"""From the start of loading until the page with 10,000 candidates can be used."""


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    missing = (("hsc_lenses/D_00000003", "i"), ("hsc_lenses/D_00000003", "z"))
    return make_page(folder, write_data(folder, n_per_bucket=30, missing=missing), n_best=90, n_uncertain=15)


@pytest.fixture
def data(page: Path) -> dict[str, Any]:
    return data_of(page)


class Page:
    """The page in the browser, without any grades."""

    def __init__(self, browser: Chrome, path: Path, size: tuple[int, int]) -> None:
        self.browser, self.path = browser, path
        chromium.show(browser, path, size)
        browser.execute_script("localStorage.clear()")
        browser.refresh()

    def __getitem__(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    @property
    def grid(self) -> WebElement:
        return self["grid"]

    def ids(self) -> list[str]:
        """Of all objects that are listed, also those out of sight."""
        found: list[str] = self.browser.execute_script(
            "return app.grid.items.map((item) => CANDIDATES.items.id[item])"
        )
        return found

    def chosen(self) -> str:
        """What the list names as the active one, by what a screen reader says."""
        card = self[self.grid.get_attribute("aria-activedescendant") or ""]
        return card.get_property("textContent") or ""

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.switch_to.active_element.send_keys(key)

    def view(self, name: str) -> None:
        (button,) = [one for one in self["views"].find_elements(By.TAG_NAME, "button") if name in one.text]
        button.click()

    def choose(self, name: str, value: str) -> None:
        Select(self[name]).select_by_value(value)

    def shows(self) -> str:
        return self["status"].text

    def grade_of(self, name: str) -> str:
        found: str = self.browser.execute_script(
            "return app.gradeOf(CANDIDATES.items.id.indexOf(arguments[0]))", name
        )
        return found


@pytest.fixture
def opened(browser: Chrome, page: Path) -> Page:
    return Page(browser, page, chromium.DESKTOP)


@pytest.fixture
def phone(browser: Chrome, page: Path) -> Page:
    return Page(browser, page, chromium.PHONE)


def of_view(data: dict[str, Any], number: int) -> list[int]:
    items: list[int] = data["views"][number]["items"]
    return items


def names(data: dict[str, Any], items: list[int]) -> list[str]:
    return [data["items"]["id"][item] for item in items]


def test_views_show_what_they_say(opened: Page, data: dict[str, Any]) -> None:
    for number, view in enumerate(data["views"]):
        opened.view(view["name"])
        assert opened.ids() == names(data, view["items"])
        assert opened.shows().startswith(f"{len(view['items'])} of {len(view['items'])} shown")
        opened.press("1", str(number + 1))
        assert opened.ids() == names(data, view["items"])


def test_a_view_without_objects_says_so_and_can_be_left(browser: Chrome, tmp_path: Path) -> None:
    opened = Page(
        browser, make_page(tmp_path, write_data(tmp_path, n_per_bucket=3), n_uncertain=0), chromium.DESKTOP
    )
    opened.view("Near t*")
    assert opened["nothing"].text == "There is no such object."
    opened.press("1")
    assert opened.grid.is_displayed() and not opened["nothing"].is_displayed()
    assert browser.switch_to.active_element == opened.grid
    opened["search"].send_keys("no such object")
    assert opened["nothing"].text == "Nothing here matches the filters."


def test_sorting(opened: Page, data: dict[str, Any]) -> None:
    items = data["items"]
    best = of_view(data, 0)
    orders: dict[str, Callable[[int], Any]] = {
        "prob": lambda item: -items["prob"][item],
        "std": lambda item: -items["std"][item],
        "distance": lambda item: abs(items["prob"][item] - THRESHOLD),
        "id": lambda item: items["id"][item],
    }
    for name, key in orders.items():
        opened.choose("sort", name)
        assert opened.ids() == names(data, sorted(best, key=key))
    opened["direction"].click()
    assert opened.ids() == sorted(names(data, best), reverse=True)
    opened["reset"].click()
    opened.browser.execute_async_script("setTimeout(arguments[0])")
    assert opened.ids() == names(data, best)


def test_filters(opened: Page, data: dict[str, Any]) -> None:
    items, best = data["items"], of_view(data, 0)

    def expect(chosen: Callable[[int], bool]) -> None:
        expected = names(data, [item for item in best if chosen(item)])
        assert 0 < len(expected) < len(best)
        assert opened.ids() == expected
        assert opened.shows().startswith(f"{len(expected)} of 90 shown")
        opened["reset"].click()
        opened.browser.execute_async_script("setTimeout(arguments[0])")
        assert len(opened.ids()) == 90

    opened["prob-min"].send_keys("0.4")
    opened["prob-max"].send_keys("0.9")
    expect(lambda item: 0.4 <= items["prob"][item] <= 0.9)
    opened["search"].send_keys("HSC_lenses/D_0000000")
    expect(lambda item: "hsc_lenses/D_0000000" in items["id"][item])
    opened.browser.find_element(By.NAME, "has-z").click()
    expect(lambda item: bool(items["bands"][item] & 8))
    opened.choose("domain", "hsc")
    expect(lambda item: items["domain"][item] == "hsc")
    opened["search"].send_keys("no such object")
    assert opened.ids() == []
    assert opened["nothing"].is_displayed() and not opened.grid.is_displayed()


def test_a_keyboard_alone_grades(opened: Page, data: dict[str, Any]) -> None:
    best = names(data, of_view(data, 0))
    opened.press("a", "b", Keys.ARROW_RIGHT, "x", "C")
    assert [opened.grade_of(name) for name in best[:6]] == ["A", "B", "", "X", "C", ""]
    assert opened.shows() == "90 of 90 shown, 4 graded"
    assert opened.chosen().startswith(best[5])
    opened.press(Keys.HOME)
    assert opened.chosen().endswith("grade A")
    opened.press("0")
    assert opened.chosen().endswith("not graded")
    opened.press(Keys.END)
    assert opened.chosen().startswith(best[-1])
    opened.press(Keys.HOME, Keys.ARROW_DOWN)
    columns = opened.browser.execute_script("return app.grid.columns")
    assert columns > 3
    assert opened.chosen().startswith(best[columns])
    opened.press(Keys.ARROW_UP, "/")
    assert opened.browser.switch_to.active_element == opened["search"]
    opened.press("a", Keys.ESCAPE)
    assert opened.browser.switch_to.active_element == opened.grid
    assert opened.grade_of(best[0]) == ""
    # Everything that can be clicked can be reached with the tab key.
    reached = set()
    for _ in range(40):
        opened.press(Keys.TAB)
        reached.add(opened.browser.switch_to.active_element.get_attribute("id"))
    assert {"export", "import", "help-button", "search", "sort", "direction", "zoom", "grid"} <= reached


def test_grades_outlast_the_page_and_filter_it(opened: Page, data: dict[str, Any]) -> None:
    best = names(data, of_view(data, 0))
    opened.press("b", "a", "a")
    opened.browser.refresh()
    assert [opened.grade_of(name) for name in best[:4]] == ["B", "A", "A", ""]
    opened.choose("grade-filter", "A")
    assert opened.ids() == best[1:3]
    opened.choose("grade-filter", "none")
    assert opened.ids() == best[3:]
    opened.choose("grade-filter", "any")
    opened.choose("sort", "grade")
    assert opened.ids() == [best[1], best[2], best[0]]


def test_a_close_look(opened: Page, data: dict[str, Any]) -> None:
    best = of_view(data, 0)
    place = data["items"]["id"].index("hsc_lenses/D_00000003")
    assert place in best
    opened["search"].send_keys("hsc_lenses/D_00000003")
    opened.grid.find_element(By.CLASS_NAME, "card").click()
    assert opened["viewer-id"].text == "hsc_lenses/D_00000003"
    facts = opened["facts"].text
    prob, std = data["items"]["prob"][place], data["items"]["std"][place]
    assert f"{prob:.3f} ± {std:.3f}" in facts
    assert ("no lens" in facts) == (prob < THRESHOLD)
    assert "Missing bands\ni, z" in facts
    buttons = {one.text: one for one in opened["viewer-bands"].find_elements(By.TAG_NAME, "button")}
    assert {name: one.is_enabled() for name, one in buttons.items()} == {
        **dict.fromkeys(("colour", "g", "r", "y"), True),
        **dict.fromkeys(("i", "z"), False),
    }
    buttons["r"].click()
    assert opened["picture"].get_attribute("aria-label") == "hsc_lenses/D_00000003, band r"
    before = opened["picture"].size["width"]
    opened.press("+", "+")
    assert opened["picture"].size["width"] == before + 2 * data["sizePx"]
    opened["larger"].click()
    opened["smaller"].click()
    opened.press("-", "-", "-")
    assert opened["picture"].size["width"] == before - data["sizePx"]
    assert middle_seen(opened) == pytest.approx([0.5, 0.5], abs=0.01)
    opened.press(Keys.ESCAPE)
    assert not opened["viewer"].is_displayed()
    assert opened.browser.switch_to.active_element == opened.grid


def middle_seen(opened: Page) -> list[float]:
    """Which point of the picture lies in the middle of its frame: x and y, as shares of its size."""
    found: list[float] = opened.browser.execute_script(
        """
        const frame = document.getElementById("picture-frame").getBoundingClientRect();
        const picture = document.getElementById("picture").getBoundingClientRect();
        return [
          (frame.left + frame.width / 2 - picture.left) / picture.width,
          (frame.top + frame.height / 2 - picture.top) / picture.height,
        ];
        """
    )
    return found


@pytest.mark.parametrize("size", [chromium.DESKTOP, chromium.PHONE, chromium.PHONE_ON_ITS_SIDE])
def test_a_closer_look_is_at_the_middle_and_can_be_moved_by_keys(
    browser: Chrome, page: Path, size: tuple[int, int]
) -> None:
    opened = Page(browser, page, size)
    opened.press(Keys.ENTER, *"++++++")
    assert opened["picture"].size["width"] > opened["picture-frame"].size["width"]
    assert middle_seen(opened) == pytest.approx([0.5, 0.5], abs=0.01)

    def press_with_shift(*keys: str) -> None:
        for key in keys:
            ActionChains(browser).key_down(Keys.SHIFT).send_keys(key).key_up(Keys.SHIFT).perform()

    press_with_shift(Keys.ARROW_RIGHT)
    x, y = middle_seen(opened)
    assert x > 0.53 and y == pytest.approx(0.5, abs=0.01)
    press_with_shift(Keys.ARROW_DOWN)
    x, y = middle_seen(opened)
    assert x > 0.53 and y > 0.53
    opened.press("+", "-")
    assert middle_seen(opened) == pytest.approx([x, y], abs=0.01)
    press_with_shift(Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert middle_seen(opened) == pytest.approx([0.5, 0.5], abs=0.02)
    assert opened["position"].text == "1 of 90"


def test_sizes_in_the_list(opened: Page, data: dict[str, Any]) -> None:
    def side() -> int:
        width: int = opened.grid.find_element(By.CLASS_NAME, "thumb").size["width"]
        return width

    assert side() == 3 * data["sizePx"]
    opened.press("+")
    assert (side(), opened["zoom"].get_property("value")) == (4 * data["sizePx"], "3")
    opened.press("-", "-")
    assert (side(), opened["zoom"].get_property("value")) == (2 * data["sizePx"], "1")
    opened["zoom"].send_keys(Keys.ARROW_LEFT)
    assert side() == data["sizePx"]


def test_grading_in_the_close_look(opened: Page, data: dict[str, Any]) -> None:
    best = names(data, of_view(data, 0))
    opened.press(Keys.ENTER, "a")
    assert opened["viewer-id"].text == best[1]
    assert opened["position"].text == "2 of 90"
    opened["previous"].click()
    grades = {one.text[:1]: one for one in opened["viewer-grades"].find_elements(By.TAG_NAME, "button")}
    assert [grade for grade, one in grades.items() if one.get_attribute("aria-pressed") == "true"] == ["A"]
    grades["C"].click()
    assert opened.grade_of(best[0]) == "C"
    grades["C"].click()
    assert opened.grade_of(best[0]) == ""


def exported(opened: Page, downloads: Path) -> Path:
    path = downloads / "grades_challenge.csv"
    path.unlink(missing_ok=True)
    opened["export"].click()
    deadline = time.monotonic() + 60
    while not (path.is_file() and path.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return path


def test_grades_are_exported_join_and_come_back(
    opened: Page, data: dict[str, Any], downloads: Path, page: Path
) -> None:
    best = names(data, of_view(data, 0))
    opened.press("a", "x")
    opened.view("False positives")
    opened.press("c")  # a person who has clicked goes on with a key
    false_positive = names(data, of_view(data, 2))[0]
    path = exported(opened, downloads)
    table = pd.read_csv(path)
    assert list(table.columns[:4]) == ["id", "grade", "dataset", "prob"]
    assert {*zip(table["id"], table["grade"], table["dataset"], strict=True)} == {
        (best[0], "A", "challenge"),
        (best[1], "X", "challenge"),
        (false_positive, "C", "heldout"),
    }
    submission = pd.DataFrame({"id": best, "preds": 1})
    joined = submission.merge(table[table["dataset"] == "challenge"], on="id", how="left")
    assert list(joined["grade"][:3].fillna("")) == ["A", "X", ""]
    assert joined["prob"][0] == data["items"]["prob"][of_view(data, 0)[0]]
    opened.browser.execute_script("localStorage.clear()")
    opened.browser.refresh()
    assert opened.grade_of(best[0]) == ""
    opened["import-file"].send_keys(str(path))
    wait_for(lambda: "3 grades imported" in opened["message"].text)
    assert opened.grade_of(best[1]) == "X"
    again = exported(opened, downloads)
    assert pd.read_csv(again).equals(table)


def test_odd_ids_survive_and_wrong_files_change_nothing(
    opened: Page, data: dict[str, Any], downloads: Path, tmp_path: Path
) -> None:
    odd = 'a "quoted", id\nin two lines'
    rows = [["id", "grade"], [odd, "b"], ["not on this page", "A"]]
    with (tmp_path / "own.csv").open("w", newline="") as text:
        csv.writer(text).writerows(rows)
    opened["import-file"].send_keys(str(tmp_path / "own.csv"))
    wait_for(lambda: "2 grades imported" in opened["message"].text)
    table = pd.read_csv(exported(opened, downloads))
    assert dict(zip(table["id"], table["grade"], strict=True)) == {odd: "B", "not on this page": "A"}
    best = names(data, of_view(data, 0))
    for content, message in (
        (f"id,grade\n{best[0]},A\n{best[1]},D\n", "line 3: expected A, B, C or X, found D"),
        ("name,grade\na,A\n", "expected the columns id and grade"),
        (f'id,grade\n"{best[0]},A\n', "never closed"),
        (f"id,grade,dataset\n{best[0]},A,other\n", "expected one of the data sets of this page"),
    ):
        (tmp_path / "wrong.csv").write_text(content)
        opened["import-file"].send_keys(str(tmp_path / "wrong.csv"))
        wait_for(lambda message=message: message in opened["message"].text)
        assert "No grade was imported" in opened["message"].text
        assert opened.grade_of(best[0]) == ""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def picture_filter(opened: Page) -> str:
    """The CSS filter of the first picture in the list."""
    return str(opened.grid.find_element(By.CLASS_NAME, "thumb").value_of_css_property("filter"))


def shown_colours(opened: Page, element: WebElement) -> np.ndarray:
    """What the screen shows of an element: shape (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")).astype(float)


def test_ids_on_tiles_on_demand(opened: Page, data: dict[str, Any]) -> None:
    def ids() -> list[str]:
        lines = opened.grid.find_elements(By.CLASS_NAME, "id")
        return [line.get_property("textContent") for line in lines][:3]

    first = names(data, of_view(data, 0))[:3]
    assert ids() == []
    opened.press("i")
    assert ids() == first and opened["ids"].is_selected()
    opened["ids"].click()
    assert ids() == []


@pytest.mark.parametrize(("scale", "unit"), [(0.2, "arcsec"), (None, "px")])
def test_scale_bars_are_as_long_as_they_say(
    browser: Chrome, tmp_path: Path, scale: float | None, unit: str
) -> None:
    options = write_data(tmp_path, n_per_bucket=3)
    more = [] if scale is None else [f"--pixel-scale-arcsec={scale}"]
    opened = Page(browser, make_page(tmp_path, [*options, *more]), chromium.DESKTOP)
    opened.press(Keys.ENTER)
    for bar, picture in (
        ("scale-bar", opened["picture"]),
        ("list-scale", opened.grid.find_element(By.CLASS_NAME, "thumb")),
    ):
        length, found = (opened[bar].get_property("textContent") or "").split()
        assert found == unit
        size_px = browser.execute_script("return CANDIDATES.sizePx")
        line = opened[bar].find_element(By.TAG_NAME, "i")
        expected = float(length) / (scale or 1) / size_px * picture.size["width"]
        assert line.size["width"] == pytest.approx(expected, abs=1)


def test_stretch_contrast_and_brightness_change_what_is_seen(opened: Page) -> None:
    thumb = opened.grid.find_element(By.CLASS_NAME, "thumb")
    drawn = shown_colours(opened, thumb)
    assert picture_filter(opened) == "none"
    opened["tone-details"].find_element(By.TAG_NAME, "summary").click()
    panel = opened["tone-panel"]
    stretch = panel.find_element(By.NAME, "stretch")
    seen = {}
    for name in ("faint", "bright", "inverted"):
        Select(stretch).select_by_value(name)
        seen[name] = shown_colours(opened, opened.grid.find_element(By.CLASS_NAME, "thumb"))
    assert seen["bright"].mean() < drawn.mean() < seen["faint"].mean()
    # Which is dark in one is bright in the other.
    assert np.corrcoef(seen["inverted"].ravel(), drawn.ravel())[0, 1] < -0.8
    panel.find_element(By.TAG_NAME, "button").click()
    assert picture_filter(opened) == "none"
    opened.grid.click()
    opened.press(Keys.ESCAPE)
    opened.press("s")
    assert Select(stretch).first_selected_option.text == "faint arcs"
    opened.press("s", "s", "s")
    for name in ("contrast", "brightness"):
        panel.find_element(By.NAME, name).send_keys(Keys.ARROW_RIGHT * 4)
        changed = shown_colours(opened, opened.grid.find_element(By.CLASS_NAME, "thumb"))
        assert (changed.mean() > drawn.mean()) if name == "brightness" else (changed.std() > drawn.std())
        panel.find_element(By.TAG_NAME, "button").click()


def test_each_object_is_grey_with_that_balance(browser: Chrome, tmp_path: Path) -> None:
    """An object twice as red as usual is shown red, or by choice grey."""
    page = make_page(tmp_path, write_data(tmp_path, n_per_bucket=4))
    script = page.with_name("data.js")
    assert '"red":[' in script.read_text()
    opened = Page(browser, page, chromium.DESKTOP)
    opened.browser.execute_script("CANDIDATES.items.red.fill(2); CANDIDATES.items.blue.fill(1)")
    opened.browser.execute_script("app.tone.set({balance: 'each'})")
    thumb = opened.grid.find_element(By.CLASS_NAME, "thumb")
    red, green, blue = shown_colours(opened, thumb).mean(axis=(0, 1))
    assert green == pytest.approx(blue, rel=0.15) and red < 0.8 * green
    opened.browser.execute_script("app.tone.set({balance: 'counts'})")
    assert picture_filter(opened).startswith("url")


def test_undo_restores_one_grade_after_the_other_and_an_import_at_once(
    opened: Page, data: dict[str, Any], tmp_path: Path
) -> None:
    best = names(data, of_view(data, 0))
    assert not opened["undo"].is_enabled()
    opened.press("a", Keys.HOME, "b", "x")
    assert [opened.grade_of(name) for name in best[:2]] == ["B", "X"]
    opened.press("z")
    assert [opened.grade_of(name) for name in best[:2]] == ["B", ""]
    assert opened.chosen().startswith(best[1])
    opened["undo"].click()
    assert opened.grade_of(best[0]) == "A"
    (tmp_path / "own.csv").write_text("id,grade\n" + "".join(f"{name},C\n" for name in best[:3]))
    opened["import-file"].send_keys(str(tmp_path / "own.csv"))
    wait_for(lambda: "3 grades imported" in opened["message"].text)
    opened["undo"].click()
    assert [opened.grade_of(name) for name in best[:3]] == ["A", "", ""]
    opened["undo"].click()
    assert opened.grade_of(best[0]) == "" and not opened["undo"].is_enabled()
    opened.browser.refresh()
    assert opened.grade_of(best[0]) == ""


def test_grades_are_explained_where_they_are_pressed(opened: Page, data: dict[str, Any]) -> None:
    expected = {"A": "certainly a lens", "B": "probably a lens", "C": "possibly a lens", "X": "no lens"}
    best = names(data, of_view(data, 0))
    buttons = opened["grade-keys"].find_elements(By.TAG_NAME, "button")
    assert [one.text for one in buttons] == [f"{grade} {text}" for grade, text in expected.items()]
    buttons[1].click()
    assert opened.grade_of(best[0]) == "B"
    assert opened.browser.switch_to.active_element == opened.grid
    opened.press(Keys.ENTER)
    texts = [one.text.split("\n") for one in opened["viewer-grades"].find_elements(By.TAG_NAME, "button")]
    assert texts == [list(pair) for pair in expected.items()]


def test_progress_of_grading(opened: Page) -> None:
    def progress() -> tuple[float, float, str]:
        bar = opened["progress"]
        return bar.get_property("value"), bar.get_property("max"), bar.get_attribute("title") or ""

    assert progress() == (0, 90, "A: 0, B: 0, C: 0, X: 0")
    opened.press("a", "x", "x")
    assert progress() == (3, 90, "A: 1, B: 0, C: 0, X: 2")


def test_all_bands_side_by_side(opened: Page, data: dict[str, Any]) -> None:
    opened["search"].send_keys("hsc_lenses/D_00000003")
    opened.grid.find_element(By.CLASS_NAME, "card").click()
    opened["side"].click()
    assert not opened["picture"].is_displayed()
    figures = opened["side-by-side"].find_elements(By.TAG_NAME, "figure")
    assert [figure.text for figure in figures] == ["colour", *data["bands"]]
    pictures = [figure.find_element(By.CLASS_NAME, "band-picture") for figure in figures]
    assert {one.size["width"] for one in pictures} == {one.size["height"] for one in pictures}
    assert min(one.size["width"] for one in pictures) >= 200
    for picture in pictures:
        right = picture.rect["x"] + picture.rect["width"]
        assert right <= chromium.DESKTOP[0] and picture.rect["y"] + picture.rect["height"] <= 900
    assert pictures[3].get_attribute("aria-label") == "no band i"
    opened.press("v")
    assert opened["picture"].is_displayed()


def test_blinking_shows_two_stretches_in_turn(opened: Page) -> None:
    opened.press(Keys.ENTER)
    opened["blink"].click()
    shown = set()
    wait_for(lambda: shown.add(opened["stretch-shown"].text) or {"as drawn", "faint arcs"} <= shown)
    opened["blink"].click()
    assert opened["picture"].value_of_css_property("filter") == "none"
    opened.press("k", Keys.ESCAPE)
    assert not opened.browser.execute_script("return Boolean(app.viewer.blinking)")


def test_positions_lead_to_sky_atlases_on_a_click_only(browser: Chrome, tmp_path: Path) -> None:
    page = make_page(tmp_path, write_data(tmp_path, n_per_bucket=3))
    opened = Page(browser, page, chromium.DESKTOP)
    opened.press(Keys.ENTER)
    assert opened["facts"].find_elements(By.TAG_NAME, "a") == []
    opened.browser.execute_script(
        "CANDIDATES.items.ra.fill(150.125); CANDIDATES.items.dec.fill(-2.5); app.viewer.draw()"
    )
    links = opened["facts"].find_elements(By.TAG_NAME, "a")
    assert [link.text for link in links] == ["Legacy Survey", "ESASky", "SIMBAD"]
    for link in links:
        address = link.get_attribute("href") or ""
        assert address.startswith("https://") and "150.125" in address and "-2.5" in address
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert link.get_attribute("target") == "_blank"


def test_tabs_fit_a_phone(phone: Page) -> None:
    for button in phone["views"].find_elements(By.TAG_NAME, "button"):
        assert button.rect["x"] >= 0 and button.rect["x"] + button.rect["width"] <= chromium.PHONE[0]
    assert phone["views"].get_property("scrollWidth") <= phone["views"].get_property("clientWidth")


def test_the_focus_is_seen_at_the_chosen_picture(opened: Page) -> None:
    opened.press(Keys.ARROW_RIGHT)
    assert opened.grid.value_of_css_property("outline-style") == "none"
    (chosen,) = opened.grid.find_elements(By.CSS_SELECTOR, ".card.chosen")
    assert chosen.value_of_css_property("box-shadow").endswith("0px 0px 0px 4px")


def test_help_tells_the_keys(opened: Page) -> None:
    opened.press("?")
    assert "Lupton" in opened["help"].text and "certainly a lens" in opened["help"].text
    opened.press(Keys.ESCAPE)
    assert not opened["help"].is_displayed()


def test_a_phone(phone: Page, data: dict[str, Any]) -> None:
    root = phone.browser.find_element(By.TAG_NAME, "html")
    assert root.get_property("scrollWidth") == chromium.PHONE[0]
    assert phone.browser.execute_script("return app.grid.columns") >= 3
    cards = phone.grid.find_elements(By.CLASS_NAME, "card")
    cards[1].click()
    viewer = phone["viewer"].rect
    assert (viewer["width"], viewer["height"]) == chromium.PHONE
    for name in ("picture", "next", "viewer-grades"):
        rect = phone[name].rect
        assert rect["x"] >= 0 and rect["x"] + rect["width"] <= chromium.PHONE[0]
        assert rect["y"] + rect["height"] <= chromium.PHONE[1]
    phone["viewer-grades"].find_elements(By.TAG_NAME, "button")[0].click()
    phone["viewer-close"].click()
    assert phone.grade_of(names(data, of_view(data, 0))[1]) == "A"


def test_a_phone_on_its_side(browser: Chrome, page: Path) -> None:
    opened = Page(browser, page, chromium.PHONE_ON_ITS_SIDE)
    root = browser.find_element(By.TAG_NAME, "html")
    assert root.get_property("scrollHeight") <= chromium.PHONE_ON_ITS_SIDE[1]
    assert root.get_property("scrollWidth") <= chromium.PHONE_ON_ITS_SIDE[0]
    assert opened.grid.size["height"] >= 120
    opened.press(Keys.ENTER)
    for name in ("picture", "viewer-bands", "viewer-grades", "next"):
        rect = opened[name].rect
        assert rect["y"] >= 0 and rect["y"] + rect["height"] <= chromium.PHONE_ON_ITS_SIDE[1], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [chromium.DESKTOP, chromium.PHONE, chromium.PHONE_ON_ITS_SIDE])
def test_no_serious_fault_of_accessibility(
    browser: Chrome, page: Path, axe: str, size: tuple[int, int], scheme: str
) -> None:
    chromium.prefer(browser, scheme)
    opened = Page(browser, page, size)
    opened.press("a", "b")
    assert chromium.faults(browser, axe) == []
    opened.browser.execute_script("document.getElementById('filters').open = true")
    assert chromium.faults(browser, axe) == []
    opened.press(Keys.ENTER)
    assert chromium.faults(browser, axe) == []
    opened.press("v")
    assert chromium.faults(browser, axe) == []
    opened.press(Keys.ESCAPE)
    opened["help-button"].click()
    assert chromium.faults(browser, axe) == []


def test_ten_thousand_candidates_are_quick(
    browser: Chrome, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Written by the step itself, from as many objects; the slowest of five loads counts."""
    options = write_data(tmp_path, n_per_bucket=2500, n_labelled=50)
    opened = Page(browser, make_page(tmp_path, options, n_best=10_000), chromium.DESKTOP)
    assert opened.shows().startswith("10,000 of 10,000 shown")
    marks = "return performance.getEntriesByName('interactive').map((mark) => mark.startTime)"
    times_ms = []
    for _ in range(5):
        browser.refresh()
        wait_for(lambda: bool(browser.execute_script(marks)))
        times_ms += browser.execute_script(marks)
    # A key is answered by a page drawn anew, wherever in the list it leads.
    steps_ms = browser.execute_async_script(
        """
        const done = arguments[0];
        const times = [];
        const acts = [() => app.grid.choose(9999), () => app.grid.choose(5000), () => app.grade("A", 1)];
        acts.push(() => { document.getElementById("sort").value = "id"; app.refresh(); });
        acts.push(() => { document.getElementById("search").value = "99"; app.refresh(); });
        const next = () => {
          const act = acts.shift();
          if (!act) return done(times);
          const start = performance.now();
          act();
          requestAnimationFrame(() => setTimeout(() => { times.push(performance.now() - start); next(); }));
        };
        next();
        """
    )
    said = (
        f"10,000 candidates, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}: drawn and usable after "
        f"{min(times_ms):.0f} to {max(times_ms):.0f} ms (5 loads); to the last, to the "
        f"middle, grade, sort, search: {', '.join(f'{step:.0f}' for step in steps_ms)} ms"
    )
    record_property("measured", said)
    sys.stdout.write(f"\n{said}\n")
    assert max(times_ms) < SLOWEST_MS
    assert max(steps_ms) < 500
    assert len(browser.find_elements(By.CLASS_NAME, "card")) < 200
