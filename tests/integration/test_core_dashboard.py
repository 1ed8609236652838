"""``core dashboard`` with a real worker on Apache Kafka, called over HTTP."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.brokers import RunningBroker
from tests.integration.commands import Running, core
from tests.integration.dashboards import HOSTILE, Browser, Shop, address_of

pytestmark = pytest.mark.timeout(300)  # two processes start, and each has its time
RIGHT, WRONG = "correct horse", "wrong horse"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - it is refused


@pytest.fixture(scope="module")
def shop(apache_broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(apache_broker, tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def opened(shop: Shop) -> Iterator[tuple[Running, Running]]:
    with shop.open("--root-path", "/ops", "--allow-host", "ops.example") as running:
        yield running
        running[1].signal(signal.SIGINT)
        assert running[1].wait() in (0, 130), running[1].output


@pytest.fixture
def browser(opened: tuple[Running, Running]) -> Browser:
    """Logged in by the address that was printed."""
    address = address_of(opened[1])
    found = Browser(address.replace("/ops/", "/"))
    assert "/ops/login?token=" in address
    status, _, answer = found.call("GET", found.path)
    assert (status, answer.getheader("Location")) == (303, "/ops/")
    return found


def test_nobody_sees_a_page_without_the_token(opened: tuple[Running, Running]) -> None:
    stranger = Browser(address_of(opened[1]))
    for path in ("/", "/processes", "/letters", "/workers/pay", "/live/overview", "/jobs/x"):
        status, text, answer = stranger.call("GET", path)
        assert (status, answer.getheader("Location"), "pay" in text) == (303, "/ops/login", False), path
    assert stranger.post("/workers/pay/pause", do="pause")[0] == 303
    assert stranger.post("/login", secret=WRONG)[0] == 403


def test_every_answer_says_what_a_page_may_do(browser: Browser) -> None:
    for path in ("/", "/login", "/static/style.css", "/nowhere"):
        _, _, answer = browser.call("GET", path)
        assert "default-src 'none'" in answer.getheader("Content-Security-Policy", ""), path
        assert answer.getheader("X-Content-Type-Options") == "nosniff", path


def test_a_foreign_host_is_refused(browser: Browser) -> None:
    assert browser.get("/", Host="evil.example")[0] == 400
    assert browser.get("/", Host="ops.example")[0] == 200


def test_a_form_of_another_page_changes_nothing(browser: Browser, opened: tuple[Running, Running]) -> None:
    for csrf in ("", "wrong"):
        status, text, _ = browser.post("/workers/pay/pause", do="pause", csrf=csrf)
        assert (status, "Nothing was done" in text) == (403, True)
    assert "is paused" not in opened[0].output


def test_what_is_not_there_is_told(browser: Browser, shop: Shop) -> None:
    for path in (
        "/nowhere",
        "/workers/Nobody",
        f"/letters/{shop.topic}-dlq/0/999",
        "/jobs/none",
        "/letters/other/0/0",
    ):
        assert browser.get(path)[0] == 404, path
    csrf = browser.csrf("/letters")
    status, text, _ = browser.post(f"/letters/{shop.topic}-dlq/plan", csrf=csrf, offsets="9-3")
    assert (status, "Nothing was done" in text) == (400, True)
    assert browser.post("/login", secret="x" * 70_000)[0] == 413


def test_dead_letters_are_shown_replayed_and_dropped(
    browser: Browser, shop: Shop, opened: tuple[Running, Running]
) -> None:
    worker, dashboard = opened
    shop.publish(HOSTILE, HOSTILE)
    dashboard.until(lambda: "ValueError" in browser.get("/letters")[1])
    assert "\x1b" not in browser.get("/letters")[1]
    queue = f"/letters/{shop.topic}-dlq"
    status, text = browser.get(f"{queue}/0/0")
    assert status == 200
    assert "<script>document" not in text
    assert "&lt;script&gt;document" in text
    assert "\x1b" not in text

    csrf = browser.csrf("/letters")
    status, _, job = browser.post(f"{queue}/plan", csrf=csrf, do="drop", offsets="0", partition="0")
    assert (status, job.startswith("/ops/jobs/")) == (303, True)
    job = job.removeprefix("/ops")
    assert "Nothing is done yet" in browser.get(job)[1]
    assert browser.post(f"{job}/start", csrf=csrf)[0] == 303
    dashboard.until(lambda: "Done: 1 of 1" in browser.get(job)[1])

    _, _, job = browser.post(f"{queue}/plan", csrf=csrf, do="replay", error_type="ValueError")
    job = job.removeprefix("/ops")
    assert browser.post(f"{job}/start", csrf=csrf)[0] == 303
    assert browser.post(f"{job}/start", csrf=csrf)[0] == 303  # a second yes changes nothing
    dashboard.until(lambda: "Done: 1 of 1" in browser.get(job)[1])
    dashboard.until_said("token: replay of ")
    worker.until(lambda: browser.get(f"{queue}/0/2")[0] == 200)  # it failed again
    assert browser.get(f"{queue}/0/3")[0] == 404


def test_a_worker_is_paused_and_resumed(browser: Browser, opened: tuple[Running, Running]) -> None:
    worker, dashboard = opened
    csrf = browser.csrf("/workers/pay")
    assert browser.post("/workers/pay/pause", csrf=csrf, do="pause")[0] == 303
    worker.until_said("is paused by dashboard (token)")
    dashboard.until(lambda: "condition paused" in browser.get("/")[1])
    dashboard.until(lambda: "Paused: group" in browser.get("/workers/pay")[1])
    assert browser.post("/workers/pay/pause", csrf=csrf, do="resume")[0] == 303
    worker.until_said("goes on")
    dashboard.until(lambda: "condition running" in browser.get("/processes")[1])
    dashboard.until_said("token: pay was resumed")


def test_who_has_logged_out_is_out(browser: Browser) -> None:
    assert browser.post("/logout")[0] == 303
    assert browser.get("/")[0] == 303


def test_wrong_passwords_are_few_and_a_read_only_dashboard_changes_nothing(
    shop: Shop, opened: object
) -> None:
    words = ("--read-only",)
    with shop.dashboard(*words, CORE_DASHBOARD_PASSWORD=RIGHT) as dashboard:
        browser = Browser(address_of(dashboard))
        assert "token" not in dashboard.output
        assert browser.post("/login", secret=RIGHT)[0] == 303
        csrf = browser.csrf("/letters") if 'name="csrf"' in browser.get("/letters")[1] else ""
        assert csrf == ""  # there is no form
        assert browser.post("/workers/pay/pause", do="pause", csrf="x")[0] == 403
        other = Browser(address_of(dashboard))
        assert [other.post("/login", secret=WRONG)[0] for _ in range(6)] == [403] * 5 + [429]
        assert other.post("/login", secret=RIGHT)[0] == 429
        assert browser.get("/")[0] == 200


def test_what_is_not_safe_does_not_start(tmp_path: Path) -> None:
    done = core("dashboard", "--host", EVERYWHERE, folder=tmp_path)
    assert (done.returncode, "would be open to everybody" in done.stderr) == (1, True), done.stderr
    done = core("dashboard", folder=tmp_path, env={"CORE_DASHBOARD_PASSWORD": "short"})
    assert (done.returncode, "fewer than 8" in done.stderr) == (1, True), done.stderr
