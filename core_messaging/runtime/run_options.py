"""How workers are run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from core_messaging.broker import Broker
from core_messaging.plugins.source import ObserverSource
from core_messaging.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to run. ``broker`` None: what ``settings.kafka_broker`` names, Kafka at first.

    ``degraded`` names what should run and does not (broken packages under --skip-broken); health reports it.
    ``exit_now`` is called with an exit code when there is no time left for a clean end; None: never.
    ``orders``: the pipe through which a supervisor passes signals on, where there is one.
    ``threads``: where plain ``def`` handlers run, None: in threads of their own, see ``settings.handler_threads``.
    """

    settings: Settings
    create_topics: bool = False
    broker: Broker | None = None
    plugins: ObserverSource | None = None
    handle_signals: bool = True
    degraded: tuple[str, ...] = ()
    exit_now: Callable[[int], Any] | None = None
    orders: int | None = None
    threads: ThreadPoolExecutor | None = None
