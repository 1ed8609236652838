"""A plugin that answers over HTTP: its port, its pages and its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec

from core_messaging import hookimpl
from core_messaging.settings import Settings
from core_messaging.snapshot import Snapshot
from core_messaging_plugins.http_server import HttpServer, Pages


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """``port`` None: no endpoint. 0: any free port, told in the log. Of several processes (``--processes``), the
    first has this port, the second the one after it, and so on."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] | None = None
    host: str = "127.0.0.1"


class Endpoint:
    """Serves ``pages`` where a port is set. A subclass says its *name*, what to tell (*told*), and its pages."""

    core_config = Config
    name: str
    told: str  # with {address} for http://host:port

    def __init__(self) -> None:
        self._config = Config()
        self._place = 1
        self._server: HttpServer | None = None

    def pages(self, snapshot: Callable[[], Snapshot]) -> Pages:
        """Asked for only where a port is set, so what they need is imported in here."""
        raise NotImplementedError

    def core_ports(self, config: Config) -> Sequence[tuple[str, int]]:
        """Where it listens: looked at before anything starts."""
        return [] if config.port is None else [(config.host, config.port)]

    @hookimpl
    def configure(self, config: Config, settings: Settings) -> None:
        """Keep the configuration, and the number of this process, which is added to the port."""
        self._config = config
        self._place = settings.core_process or 1

    @hookimpl
    async def serve(self, snapshot: Callable[[], Snapshot]) -> None:
        """Serve the pages over HTTP until cancelled, if a port is configured."""
        host, port = self._config.host, self._config.port
        if port is None:
            return
        mine = port + self._place - 1 if port else 0
        self._server = HttpServer(self.pages(snapshot))
        await self._server.listen(host, mine, self.name)
        address = f"http://{host}:{self._server.port}"
        logging.getLogger(f"core_messaging.plugins.{self.name}").info(self.told.format(address=address))

    def close(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()
