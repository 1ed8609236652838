"""``/metrics`` for Prometheus: made when it is asked for, from the snapshot of the moment."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable

import msgspec

from core_messaging import hookimpl
from core_messaging.plugins import PluginUnavailable
from core_messaging.snapshot import Snapshot
from core_messaging_plugins.http_server import Answer, listen, port_of

if importlib.util.find_spec("prometheus_client") is None:
    raise PluginUnavailable("it needs prometheus-client: pip install 'core-messaging[prometheus]'")

logger = logging.getLogger("core_messaging.plugins.prometheus")


class Config(msgspec.Struct):
    """``port`` None: no endpoint. 0: any free port, told in the log."""

    port: int | None = None
    host: str = "127.0.0.1"


class Prometheus:
    """Nothing is counted twice: the engine counts, this tells."""

    core_config = Config

    def __init__(self) -> None:
        self._config = Config()
        self._server: asyncio.Server | None = None

    @hookimpl
    def configure(self, config: Config) -> None:
        self._config = config

    @hookimpl
    async def serve(self, snapshot: Callable[[], Snapshot]) -> None:
        config = self._config
        if config.port is None:
            return
        # Only now: whoever has no port set does not pay for the import.
        from core_messaging_plugins.prometheus_page import page  # noqa: PLC0415

        pages: dict[str, Callable[[], Answer]] = {"/metrics": lambda: page(snapshot())}
        self._server = await listen(pages, config.host, config.port, "prometheus")
        logger.info("Prometheus metrics at http://%s:%d/metrics", config.host, port_of(self._server))

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


plugin = Prometheus()
