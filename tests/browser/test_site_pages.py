"""The documentation site in a real browser: each page renders, every picture is shown, nothing is wider than the screen."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.environments import ROOT

SITE = ROOT / "build/site"
PAGES = sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html") if "_static" not in page.parts)
BROKEN = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
PAPER = "return getComputedStyle(document.body).backgroundColor"
TOO_WIDE = "return document.documentElement.scrollWidth - window.innerWidth"


def test_the_site_was_built() -> None:
    assert len(PAGES) > 20, "make docs builds it"


@pytest.mark.parametrize("page", PAGES)
def test_each_page_renders_in_light_and_dark_and_on_a_narrow_screen(chrome: Chrome, page: str) -> None:
    chrome.get((SITE / page).as_uri())
    assert chrome.find_element(By.TAG_NAME, "body").text.strip()
    assert chrome.execute_script(BROKEN) == []
    papers = set()
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        papers.add(chrome.execute_script(PAPER))
    assert len(papers) == 2
    chrome.set_window_size(500, 800)
    assert chrome.execute_script(TOO_WIDE) <= 0
