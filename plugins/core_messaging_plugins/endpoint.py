"""The base of plugins that serve pages over HTTP."""

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
    """The configuration of an endpoint.

    ``port`` None: no endpoint. 0: any free port, which the log names. Of several processes (``--processes``) the first has
    this port, the second the next one, and so on.
    """

    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] | None = None
    host: str = "127.0.0.1"


class Endpoint:
    """Serves ``pages`` if a port is set. A subclass has a *name*, a log line (*told*) and pages."""

    core_config = Config
    name: str
    told: str  # with {address} for http://host:port

    def __init__(self) -> None:
        self._config = Config()
        self._place = 1
        self._server: HttpServer | None = None

    def pages(self, snapshot: Callable[[], Snapshot]) -> Pages:
        """Return the pages. Only called if a port is set, so it imports what they need."""
        raise NotImplementedError

    def core_ports(self, config: Config) -> Sequence[tuple[str, int]]:
        """Return host and port to listen on. Called before anything starts."""
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
