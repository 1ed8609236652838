"""The engine's own counters as OpenTelemetry metrics: read when the reader asks, from the last snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry import metrics as api
from opentelemetry.metrics import CallbackOptions, Observation

from core_messaging import hookimpl
from core_messaging.snapshot import Snapshot, WorkerSnapshot

COUNTERS = (
    "fetched",
    "started",
    "succeeded",
    "failed",
    "retried",
    "dead_lettered",
    "undecodable",
    "published",
)

Number = Callable[[WorkerSnapshot], int | float | None]  # None: nobody knows, so there is no observation

GAUGES: dict[str, Number] = {
    "in_flight": lambda worker: worker.in_flight,
    "retries_waiting": lambda worker: worker.waiting_retries,
    "lag": lambda worker: worker.lag,
    "useful_lag": lambda worker: worker.useful_lag,
}


class Meters:
    """Instruments of one process; ``metrics`` is the hook."""

    def __init__(self) -> None:
        self._last = Snapshot(0.0, ())
        meter = api.get_meter("core_messaging")
        for name in COUNTERS:
            meter.create_observable_counter(f"core.{name}", [self._observe(_counter(name))], unit="{message}")
        for name, value in GAUGES.items():
            meter.create_observable_gauge(f"core.{name}", [self._observe(value)], unit="{message}")
        meter.create_observable_gauge("core.oldest_unfinished", [self._observe(self._oldest)], unit="s")

    def _oldest(self, worker: WorkerSnapshot) -> float | None:
        return worker.oldest_unfinished_age(self._last.time)

    def _observe(self, value: Number) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            found = [(worker.name, value(worker)) for worker in self._last.workers]
            return [Observation(now, {"core.worker": name}) for name, now in found if now is not None]

        return observe

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        self._last = snapshot


def _counter(name: str) -> Number:
    return lambda worker: worker.counters[name]
