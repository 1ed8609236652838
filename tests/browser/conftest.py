"""A headless Chromium, and Apache Kafka. ``make test-browser`` runs these tests; without a Chromium they are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.integration.conftest import apache_broker

__all__ = ["apache_broker", "chrome"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
)


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no Chromium with its driver: install the packages chromium and chromium-driver")
    options = Options()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = Chrome(options=options, service=Service(DRIVER))
    yield started
    started.quit()


@pytest.fixture
def chrome(driver: Chrome) -> Iterator[Chrome]:
    """The browser, with no cookie, in its usual size. Afterwards its console must have no errors.

    A page that was refused (403) is no error of the page: some tests ask for one.
    """
    driver.delete_all_cookies()
    driver.set_window_size(1200, 900)
    driver.get_log("browser")  # type: ignore[no-untyped-call]
    yield driver
    found = driver.get_log("browser")  # type: ignore[no-untyped-call]
    errors = [entry for entry in found if entry["level"] == "SEVERE"]
    assert [entry for entry in errors if "status of 403" not in entry["message"]] == []
