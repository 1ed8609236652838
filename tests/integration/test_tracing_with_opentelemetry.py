"""The plugin ``opentelemetry`` beside real workers, read back by the SDK's in-memory exporter and reader."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from core_messaging_plugins.opentelemetry import Config, OpenTelemetry
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from core_messaging.blocking_producer import BlockingProducer
from core_messaging.context import CARRIED
from core_messaging.errors import RecordRefused
from core_messaging.plugins import publisher_watch
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.producer import get_producer
from core_messaging.settings import Settings
from core_messaging.worker import config_of
from tests.integration.brokers import RunningBroker
from tests.integration.harness import publish, read, run, running, settings_for, until
from tests.integration.journal import journal

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADERS = [("traceparent", f"00-{TRACE}-{PARENT}-01".encode())]


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[InMemorySpanExporter, InMemoryMetricReader]]:
    """Global, as the plugin takes them, so there is one pair for all."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    yield exporter, reader
    publisher_watch._wrappers.clear()  # other tests of this process publish without spans


@pytest.fixture
def spans(providers: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> Iterator[InMemorySpanExporter]:
    providers[0].clear()
    yield providers[0]
    providers[0].clear()


@cache
def enabled() -> OpenTelemetry:
    """One, as in a process: the SDK takes the callbacks of the first instrument of a name only."""
    plugin = OpenTelemetry()
    plugin.configure(Config(enabled=True))
    return plugin


def tracing() -> Plugins:
    return Plugins([PluginReport("opentelemetry", "test 1", plugin=enabled())], Settings())


def by_name(spans: InMemorySpanExporter, topic: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == f"process {topic}"]


def sends(spans: InMemorySpanExporter, topic: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == f"send {topic}"]


def parent_of(span: ReadableSpan) -> tuple[int, int]:
    assert span.parent is not None
    return span.parent.trace_id, span.parent.span_id


def place_of(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def points(reader: InMemoryMetricReader, name: str, topic: str) -> list[Any]:
    """The data points of a metric that are about *topic*."""
    data = reader.get_metrics_data()
    found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
    every = [point for each in found if each.name == name for point in each.data.data_points]
    return [p for p in every if (p.attributes or {}).get("messaging.destination.name") == topic]


def test_a_message_is_a_span_of_its_senders_trace_and_carries_it_on_to_the_output_topic(
    broker: RunningBroker, spans: InMemorySpanExporter
) -> None:
    first, second = broker.make_topic(), broker.make_topic()

    async def pass_on(self: Any, message: dict[str, Any]) -> dict[str, Any]:
        return message

    async def take(self: Any, message: dict[str, Any]) -> None:
        self.seen.append(message)

    one = journal(input_topic=first, output_topic=second, process=pass_on)
    two = journal(input_topic=second, process=take)

    async def test() -> None:
        await publish(broker.address, first, [(b"key", b'{"n": 1}', HEADERS)])
        async with running(broker.address, one, two, plugins=tracing()) as task:
            await until(lambda: two.seen and by_name(spans, second), task)

    run(test())
    (a,), (b,) = by_name(spans, first), by_name(spans, second)
    assert a.context is not None
    assert a.parent is not None
    (sent,) = sends(spans, second)
    assert (format(a.context.trace_id, "032x"), format(a.parent.span_id, "016x")) == (TRACE, PARENT)
    # The one that sends is between the two that process.
    assert (parent_of(sent), parent_of(b)) == (place_of(a), place_of(sent))
    assert (sent.kind, sent.status.status_code) == (SpanKind.PRODUCER, StatusCode.UNSET)
    told = dict(sent.attributes or {})
    assert told["messaging.operation.name"] == told["messaging.operation.type"] == "send"
    assert (told["messaging.destination.partition.id"], told["messaging.kafka.offset"]) == (
        str((b.attributes or {})["messaging.destination.partition.id"]),
        (b.attributes or {})["messaging.kafka.offset"],
    )
    assert (a.kind, a.status.status_code) == (SpanKind.CONSUMER, StatusCode.UNSET)
    facts = dict(a.attributes or {})
    assert facts["messaging.system"] == "kafka"
    assert facts["messaging.destination.name"] == first
    assert (facts["messaging.kafka.offset"], facts["messaging.kafka.message.key"]) == (0, "key")


def test_each_attempt_is_a_span_that_tells_its_error_and_a_dead_letter_keeps_the_trace(
    broker: RunningBroker, spans: InMemorySpanExporter
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    async def fail(self: Any, message: dict[str, Any]) -> None:
        raise ValueError("never")

    made = journal(input_topic=topic, dlq_topic=dlq, process=fail, max_retries=2, initial_delay=0.01)

    async def test() -> list[Any]:
        await publish(broker.address, topic, [(b"key", b"{}", HEADERS)])
        async with running(broker.address, made, plugins=tracing()):
            return await read(broker.address, dlq, 1)

    (letter,) = run(test())
    assert letter.facts["traceparent"] == HEADERS[0][1]
    attempts = by_name(spans, topic)
    assert [(span.attributes or {})["core.attempt"] for span in attempts] == [1, 2, 3]
    assert {format(span.context.trace_id, "032x") for span in attempts if span.context} == {TRACE}
    assert {span.status.status_code for span in attempts} == {StatusCode.ERROR}
    assert [event.name for event in attempts[0].events] == ["exception"]
    assert {(span.attributes or {})["error.type"] for span in attempts} == {"ValueError"}
    (sent,) = sends(spans, dlq)
    assert (sent.kind, (sent.attributes or {})["core.dead_letter"]) == (SpanKind.PRODUCER, True)
    assert format(parent_of(sent)[1], "016x") == PARENT


def test_baggage_goes_along_and_whatever_is_published_meanwhile_is_of_the_trace(
    broker: RunningBroker, spans: InMemorySpanExporter
) -> None:
    topic, out, others = broker.make_topic(), broker.make_topic(), broker.make_topic()

    async def process(self: Any, message: dict[str, Any]) -> dict[str, Any]:
        producer = get_producer("kafka", settings=settings_for(broker.address))
        await producer.send(topic=others, message=message, headers={"traceparent": "mine"})
        await asyncio.create_task(producer.send(topic=others, message=message))
        await producer.send_many(topic=others, messages=[message])
        await asyncio.to_thread(self.blocking.send, topic=others, message=message)
        return message

    with BlockingProducer(settings_for(broker.address), "test") as blocking:
        made = journal(input_topic=topic, output_topic=out, process=process, blocking=blocking)

        async def test() -> tuple[list[Any], list[Any]]:
            await publish(
                broker.address, topic, [(b"k", b"{}", [*HEADERS, ("baggage", b"user=ada"), ("x", None)])]
            )
            async with running(broker.address, made, plugins=tracing()):
                return await read(broker.address, out, 1), await read(broker.address, others, 4)

        (result,), published = run(test())
    (span,) = by_name(spans, topic)
    assert result.facts["baggage"] == b"user=ada"
    assert {letter.facts["baggage"] for letter in published} == {b"user=ada"}
    sent = [*sends(spans, out), *sends(spans, others)]
    assert [parent_of(each) for each in sent] == [place_of(span)] * 5
    carried = {letter.facts["traceparent"] for letter in (result, *published)}
    assert len(carried) == 5
    # A trace that nobody can read stays as its author wrote it.
    assert carried - {b"00-%s-%016x-01" % (TRACE.encode(), place_of(each)[1]) for each in sent} == {b"mine"}
    # Nothing of it is left for what is published outside of a handler.
    assert CARRIED.get() == ()


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_what_ends_processes_is_an_error_of_the_span_too(
    error: BaseException, broker: RunningBroker, spans: InMemorySpanExporter
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    async def process(self: Any, message: dict[str, Any]) -> None:
        raise error

    made = journal(input_topic=topic, dlq_topic=dlq, process=process, max_retries=0)

    async def test() -> list[Any]:
        await publish(broker.address, topic, [(b"key", b"{}", HEADERS)])
        async with running(broker.address, made, plugins=tracing()):
            return await read(broker.address, dlq, 1)

    run(test())
    (span,) = by_name(spans, topic)
    assert span.status.status_code == StatusCode.ERROR
    assert type(error).__name__ in (span.status.description or "")
    assert str((span.attributes or {})["error.type"]).endswith(type(error).__name__)


def test_a_batch_is_one_span_with_a_link_to_each_traced_message(
    broker: RunningBroker, spans: InMemorySpanExporter
) -> None:
    topic = broker.make_topic()

    async def process_batch(self: Any, messages: list[dict[str, Any]]) -> None:
        self.seen.extend(messages)

    made = journal(input_topic=topic, process_batch=process_batch, batch_size=3, batch_timeout=0.5)

    async def test() -> None:
        records = [(b"key", json.dumps({"n": n}).encode(), HEADERS if n else []) for n in range(3)]
        await publish(broker.address, topic, records)
        async with running(broker.address, made, plugins=tracing()) as task:
            await until(lambda: len(made.seen) == 3, task)

    run(test())
    batches = by_name(spans, topic)
    assert [(span.attributes or {})["messaging.batch.message_count"] for span in batches] in (
        [3],
        [1, 2],
        [2, 1],
    )
    links = [link for span in batches for link in span.links]
    assert [format(link.context.span_id, "016x") for link in links] == [PARENT] * 2
    assert [(link.attributes or {})["messaging.kafka.offset"] for link in links] == [1, 2]


def test_durations_are_histograms_by_the_conventions(
    broker: RunningBroker, providers: tuple[InMemorySpanExporter, InMemoryMetricReader]
) -> None:
    topic, out = broker.make_topic(), broker.make_topic()

    async def process(self: Any, message: dict[str, Any]) -> dict[str, Any]:
        if message["n"] == 2:
            raise LookupError("no")
        return message

    made = journal(input_topic=topic, output_topic=out, process=process, max_retries=0)

    async def test() -> None:
        await publish(broker.address, topic, [(b"key", json.dumps({"n": n}).encode()) for n in range(3)])
        async with running(broker.address, made, plugins=tracing()):
            await read(broker.address, out, 2)

    run(test())
    found = points(providers[1], "messaging.process.duration", topic)
    assert {(p.attributes.get("error.type"), p.count) for p in found} == {(None, 2), ("LookupError", 1)}
    assert {p.attributes["messaging.consumer.group.name"] for p in found} == {config_of(made).group_id}
    assert {p.explicit_bounds[:2] for p in found} == {(0.005, 0.01)}
    (sent,) = points(providers[1], "messaging.client.operation.duration", out)
    assert (sent.count, sent.attributes["messaging.operation.name"]) == (2, "send")
    (count,) = points(providers[1], "messaging.client.sent.messages", out)
    assert count.value == 2


def test_a_record_that_is_refused_is_a_failed_span_with_the_type_of_its_error(
    broker: RunningBroker, spans: InMemorySpanExporter
) -> None:
    topic = broker.make_topic()
    enabled()

    async def test() -> None:
        async with get_producer("kafka", settings=settings_for(broker.address)) as producer:
            with pytest.raises(RecordRefused):
                await producer.send(topic=topic, message=b"x" * 2_000_000)
            await producer.send(topic=topic, message=None, key="gone")
        await producer.close()

    run(test())
    refused, sent = sends(spans, topic)
    assert refused.status.status_code is StatusCode.ERROR
    assert str((refused.attributes or {})["error.type"]).endswith("RecordTooLarge")
    assert (sent.attributes or {})["messaging.kafka.message.tombstone"] is True
    assert sent.parent is None


def test_the_counters_are_metrics(
    broker: RunningBroker, providers: tuple[InMemorySpanExporter, InMemoryMetricReader]
) -> None:
    topic = broker.make_topic()

    async def process(self: Any, message: dict[str, Any]) -> None: ...

    made = journal(input_topic=topic, process=process)

    def succeeded() -> list[Any]:
        data = providers[1].get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        return [p.value for m in found if m.name == "core.succeeded" for p in m.data.data_points]  # type: ignore[union-attr] # sums

    async def test() -> None:
        await publish(broker.address, topic, [(b"key", b"{}")] * 7)
        async with running(broker.address, made, plugins=tracing(), metrics_interval=0.1) as task:
            await until(lambda: 7 in succeeded(), task)

    run(test())


def test_where_it_is_not_enabled_it_hooks_into_nothing() -> None:
    plugin = OpenTelemetry()
    plugin.configure(Config())
    observers = Plugins([PluginReport("opentelemetry", "test 1", plugin=plugin)], Settings()).observers()
    assert (observers.wrap_process, observers.metrics) == (None, None)
