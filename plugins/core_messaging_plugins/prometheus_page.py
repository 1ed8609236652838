"""A snapshot in the text format of Prometheus.

The labels are fixed: ``worker``; for the condition also ``condition``; for hooks ``plugin`` and ``hook``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core_messaging.snapshot import COUNTERS, Condition, HookCalls, Snapshot, WorkerSnapshot
from core_messaging_plugins.http_server import Answer

HOOKS = {
    "calls": "Calls of a plugin's hook",
    "failures": "Calls of a plugin's hook that raised or took too long",
    "seconds": "Time spent in a plugin's hook",
}

Gauge = Callable[[WorkerSnapshot, float], float | None]  # None: unknown, so there is no sample

GAUGES: dict[str, tuple[str, Gauge]] = {
    "in_flight": ("Messages fetched and not finished", lambda worker, _now: worker.in_flight),
    "running": (
        "Messages in a handler, or waiting for an acknowledgement",
        lambda worker, _now: worker.running,
    ),
    "retries_waiting": ("Messages waiting for a retry", lambda worker, _now: worker.waiting_retries),
    "partitions": ("Partitions assigned", lambda worker, _now: len(worker.partitions)),
    "lag": (
        "Messages between the first unfinished ones and the end offsets of the partitions",
        lambda worker, _now: worker.lag,
    ),
    "useful_lag": (
        "Lag without messages that wait for a retry: for autoscalers",
        lambda worker, _now: worker.useful_lag,
    ),
    "oldest_unfinished_seconds": (
        "Age of the oldest unfinished message",
        lambda worker, now: worker.oldest_unfinished_age(now),
    ),
}


class _Metrics(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        workers = self._snapshot.workers
        for name, told in COUNTERS.items():
            counter = CounterMetricFamily(f"core_{name}", told, labels=["worker"])
            for worker in workers:
                counter.add_metric([worker.name], worker.counters[name])
            yield counter
        for name, (told, value) in GAUGES.items():
            gauge = GaugeMetricFamily(f"core_{name}", told, labels=["worker"])
            for worker in workers:
                if (now := value(worker, self._snapshot.time)) is not None:
                    gauge.add_metric([worker.name], now)
            yield gauge
        yield from _hooks(self._snapshot.hooks)
        yield _conditions(workers)
        yield _latencies(workers)
        yield GaugeMetricFamily(
            "core_degraded", "Workers that should run and do not", value=len(self._snapshot.degraded)
        )


def _hooks(hooks: tuple[HookCalls, ...]) -> Iterator[Metric]:
    labels = ["plugin", "hook"]
    for name, told in HOOKS.items():
        counter = CounterMetricFamily(f"core_plugin_{name}", told, labels=labels)
        for each in hooks:
            counter.add_metric([each.plugin, each.hook], getattr(each, name))
        yield counter
    off = GaugeMetricFamily(
        "core_plugin_switched_off", "1 while a hook that keeps failing is off", labels=labels
    )
    for each in hooks:
        off.add_metric([each.plugin, each.hook], each.switched_off)
    yield off


def _conditions(workers: tuple[WorkerSnapshot, ...]) -> Metric:
    told = "1 for the condition the worker is in, 0 for the others"
    gauge = GaugeMetricFamily("core_condition", told, labels=["worker", "condition"])
    for worker in workers:
        for condition in Condition:
            gauge.add_metric([worker.name, condition.value], worker.condition is condition)
    return gauge


def _latencies(workers: tuple[WorkerSnapshot, ...]) -> Metric:
    histogram = HistogramMetricFamily("core_attempt_seconds", "How long attempts took", labels=["worker"])
    for worker in workers:
        bounds = [*map(str, worker.latency.bounds), "+Inf"]
        counts = accumulate(map(float, worker.latency.counts))
        histogram.add_metric([worker.name], list(zip(bounds, counts, strict=True)), worker.latency.total)
    return histogram


def page(snapshot: Snapshot) -> Answer:
    """Make the page. It has a registry of its own, so other metrics of the program are not on it."""
    registry = CollectorRegistry()
    registry.register(_Metrics(snapshot))
    return Answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
