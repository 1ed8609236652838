"""A running ``core dashboard`` beside a running worker, and a client that calls it as a browser does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

from tests.integration.brokers import RunningBroker
from tests.integration.commands import Running, running_core
from tests.integration.harness import publish, run

WORKER = """
from core.messaging import worker

@worker(topic="{topic}", group_id="{topic}", dlq_topic="{topic}-dlq", max_retries=0)
async def pay(message: dict) -> None:
    if message["bad"]:
        raise ValueError("<script>document.title = 'taken'</script> \\x1b[31mred")
    print("paid", message["n"], flush=True)
"""
HOSTILE = b'{"n": 1, "bad": true, "html": "<script>document.title = \'taken\'</script>"}'


class Shop:
    """A project with one worker, which dead-letters what is bad."""

    def __init__(self, broker: RunningBroker, folder: Path) -> None:
        self.folder, self.broker = folder, broker
        self.topic = broker.make_topic(1)
        broker.make_topic(1, name=f"{self.topic}-dlq")
        self.env = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "KAFKA_CONTROL_TOPIC": f"{self.topic}-control",
            "METRICS_INTERVAL": "1",
        }
        (folder / "src/workers").mkdir(parents=True)
        (folder / "src/workers/pay.py").write_text(WORKER.format(topic=self.topic))

    def publish(self, *values: bytes) -> None:
        run(publish(self.broker.address, self.topic, [(b"ada", value) for value in values]))

    @contextmanager
    def open(self, *options: str, **env: str) -> Iterator[tuple[Running, Running]]:
        """The worker and the dashboard, both at work."""
        with ExitStack() as stack:
            words = ("kafka", "worker", "pay", "--create-topics")
            worker = stack.enter_context(running_core(*words, folder=self.folder, env=self.env))
            worker.until_said("pay has ")
            yield worker, stack.enter_context(self.dashboard(*options, **env))

    @contextmanager
    def dashboard(self, *options: str, **env: str) -> Iterator[Running]:
        """The dashboard alone."""
        words = ("dashboard", "--port", "0", "--interval", "0.5", *options)
        with running_core(*words, folder=self.folder, env=self.env | env) as dashboard:
            dashboard.until_said("Ctrl-C stops it")
            yield dashboard


def address_of(dashboard: Running) -> str:
    found = re.search(r"dashboard at (\S+);", dashboard.output)
    assert found is not None, dashboard.output
    return found[1]


class Browser:
    """Keeps the cookie of its session."""

    def __init__(self, address: str) -> None:
        self.host, _, path = address.removeprefix("http://").partition("/")
        self.path = f"/{path}"
        self.cookie = ""

    def call(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str, HTTPResponse]:
        """The status, the text and the answer itself. It follows no redirection."""
        connection = HTTPConnection(self.host, timeout=30)
        try:
            given = {"Host": self.host, "Cookie": self.cookie, **(headers or {})}
            if form is not None:
                given["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, None if form is None else urlencode(form), given)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if cookie := answer.getheader("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer.status, text, answer

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        status, text, _ = self.call("GET", path, headers=headers)
        return status, text

    def post(self, path: str, **form: str) -> tuple[int, str, str]:
        """The status, the text, and where it leads."""
        status, text, answer = self.call("POST", path, form)
        return status, text, answer.getheader("Location", "")

    def csrf(self, page: str) -> str:
        _, text = self.get(page)
        found = re.search(r'name="csrf" value="([^"]+)"', text)
        assert found is not None, text
        return found[1]
