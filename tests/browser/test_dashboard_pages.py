"""The dashboard in a real browser: pages, a replay by clicks, a hostile payload, narrow screens, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.environments import ROOT
from tests.integration.brokers import RunningBroker
from tests.integration.commands import PATIENCE, Running
from tests.integration.dashboards import HOSTILE, Shop, address_of

pytestmark = pytest.mark.timeout(300)
PICTURES = ROOT / "build/pictures"
PAGES = {"workers": "/", "worker": "/workers/pay", "processes": "/processes", "letters": "/letters"}


@pytest.fixture(scope="module")
def shop(apache_broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(apache_broker, tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def dashboard(shop: Shop) -> Iterator[Running]:
    with shop.open() as (worker, dashboard):
        shop.publish(*(b'{"n": %d, "bad": false}' % number for number in range(20)), HOSTILE)
        worker.until_said("dead-lettered")
        yield dashboard


@pytest.fixture
def page(chrome: Chrome, dashboard: Running) -> Chrome:
    chrome.get(address_of(dashboard))
    until_shown(chrome, "live")
    return chrome


def until_shown(chrome: Chrome, text: str) -> None:
    """Wait for *text*. A page that is just being replaced is looked at again."""
    shown = "return document.body ? document.body.innerText : ''"
    waiting = WebDriverWait(chrome, PATIENCE, ignored_exceptions=[WebDriverException])
    waiting.until(lambda found: text in found.execute_script(shown))


def go(chrome: Chrome, path: str) -> None:
    chrome.get(chrome.current_url.split("/", 3)[0] + "//" + chrome.current_url.split("/")[2] + path)


def picture(chrome: Chrome, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert chrome.save_screenshot(str(PICTURES / f"dashboard-{name}.png"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_shown_in_light_and_dark(page: Chrome, name: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    go(page, PAGES[name])
    until_shown(page, "pay")
    paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    picture(page, f"{name}-{scheme}")


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_narrow_screen(page: Chrome, name: str) -> None:
    page.set_window_size(500, 800)
    go(page, PAGES[name])
    wide = page.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0


def test_a_hostile_payload_is_text(page: Chrome, shop: Shop) -> None:
    go(page, f"/letters/{shop.topic}-dlq/0/0")
    assert "taken" not in page.title
    shown = page.find_element(By.TAG_NAME, "body").text
    assert "<script>document.title = 'taken'</script>" in shown
    assert "\\x1b[31mred" in shown
    picture(page, "letter-light")


def test_a_letter_is_replayed_by_the_keyboard(page: Chrome, shop: Shop) -> None:
    go(page, "/letters")
    button = page.find_element(By.XPATH, "//td//button[@value='replay']")
    button.send_keys(Keys.ENTER)
    until_shown(page, "Nothing is done yet")
    picture(page, "plan-light")
    page.find_element(By.XPATH, "//main//form//button").send_keys(Keys.ENTER)
    until_shown(page, "Done: 1 of 1")
    go(page, f"/letters/{shop.topic}-dlq/0/0")
    until_shown(page, "replayed")


def test_a_wrong_token_is_refused(chrome: Chrome, dashboard: Running) -> None:
    chrome.get(address_of(dashboard).partition("?")[0])
    chrome.find_element(By.ID, "secret").send_keys("wrong", Keys.ENTER)
    until_shown(chrome, "That is not right")


def test_a_form_of_an_old_session_changes_nothing(page: Chrome) -> None:
    go(page, "/workers/pay")
    page.execute_script("document.querySelector('[name=csrf]').value = 'old'")
    page.find_element(By.XPATH, "//button[@value='pause']").click()
    until_shown(page, "This page is too old")


def test_there_is_a_picture_of_every_page_for_the_docs(page: Chrome) -> None:
    assert page.title
    shown = {path.name for path in (ROOT / "docs/pictures").glob("dashboard-*.png")}
    assert shown == {
        "dashboard-workers-light.png",
        "dashboard-worker-dark.png",
        "dashboard-letters-light.png",
    }
    assert Path(PICTURES).exists()
