"""The report of a real run of the workflow, with a small network: one file that needs nothing beside it."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

import chromium
from fits_files import write_labelled, write_test_set

PROJECT = Path(__file__).parents[2]
SMALL = {"name": "convnextv2_atto", "timm": {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 32]}}
FIGURES = {
    "1 Overview": 1,
    "2 Data": 3,
    "3 Training": 1,
    "4 Scores": 12,
    "5 Drift": 1,
    "6 Run": 1,
}
"""Results in each category, of one ensemble and one blind set."""


OF_SNAKEMAKE = {"color-contrast", "image-alt", "label-title-only", "link-name", "summary-name"}
"""Faults of the page that Snakemake 9.27 puts the results in, which is the same for every workflow: pale
text, links that are icons without words, figures without a text. The pages that are put in have none."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its report."""
    folder = tmp_path_factory.mktemp("run") / "project"
    for part in ("rules", "workflow", "envs"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("Snakefile", "CITATION.cff"):
        shutil.copy(PROJECT / file, folder)
    train = {"epochs": 2, "batch_size": 16, "lr": 2e-3}
    write_test_set(folder / "blind", 12)
    config = {
        "data": {"labelled": write_labelled(folder / "data", 20)},
        "testsets": {"challenge": {"path": str(folder / "blind")}},
        "models": {"small": {"network": SMALL, "seeds": [1], "train": train}},
        "ensembles": {"small": {"models": ["small"]}},
        "submission": {"ensemble": "small"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "--configfile", "config.yaml", "--cores", "2"]
    one_each = [f"{rule}=1" for rule in ("train", "predict_val", "predict_test", "predict_heldout")]
    for more in (["--set-threads", *one_each], ["--report", "report.html"]):
        done = subprocess.run([*command, *more], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def report(browser: Chrome, run: Path, tmp_path: Path) -> Chrome:
    """The report alone, without the results that it was made from."""
    shutil.copy(run / "report.html", tmp_path)
    chromium.show(browser, tmp_path / "report.html")
    wait_for(lambda: bool(browser.find_elements(By.LINK_TEXT, "1 Overview")))
    return browser


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def open_result(report: Chrome, category: str, figure: str, objects: str | None = None) -> None:
    """Click a category, the switch of its objects if it has one, then the eye of a line of its table."""
    (link,) = [one for one in report.find_elements(By.TAG_NAME, "a") if one.text == category]
    link.click()
    if objects is not None:
        switch = f"//label[normalize-space()='{objects}']"
        wait_for(lambda: bool(report.find_elements(By.XPATH, switch)))
        report.find_element(By.XPATH, switch).click()
    line = f"//tr[contains(., '{figure}')]//a[@iconname='eye']"
    wait_for(lambda: bool(report.find_elements(By.XPATH, line)))
    report.find_element(By.XPATH, line).click()


@pytest.mark.parametrize("size", [chromium.DESKTOP, chromium.PHONE])
def test_no_serious_fault_of_accessibility_but_those_of_snakemake(
    report: Chrome, axe: str, size: tuple[int, int]
) -> None:
    chromium.resize(report, size)
    found = {fault.partition(":")[0] for fault in chromium.faults(report, axe)}
    assert found <= OF_SNAKEMAKE
    open_result(report, "4 Scores", "ROC curve", "heldout")
    found = {fault.partition(":")[0] for fault in chromium.faults(report, axe)}
    assert found <= OF_SNAKEMAKE


def test_the_report_says_in_which_order_to_read(report: Chrome) -> None:
    text = report.find_element(By.TAG_NAME, "body").text
    for name in FIGURES:
        assert text.count(name) >= 2
    assert "results/candidates/index.html" in text
    assert "simulated" not in text


def test_all_results_are_in_the_file(report: Chrome) -> None:
    found: dict[str, int] = report.execute_script(
        """
        const counts = {};
        for (const [category, subcategories] of Object.entries(categories)) {
          counts[category] = Object.values(subcategories).flat().length;
        }
        return counts;
        """
    )
    assert found == FIGURES
    kinds = report.execute_script(
        "return Object.values(results).map((one) => [one.mime_type, one.data_uri.slice(0, 5), one.caption])"
    )
    assert {kind for kind, _, _ in kinds} == {"image/png", "text/html"}
    for _, uri, caption in kinds:
        assert uri == "data:"
        assert len(caption) > 100 and "{{" not in caption


def test_a_figure_and_a_page_are_two_clicks_away(report: Chrome) -> None:
    open_result(report, "4 Scores", "ROC curve", "heldout")
    wait_for(lambda: bool(report.find_elements(By.CSS_SELECTOR, "img[src^='data:image/png']")))
    image = report.find_element(By.CSS_SELECTOR, "img[src^='data:image/png']")
    assert image.is_displayed() and image.get_property("naturalWidth") == 1350
    report.refresh()
    wait_for(lambda: bool(report.find_elements(By.LINK_TEXT, "1 Overview")))
    open_result(report, "1 Overview", "small")
    wait_for(lambda: bool(report.find_elements(By.TAG_NAME, "iframe")))
    report.switch_to.frame(report.find_element(By.TAG_NAME, "iframe"))
    text = report.find_element(By.TAG_NAME, "body").text
    report.switch_to.default_content()
    assert "Overview: ensemble small" in text and "How to cite" in text


def test_every_figure_can_be_seen(report: Chrome) -> None:
    sizes = report.execute_async_script(
        """
        const done = arguments[0];
        const images = Object.values(results).filter((one) => one.mime_type === "image/png");
        Promise.all(images.map((one) => {
          const image = new Image();
          image.src = one.data_uri;
          return image.decode().then(() => [one.name, image.width, image.height]);
        })).then(done);
        """
    )
    assert len(sizes) == sum(FIGURES.values()) - 2
    for name, width, height in sizes:
        assert min(width, height) > 250, name


@pytest.mark.parametrize("name", ["small/overview.html", "data.html", "index.html"])
@pytest.mark.parametrize("size", [chromium.DESKTOP, chromium.PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_pages_are_readable(
    browser: Chrome, run: Path, axe: str, name: str, size: tuple[int, int], scheme: str
) -> None:
    chromium.prefer(browser, scheme)
    chromium.show(browser, run / "results" / "report" / name, size)
    assert chromium.faults(browser, axe) == []
    root = browser.find_element(By.TAG_NAME, "html")
    assert root.get_property("scrollWidth") <= size[0]
    if size == chromium.DESKTOP:  # no table is cut off
        for table in browser.find_elements(By.CLASS_NAME, "scroll"):
            assert table.get_property("scrollWidth") <= table.get_property("clientWidth")


def test_the_first_page_leads_everywhere_without_the_report(browser: Chrome, run: Path) -> None:
    page = run / "results" / "report" / "index.html"
    chromium.show(browser, page)
    links = [
        link.get_attribute("href") or "" for link in browser.find_elements(By.CSS_SELECTOR, "p a, figure a")
    ]
    assert len(links) >= 3 + 10
    for address in links:
        assert address.startswith("file:")
        assert Path(unquote(urlsplit(address).path)).is_file(), address


def test_the_page_of_candidates_of_the_run(browser: Chrome, run: Path, axe: str) -> None:
    chromium.show(browser, run / "results/candidates/index.html")
    assert browser.find_element(By.ID, "status").text == "12 of 12 shown, 0 graded"
    assert "ensemble small, 1 member ·" in browser.find_element(By.ID, "about").text
    assert chromium.faults(browser, axe) == []
