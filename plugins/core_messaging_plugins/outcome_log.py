"""Logs from time to time what each worker has done: one line, if there was something to do.

Disable it with ``CORE_PLUGINS_DISABLE=outcome-log``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from core_messaging import hookimpl
from core_messaging.snapshot import Snapshot, WorkerSnapshot

logger = logging.getLogger("core_messaging.outcome")

# Counters and their words, in the order of the line. Counters that did not change are left out.
SHOWN = {
    "succeeded": "done",
    "retried": "retried",
    "dead_lettered": "dead-lettered",
    "undecodable": "undecodable",
    "exhausted": "failed for good",
    "followed": "not tried behind a dead letter",
    "cleared": "cleared",
    "dropped": "dropped",
}


class OutcomeLog:
    """Remembers the counters of the last line, to log the difference."""

    def __init__(self) -> None:
        self._last: dict[str, Mapping[str, int]] = {}

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        """Log one line for each worker: what became of its messages since the last line."""
        for worker in snapshot.workers:
            line = outcome(worker, self._last.get(worker.name, {}))
            self._last[worker.name] = dict(worker.counters)
            if line:
                logger.info("%s: %s", worker.name, line, extra={"worker": worker.name, "action": "outcome"})


def outcome(worker: WorkerSnapshot, before: Mapping[str, int]) -> str:
    """Write what was done since *before*, and what is still to do; empty if nothing was done."""
    news = {words: worker.counters[name] - before.get(name, 0) for name, words in SHOWN.items()}
    told = [f"{count:,} {words}" for words, count in news.items() if count]
    if not told:
        return ""
    rest = [f"{worker.waiting_retries:,} waiting for a retry"] if worker.waiting_retries else []
    # The lag is unknown before the first answer of the broker, and out of the group.
    lag = worker.lag
    return ", ".join([*told, *rest, *([f"lag {lag:,}"] if lag is not None else [])])


plugin = OutcomeLog()
