"""The page of candidates, used as a person uses it."""

import csv
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
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
    assert f"{prob:.4f} ± {std:.4f}" in facts
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
    grades = {one.text: one for one in opened["viewer-grades"].find_elements(By.TAG_NAME, "button")}
    assert [grade for grade, one in grades.items() if one.get_attribute("aria-pressed") == "true"] == ["A"]
    grades["C"].click()
    assert opened.grade_of(best[0]) == "C"
    grades["C"].click()
    assert opened.grade_of(best[0]) == ""


def exported(opened: Page, downloads: Path) -> Path:
    path = downloads / "grades_challenge.csv"
    path.unlink(missing_ok=True)
    opened["export"].click()
    deadline = time.monotonic() + 10
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
    wait_for(lambda: "3 grades taken" in opened["message"].text)
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
    wait_for(lambda: "2 grades taken" in opened["message"].text)
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
        assert "No grade was taken" in opened["message"].text
        assert opened.grade_of(best[0]) == ""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


@pytest.mark.parametrize("size", [chromium.DESKTOP, chromium.PHONE, chromium.PHONE_ON_ITS_SIDE])
def test_no_serious_fault_of_accessibility(
    browser: Chrome, page: Path, axe: str, size: tuple[int, int]
) -> None:
    opened = Page(browser, page, size)
    opened.press("a", "b")
    assert chromium.faults(browser, axe) == []
    opened.browser.execute_script("document.getElementById('filters').open = true")
    assert chromium.faults(browser, axe) == []
    opened.press(Keys.ENTER)
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
