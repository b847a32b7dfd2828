"""Tests in a real browser: Debian's chromium, which opens pages from disk.

    apt-get install chromium chromium-driver
    npm ci --prefix tests/browser
    pytest --browser tests/browser

Without the first all tests are skipped, without the second those of accessibility, and say what is missing;
`make test-browser` does the others. With STRONGLENS_BROWSER=required nothing is skipped: what is missing
is an error.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import chromium

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    programs = [f"{name} (apt-get install chromium chromium-driver)" for name in chromium.missing()]
    axe = [] if AXE.is_file() else ["axe-core (npm ci --prefix tests/browser)"]
    if os.environ.get("STRONGLENS_BROWSER") == "required" and programs + axe:
        raise pytest.UsageError(f"expected {', '.join(programs + axe)}; found none")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("browser")
            missing = programs + (axe if "axe" in getattr(item, "fixturenames", ()) else [])
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"expected {', '.join(missing)}; found none"))


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser saves files."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def browser(downloads: Path) -> Iterator["Chrome"]:
    """One browser for all tests."""
    driver = chromium.start(downloads)
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def nothing_was_amiss(request: pytest.FixtureRequest, browser: "Chrome") -> Iterator[None]:
    """After each test: the page has said nothing on the console, and asked for nothing but files."""
    chromium.requests_of(browser)
    browser.get_log("browser")
    yield
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert [address for address in chromium.requests_of(browser) if not address.startswith("file:")] == []


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core, which finds faults of accessibility."""
    return AXE.read_text(encoding="utf-8")
