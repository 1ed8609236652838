"""A few read-only pages over HTTP, on the workers' own event loop: what answers is what does the work.

Enough of HTTP/1.1 for probes and scrapes (GET and HEAD, one request a connection), so no dependency is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from core_messaging.errors import ConfigurationError

PATIENCE = 5.0  # seconds a client has to ask
LONGEST = 8 * 1024  # bytes of a request


@dataclass(frozen=True, slots=True)
class Answer:
    """One page. ``status`` is the HTTP status code."""

    status: int
    content_type: str
    body: bytes


Pages = Mapping[str, Callable[[], Answer]]

NOT_FOUND = Answer(404, "text/plain", b"there is no such page\n")
NOT_ALLOWED = Answer(405, "text/plain", b"only GET and HEAD\n")


async def listen(pages: Pages, host: str, port: int, plugin: str) -> asyncio.Server:
    """Serve *pages* (path -> maker) until the server is closed. Raises ConfigurationError for a port in use."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(pages, request))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a probe that hangs up or never asks is its own affair
        finally:
            writer.close()

    try:
        return await asyncio.start_server(connected, host, port, limit=LONGEST)
    except OSError as error:
        raise ConfigurationError(
            f"plugin {plugin} cannot listen on {host}:{port} ({error.strerror or error}); choose another port "
            f"in [tool.core.plugins.{plugin}] or CORE_PLUGIN_{plugin.upper()}_PORT"
        ) from error


def port_of(server: asyncio.Server) -> int:
    """The port it listens on; what 0 became."""
    return int(server.sockets[0].getsockname()[1])


def _response(pages: Pages, request: bytes) -> bytes:
    method, _, rest = request.partition(b" ")
    path = rest.split(b" ")[0].split(b"?")[0].decode("latin-1")
    answer = _answer(pages, method, path)
    head = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == b"HEAD" else answer.body)


def _answer(pages: Pages, method: bytes, path: str) -> Answer:
    if method not in (b"GET", b"HEAD"):
        return NOT_ALLOWED
    make = pages.get(path)
    return NOT_FOUND if make is None else make()
