"""``/livez``, ``/readyz`` and ``/healthz`` for whoever restarts, routes and alerts. No broker round trip a probe."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import msgspec

from core_messaging import hookimpl
from core_messaging.snapshot import Condition, Snapshot
from core_messaging_plugins.http_server import Answer, listen, port_of

logger = logging.getLogger("core_messaging.plugins.health")

# From harmless to worrying; the last one that applies is the status.
STATUSES = ("running", "rebalancing", "starting", "draining", "degraded", "blocked", "stuck")

# What each page refuses (503); everything else is fine (200).
DEAD = frozenset({"stuck"})
NOT_READY = frozenset({"starting", "draining", "stuck"})
UNHEALTHY = frozenset({"degraded", "blocked", "stuck"})


class Config(msgspec.Struct):
    """``port`` None: no endpoint. 0: any free port, told in the log."""

    port: int | None = None
    host: str = "127.0.0.1"


class Health:
    """Answers from the snapshot of the moment."""

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
        pages = {
            "/livez": lambda: page(snapshot(), DEAD),
            "/readyz": lambda: page(snapshot(), NOT_READY),
            "/healthz": lambda: page(snapshot(), UNHEALTHY),
        }
        self._server = await listen(pages, config.host, config.port, "health")
        logger.info("health at http://%s:%d/healthz, /livez and /readyz", config.host, port_of(self._server))

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


def statuses(snapshot: Snapshot) -> list[str]:
    """Every status that applies, the most worrying one last."""
    found = {worker.condition.value for worker in snapshot.workers}
    found |= {"degraded"} if snapshot.degraded else set()
    return sorted(found, key=STATUSES.index) or [Condition.STARTING.value]


def page(snapshot: Snapshot, refused: frozenset[str]) -> Answer:
    """503 where one of the statuses is among the *refused*."""
    applying = statuses(snapshot)
    facts = {
        "status": applying[-1],
        "workers": [
            {"name": worker.name, "status": worker.condition.value, "reason": worker.reason}
            for worker in snapshot.workers
        ],
        "degraded": list(snapshot.degraded),
    }
    status = 503 if refused.intersection(applying) else 200
    return Answer(status, "application/json", json.dumps(facts).encode() + b"\n")


plugin = Health()
