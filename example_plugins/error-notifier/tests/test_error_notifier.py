import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from error_notifier import Config, ErrorNotifier

from core_messaging import Context
from core_messaging.config import make_config
from core_messaging.testing import MemoryBroker

WORKER = make_config("Greet", {"input_topic": "names"}, "a test")


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


def test_a_failure_is_posted(received: tuple[str, list[Any]]) -> None:
    url, notes = received
    plugin = ErrorNotifier()
    plugin.configure(Config(url))
    broker = MemoryBroker({"names": 1})
    broker.put("names", b"{}")
    context = Context(broker.records("names")[0], "Greet")
    asyncio.run(plugin.on_error(WORKER, ValueError("no"), context))
    assert notes == [{"worker": "Greet", "message": "names[0]@0", "error": "ValueError: no"}]


def test_an_address_that_is_none_is_told_at_the_start() -> None:
    with pytest.raises(ValueError, match="no http address"):
        ErrorNotifier().configure(Config("file:///etc/passwd"))
