"""``/metrics`` for Prometheus, made for each request from a new snapshot."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from core_messaging.plugins import PluginUnavailable
from core_messaging.snapshot import Snapshot
from core_messaging_plugins.endpoint import Endpoint
from core_messaging_plugins.http_server import Pages

if importlib.util.find_spec("prometheus_client") is None:
    raise PluginUnavailable("it needs prometheus-client: pip install 'core-messaging[prometheus]'")


class Prometheus(Endpoint):
    """Serves the counters of the engine. The plugin itself counts nothing."""

    name = "prometheus"
    told = "Prometheus metrics at {address}/metrics"

    def pages(self, snapshot: Callable[[], Snapshot]) -> Pages:
        """Return the page ``/metrics``."""
        # Imported here, because the import costs time and memory and is needed only with a port.
        from core_messaging_plugins.prometheus_page import page  # noqa: PLC0415

        return {"/metrics": lambda: page(snapshot())}


plugin = Prometheus()
