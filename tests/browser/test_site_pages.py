"""The documentation site in a real browser: each page renders, every picture is shown, nothing is wider than the screen."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.environments import ROOT

SITE = ROOT / "build/site"
PAGES = sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html") if "_static" not in page.parts)


def test_the_site_was_built() -> None:
    assert len(PAGES) > 20, "make docs builds it"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_each_page_renders(chrome: Chrome, page: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    chrome.get((SITE / page).as_uri())
    assert chrome.find_element(By.TAG_NAME, "body").text.strip()
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
    assert chrome.execute_script(broken) == []


@pytest.mark.parametrize("page", PAGES)
def test_no_page_is_wider_than_a_narrow_screen(chrome: Chrome, page: str) -> None:
    chrome.set_window_size(500, 800)
    chrome.get((SITE / page).as_uri())
    wide = chrome.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
