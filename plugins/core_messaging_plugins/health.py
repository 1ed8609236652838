"""``/livez``, ``/readyz`` and ``/healthz`` for orchestrators and alerts. A probe asks no broker."""

from __future__ import annotations

import json
from collections.abc import Callable

from core_messaging.snapshot import Condition, Snapshot
from core_messaging_plugins.endpoint import Endpoint
from core_messaging_plugins.http_server import Answer, Pages

# From harmless to worrying. The last one that applies is the status.
STATUSES = ("running", "paused", "rebalancing", "starting", "draining", "degraded", "blocked", "stuck")

# The statuses for which each page answers 503. For all others it answers 200.
DEAD = frozenset({"stuck"})
NOT_READY = frozenset({"starting", "draining", "stuck"})
UNHEALTHY = frozenset({"degraded", "blocked", "stuck"})


class Health(Endpoint):
    """Serves the pages, from a new snapshot for each request."""

    name = "health"
    told = "health at {address}/healthz, /livez and /readyz"

    def pages(self, snapshot: Callable[[], Snapshot]) -> Pages:
        """Return the pages ``/livez``, ``/readyz`` and ``/healthz``."""
        return {
            "/livez": lambda: page(snapshot(), DEAD),
            "/readyz": lambda: page(snapshot(), NOT_READY),
            "/healthz": lambda: page(snapshot(), UNHEALTHY),
        }


def statuses(snapshot: Snapshot) -> list[str]:
    """List every status that applies, the most worrying one last."""
    found = {worker.condition.value for worker in snapshot.workers}
    found |= {"degraded"} if snapshot.degraded else set()
    return sorted(found, key=STATUSES.index) or [Condition.STARTING.value]


def page(snapshot: Snapshot, refused: frozenset[str]) -> Answer:
    """Make a page. Its status code is 503 if one of the statuses is in *refused*."""
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
