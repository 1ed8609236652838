"""Spans and metrics through OpenTelemetry's global providers.

Names follow the semantic conventions for messaging (opentelemetry.io, "Semantic conventions for Kafka").
"""

from __future__ import annotations

import importlib.util
from typing import Any

import msgspec

from core_messaging import hookimpl
from core_messaging.plugins import PluginUnavailable
from core_messaging.plugins.publisher_watch import watch_publishers

if importlib.util.find_spec("opentelemetry") is None:
    raise PluginUnavailable("it needs OpenTelemetry: pip install 'core-messaging[otel]'")


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """The configuration of the plugin; ``enabled``: whether it sends anything."""

    enabled: bool = False


class OpenTelemetry:
    """Has hooks only if it is enabled: even a middleware that does nothing has a cost for every message."""

    core_config = Config
    wrap_process: Any
    metrics: Any

    @hookimpl
    def configure(self, config: Config) -> None:
        """Start the metrics and spans if they are enabled."""
        if not config.enabled:
            return
        from core_messaging_plugins.opentelemetry_metrics import Meters  # noqa: PLC0415 - only where it is used
        from core_messaging_plugins.opentelemetry_sending import TracedPublisher  # noqa: PLC0415
        from core_messaging_plugins.opentelemetry_spans import wrap_process  # noqa: PLC0415

        self.wrap_process = wrap_process
        self.metrics = Meters().metrics
        watch_publishers(TracedPublisher)


plugin = OpenTelemetry()
