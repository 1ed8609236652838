"""Serves read-only pages over HTTP on the event loop of the workers. If it answers, the event loop runs.

It knows enough of HTTP/1.1 for probes and scrapes: GET and HEAD, one request for each connection. So it needs no dependency.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from core_messaging.errors import ConfigurationError

logger = logging.getLogger("core_messaging.plugins")

PATIENCE = 5.0  # seconds for one request and its answer
LONGEST = 8 * 1024  # bytes of a request
MOST = 64  # clients at once
BACKLOG = 16  # connections that wait in the system until the event loop takes them


@dataclass(frozen=True, slots=True)
class Answer:
    """One page. ``status`` is the HTTP status code."""

    status: int
    content_type: str
    body: bytes


Pages = Mapping[str, Callable[[], Answer]]

FAILED = Answer(500, "text/plain", b"the page could not be made; the log says why\n")
NOT_FOUND = Answer(404, "text/plain", b"there is no such page\n")
NOT_ALLOWED = Answer(405, "text/plain", b"only GET and HEAD\n")


class HttpServer:
    """Serves *pages* (path -> function that makes the page) to at most MOST clients at once.

    Each client takes a file descriptor of the process, and handlers need them too. When one more client connects, the oldest
    one that has sent no request is disconnected.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._clients: dict[_Client, None] = {}  # the oldest first
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int, plugin: str) -> None:
        """Serve until ``close``. Raises ConfigurationError for a port in use."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Client(self), host, port, backlog=BACKLOG)
        except OSError as error:
            raise ConfigurationError(
                f"plugin {plugin} cannot listen on {host}:{port} ({error.strerror or error}); choose another port "
                f"in [tool.core.plugins.{plugin}] or CORE_PLUGIN_{plugin.upper()}_PORT"
            ) from error

    @property
    def port(self) -> int:
        """The port that the server listens on, also if 0 was asked for."""
        assert self._server is not None, "it does not listen"  # noqa: S101 - a mistake of ours
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening, and disconnect all clients."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.disconnect()

    def admit(self, client: _Client) -> None:
        """Note that *client* has connected."""
        self._clients[client] = None
        if len(self._clients) > MOST:
            oldest = next((each for each in self._clients if not each.answered), next(iter(self._clients)))
            oldest.disconnect()
            self.forget(oldest)

    def forget(self, client: _Client) -> None:
        """Note that *client* has disconnected."""
        self._clients.pop(client, None)

    def respond(self, request: bytes) -> bytes:
        """Make the response to *request*. A page that raises becomes a 500."""
        try:
            return _response(self._pages, request)
        except Exception:
            logger.exception("a page could not be made", extra={"action": "page failed"})
            return _written(FAILED, head_only=False)


class _Client(asyncio.Protocol):
    """One connection: a request, an answer, and PATIENCE seconds for both."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._request = b""
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None
        self.answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # asyncio gives one to a Protocol
        self._transport = transport
        self._limit = asyncio.get_running_loop().call_later(PATIENCE, self.disconnect)
        self._server.admit(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self.answered:
            return
        self._request += data
        if b"\r\n\r\n" in self._request:
            self.answered = True
            self._transport.write(self._server.respond(self._request))
            self._transport.close()  # once it is written
        elif len(self._request) > LONGEST:
            self.disconnect()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why is its own affair
        if self._limit is not None:
            self._limit.cancel()
        self._server.forget(self)

    def disconnect(self) -> None:
        """Disconnect at once, and drop what is not written yet."""
        if self._transport is not None:
            self._transport.abort()


def _response(pages: Pages, request: bytes) -> bytes:
    method, _, rest = request.partition(b" ")
    path = rest.split(b" ")[0].split(b"?")[0].decode("latin-1")
    answer = _answer(pages, method, path)
    return _written(answer, head_only=method == b"HEAD")


def _written(answer: Answer, *, head_only: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if head_only else answer.body)


def _answer(pages: Pages, method: bytes, path: str) -> Answer:
    if method not in (b"GET", b"HEAD"):
        return NOT_ALLOWED
    make = pages.get(path)
    return NOT_FOUND if make is None else make()
