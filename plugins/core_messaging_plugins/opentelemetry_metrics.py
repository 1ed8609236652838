"""Metrics of the semantic conventions for messaging, and the engine's own counters.

Counters are read from the last snapshot when OpenTelemetry asks for them. Durations are recorded as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

from opentelemetry import metrics as api
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.util.types import AttributeValue

from core_messaging import hookimpl
from core_messaging.snapshot import COUNTER_UNITS, COUNTERS, Snapshot, WorkerSnapshot
from core_messaging_plugins.opentelemetry_names import (
    ERROR,
    GROUP,
    PARTITION,
    POLL,
    PROCESS,
    TOPIC,
    WORKER,
)

Number = Callable[[WorkerSnapshot], int | float | None]  # None: unknown, so there is no observation

GAUGES: dict[str, Number] = {
    "in_flight": lambda worker: worker.in_flight,
    "retries_waiting": lambda worker: worker.waiting_retries,
    "lag": lambda worker: worker.lag,
    "useful_lag": lambda worker: worker.useful_lag,
}


Facts = Mapping[str, AttributeValue]

# Buckets that the conventions advise, in seconds. Attempts may take longer than calls of a client.
BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
LONGER = (*BOUNDARIES, 30.0, 60.0, 300.0)


class Processing:
    """Records how long attempts take."""

    def __init__(self) -> None:
        self._duration = api.get_meter("core_messaging").create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of processing operation.",
            explicit_bucket_boundaries_advisory=LONGER,
        )

    def done(self, seconds: float, attributes: Facts, failure: str | None) -> None:
        """Record an attempt that took *seconds*; *failure*: the type of its error.

        Of the span's *attributes*, those with few values are kept.
        """
        kept = {name: attributes[name] for name in PROCESS_LABELS}
        self._duration.record(seconds, kept if failure is None else {**kept, ERROR: failure})


PROCESS_LABELS = (*PROCESS, TOPIC, PARTITION, GROUP, WORKER)


class Sending:
    """Counts the records that are sent, and how long their acknowledgements take."""

    def __init__(self) -> None:
        meter = api.get_meter("core_messaging")
        self._duration = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            "Duration of messaging operation initiated by a producer or consumer client.",
            explicit_bucket_boundaries_advisory=BOUNDARIES,
        )
        self._count = meter.create_counter(
            "messaging.client.sent.messages",
            "{message}",
            "Number of messages producer attempted to send to the broker.",
        )

    def done(self, seconds: float, attributes: Facts) -> None:
        """Record an answer of the broker that took *seconds*."""
        self._duration.record(seconds, attributes)
        self._count.add(1, attributes)


@cache
def processing() -> Processing:
    """Return the instruments for attempts. Made at the first use: by then the program has chosen its meter provider."""
    return Processing()


@cache
def sending() -> Sending:
    """Return the instruments for records that are sent, made at the first use."""
    return Sending()


class Meters:
    """The instruments of one process. ``metrics`` is the hook."""

    def __init__(self) -> None:
        self._last = Snapshot(0.0, ())
        meter = api.get_meter("core_messaging")
        for name in COUNTERS:
            meter.create_observable_counter(
                f"core.{name}", [self._observe(_counter(name))], COUNTER_UNITS[name], COUNTERS[name]
            )
        meter.create_observable_counter(
            "messaging.client.consumed.messages",
            [self._consumed],
            "{message}",
            "Number of messages that were delivered to the application.",
        )
        for name, value in GAUGES.items():
            meter.create_observable_gauge(f"core.{name}", [self._observe(value)], unit="{message}")
        meter.create_observable_gauge("core.oldest_unfinished", [self._observe(self._oldest)], unit="s")

    def _oldest(self, worker: WorkerSnapshot) -> float | None:
        return worker.oldest_unfinished_age(self._last.time)

    def _observe(self, value: Number) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            found = [(worker.name, value(worker)) for worker in self._last.workers]
            return [Observation(now, {WORKER: name}) for name, now in found if now is not None]

        return observe

    def _consumed(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(worker.counters["fetched"], {**POLL, GROUP: worker.group_id, WORKER: worker.name})
            for worker in self._last.workers
        ]

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        """Keep the snapshot; the meters are read from it."""
        self._last = snapshot


def _counter(name: str) -> Number:
    return lambda worker: worker.counters[name]
