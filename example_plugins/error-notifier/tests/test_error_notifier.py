import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest
from error_notifier import Config, ErrorNotifier

from core_messaging import Worker
from core_messaging.testing import run_with


class Greet(Worker):
    input_topic = "names"
    dlq_topic = "names-dlq"
    max_retries = 0

    async def process(self, message: dict[str, Any]) -> None:
        if "name" not in message:
            raise ValueError("no name")


@pytest.fixture
def received() -> Iterator[tuple[str, list[Any]]]:
    notes: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notes.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", notes
    server.shutdown()
    thread.join()
    server.server_close()


def notifier(url: str | None) -> ErrorNotifier:
    plugin = ErrorNotifier()
    plugin.configure(Config(url))
    return plugin


def test_a_failure_is_posted_and_a_success_is_not(received: tuple[str, list[Any]]) -> None:
    url, notes = received
    run_with(notifier(url), Greet, [{"name": "Ada"}, {}])
    assert notes == [{"worker": "Greet", "message": "names[0]@1", "error": "ValueError: no name"}]


def test_a_receiver_that_is_down_changes_nothing_for_the_message() -> None:
    outcome = run_with(notifier("http://127.0.0.1:1/"), Greet, [{}, {"name": "Ada"}])
    (call,) = outcome.calls_of("on_error")
    assert isinstance(call.error, OSError)
    assert (len(outcome.dead_letters), len(outcome.successes)) == (1, 1)


def test_without_an_address_nothing_is_posted() -> None:
    (call,) = run_with(notifier(None), Greet, [{}]).calls_of("on_error")
    assert call.error is None


@pytest.mark.parametrize("wrong", [{"url": "file:///etc/passwd"}, {"timeout": 0}, {"url": 7}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, ErrorNotifier.core_config)
