"""A TCP proxy in front of each node. It can cut connections between workers and brokers."""

from __future__ import annotations

import asyncio
import contextlib

from core_messaging.local_broker.ports import HOST

CHUNK = 65_536  # bytes


class Proxy:
    """Passes bytes between its clients and one target, until it is cut."""

    def __init__(self) -> None:
        self.port = 0
        self._target = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False

    async def start(self) -> None:
        """Listen. Clients are refused until there is a target."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def lead_to(self, port: int) -> None:
        self._target = port

    def cut(self) -> int:
        """Reset every connection, and accept new ones again. Returns how many were reset."""
        cut = len(self._writers)
        for writer in self._writers:
            writer.transport.abort()
        return cut

    async def refuse(self, seconds: float) -> None:
        """Cut, and refuse connections for *seconds*."""
        self._refusing = True
        self.cut()
        await asyncio.sleep(seconds)
        self._refusing = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing or not self._target:
            writer.transport.abort()
            return
        try:
            upstream = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, upstream[1]}
        try:
            await asyncio.gather(_pass(reader, upstream[1]), _pass(upstream[0], writer))
        finally:
            self._writers -= {writer, upstream[1]}

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
