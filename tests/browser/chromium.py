"""A headless Chromium, Debian's, that opens pages from disk."""

import json
import shutil
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

DESKTOP, PHONE, PHONE_ON_ITS_SIDE = (1440, 900), (390, 844), (844, 390)
"""Width and height of a window, in CSS pixels."""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


def start(downloads: Path) -> webdriver.Chrome:
    """Start a browser with an empty profile, cut off from any network."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new",
        "--no-sandbox",  # in a container the sandbox needs rights that root there lacks
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--hide-scrollbars",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
    )
    return driver


def show(driver: webdriver.Chrome, page: Path, size: tuple[int, int] = DESKTOP) -> None:
    """Open a page from disk in a window of some size, whose width is that of the page."""
    resize(driver, size)
    driver.get(page.absolute().as_uri())


def resize(driver: webdriver.Chrome, size: tuple[int, int]) -> None:
    """Make the window so large."""
    width, height = size
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": min(size) < 500},
    )


def prefer(driver: webdriver.Chrome, scheme: str) -> None:
    """Prefer light or dark pages, from now on."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def requests_of(driver: webdriver.Chrome) -> list[str]:
    """Addresses that were asked for since this was called last, but for data in the page itself."""
    addresses: list[str] = []
    for entry in driver.get_log("performance"):
        message: dict[str, Any] = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            addresses.append(message["params"]["request"]["url"])
    return [address for address in addresses if not address.startswith(("data:", "blob:"))]


def faults(driver: webdriver.Chrome, axe: str) -> list[str]:
    """Serious and critical faults of accessibility on the page as it is now, by axe-core.

    It must not load style sheets anew, which a page from disk may not.
    """
    driver.execute_script(axe)
    found: list[dict[str, Any]] = driver.execute_async_script(
        "axe.run(document, {preload: false}).then((found) => arguments[0](found.violations));"
    )
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
