"""The pages of health and prometheus are answered whatever other clients do, and cost the process few descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from core_messaging_plugins import http_server
from core_messaging_plugins.http_server import BACKLOG, MOST, Answer, HttpServer

HOST = "127.0.0.1"
ASKING = b"GET /page HTTP/1.1\r\n\r\n"


@asynccontextmanager
async def serving(make: Callable[[], Answer] | None = None) -> AsyncIterator[int]:
    server = HttpServer({"/page": make or (lambda: Answer(200, "text/plain", b"here"))})
    await server.listen(HOST, 0, "test")
    try:
        yield server.port
    finally:
        server.close()


async def ask(port: int, request: bytes = ASKING) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


def connected(port: int) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    with suppress(BlockingIOError):
        client.connect((HOST, port))
    return client


def server_sides(port: int) -> int:
    """Descriptors of this process that are the server's side of a connection."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if not str(entry.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                if copy.family == socket.AF_INET:
                    found += copy.getsockname()[1] == port and bool(copy.getpeername())
    return found


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the descriptors of a process are told by /proc"
)
def test_clients_that_only_connect_take_few_descriptors_and_keep_nobody_out() -> None:
    # 3,000 of them took those of the handlers, and valid messages were dead-lettered.
    async def test() -> None:
        async with serving() as port:
            idle, most = list[socket.socket](), 0
            try:
                for _ in range(60):
                    idle += [connected(port) for _ in range(5)]
                    await asyncio.sleep(0)
                    most = max(most, server_sides(port))
                    if len(idle) % 100 == 0:
                        assert (await ask(port)).endswith(b"\r\n\r\nhere")
            finally:
                for client in idle:
                    client.close()
            assert 0 < most <= MOST + 3 * BACKLOG

    asyncio.run(test())


def test_the_oldest_that_has_not_asked_is_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MOST", 2)

    async def test() -> None:
        async with serving() as port:
            first, second, third = [await asyncio.open_connection(HOST, port) for _ in range(3)]
            async with asyncio.timeout(60):
                with suppress(ConnectionResetError):
                    assert await first[0].read() == b""
            for reader, writer in (second, third):
                writer.write(ASKING)
                assert b"200 OK" in await reader.read()
            for _, writer in (first, second, third):
                writer.close()

    asyncio.run(test())


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, until the other side has enough."""
    async with asyncio.timeout(60):
        while True:
            writer.write(b"x")
            await writer.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await reader.readexactly(1)


def test_one_that_asks_a_byte_at_a_time_has_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "PATIENCE", 0.2)

    async def test() -> None:
        async with serving() as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await drip(reader, writer)
            writer.close()
            assert b"200 OK" in await ask(port)

    asyncio.run(test())


def test_a_page_that_raises_is_an_answer_too(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Answer:
        raise ValueError("no numbers")

    async def test() -> None:
        async with serving(broken) as port:
            assert b"500 Internal Server Error" in await ask(port)

    asyncio.run(test())
    assert "no numbers" in caplog.text
