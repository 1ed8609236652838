"""Looking at dead letters: how many there are and why, and one of them whole. Changes nothing and makes no topic."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from core_messaging.errors import BrokerError, NoSuchLetter, TopicMissing, UnreadableTopic
from core_messaging.kafka.topic_admin import topic_admin
from core_messaging.kafka.topic_reader import Report, Spans, TopicReader, reading_topics
from core_messaging.plugins.redaction import Redact, installed_redaction
from core_messaging.records import TopicPartition
from core_messaging.rules.dead_letter import FACTS
from core_messaging.rules.letter_groups import Example, LetterGroup, LetterGroups, retention_of
from core_messaging.rules.letter_ledger import Ledger, State, markers_topic
from core_messaging.rules.letter_selection import Selection
from core_messaging.rules.letters import Letter, text_of_bytes
from core_messaging.settings import Settings

__all__ = [
    "Example",
    "Expiry",
    "LetterGroup",
    "LetterRow",
    "LetterRows",
    "LetterView",
    "Listing",
    "Queue",
    "expiries",
    "list_dead_letters",
    "list_each_letter",
    "missing_queues",
    "show_dead_letter",
]

LONGEST = 200  # characters of a key or an error in an example

Progress = Callable[[str, int, int], None]  # what is done, how many of it, of how many


def untold(_what: str, _done: int, _total: int) -> None:
    """For those who do not want to see how far it is."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A dead-letter queue; with ``worker`` and ``group``, only the letters of that worker."""

    topic: str
    worker: str | None = None
    group: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all letters of the topic are meant."""
        return self.worker is None and self.group is None

    @property
    def selection(self) -> Selection:
        """Selects the letters of the worker and group that name this queue."""
        return Selection(worker=self.worker, group=self.group)


@dataclass(frozen=True, slots=True)
class LetterView:
    """One dead letter, as it may be shown. ``facts``: what our headers say, without their prefix. ``headers``: the others."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    state: State
    key: bytes | None
    value: bytes | None
    facts: Mapping[str, str]
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Listing:
    """``unread``: partitions that could not be read to their end, and why."""

    groups: Sequence[LetterGroup]
    unread: Mapping[TopicPartition, UnreadableTopic]


@dataclass(frozen=True, slots=True)
class LetterRow:
    """One dead letter in a list. ``topic``, ``example.partition``, ``example.offset``: where it is in its queue."""

    topic: str
    state: State
    worker: str
    error_type: str
    failed_at: float
    example: Example


@dataclass(frozen=True, slots=True)
class LetterRows:
    """``unlooked``: records of the queues that were not looked at, because there are enough rows. ``unread``: as in a Listing."""

    rows: Sequence[LetterRow]
    unlooked: int
    unread: Mapping[TopicPartition, UnreadableTopic]


async def list_each_letter(
    settings: Settings, queues: Sequence[Queue], most: int, *, redact: Redact | None = None
) -> LetterRows:
    """The first *most* letters of *queues*, one by one. *redact* None: by the plugins installed.

    Raises TopicMissing, BrokerError, PluginError.
    """
    redact = redact or installed_redaction(settings)
    rows: list[LetterRow] = []
    unread: dict[TopicPartition, UnreadableTopic] = {}
    unlooked = 0
    async with reading_topics(settings) as reader:
        for queue in queues:
            spans, looked = await reader.spans(queue.topic), 0
            async with aclosing(_each_letter(reader, queue, spans, unread.__setitem__)) as letters:
                while len(rows) < most and (found := await anext(letters, None)) is not None:
                    letter, state, looked = found
                    rows.append(_row(letter, state, redact))
            unlooked += size_of(spans) - looked if len(rows) >= most else 0
    return LetterRows(rows, unlooked, unread)


async def _each_letter(
    reader: TopicReader, queue: Queue, spans: Spans, report: Report
) -> AsyncGenerator[tuple[Letter, State, int]]:
    """Each letter of *queue*, its state, and how many records were looked at by then."""
    ledger, is_of_worker, looked = await ledger_of(reader, queue.topic), queue.selection.is_of_worker, 0
    async with aclosing(reader.read(spans, report)) as parts:
        async for record in (record async for records in parts for record in records):
            letter = Letter(record)
            looked += 1
            if is_of_worker(letter):
                yield letter, ledger.state_of(letter), looked


def _row(letter: Letter, state: State, redact: Redact) -> LetterRow:
    worker, topic = letter.text("worker"), letter.record.topic
    return LetterRow(topic, state, worker, letter.error_type, letter.failed_at, _example(letter, redact))


async def list_dead_letters(
    settings: Settings,
    queues: Sequence[Queue],
    *,
    redact: Redact | None = None,
    progress: Progress = untold,
) -> Listing:
    """The letters of *queues* by queue, worker, original topic and error type. *redact* None: by the plugins installed.

    Raises TopicMissing, BrokerError, PluginError.
    """
    redact = redact or installed_redaction(settings)
    groups: list[LetterGroup] = []
    unread: dict[TopicPartition, UnreadableTopic] = {}
    async with reading_topics(settings) as reader:
        for queue in queues:
            groups += await _groups_of(reader, queue, redact, progress, unread.__setitem__)
    return Listing(groups, unread)


async def _groups_of(
    reader: TopicReader, queue: Queue, redact: Redact, progress: Progress, report: Report
) -> list[LetterGroup]:
    groups = LetterGroups(queue.topic, lambda letter: _example(letter, redact))
    ledger = await ledger_of(reader, queue.topic)
    spans = await reader.spans(queue.topic)
    done, total = 0, size_of(spans)
    is_of_worker = queue.selection.is_of_worker
    progress(queue.topic, done, total)
    async for records in reader.read(spans, report):
        letters = map(Letter, records)
        for letter in letters if queue.is_whole else filter(is_of_worker, letters):
            groups.add(letter, ledger.state_of(letter))
        done += len(records)
        progress(queue.topic, done, total)
    return groups.sorted()


def size_of(spans: Spans) -> int:
    """How many records there are at most: compaction and transactions leave gaps."""
    return sum(span.end - span.begin for span in spans.values())


def _example(letter: Letter, redact: Redact) -> Example:
    record, origin = letter.record, letter.origin
    key, _ = redact(letter.text("original-topic") or record.topic, record.key, record.value)
    return Example(
        partition=record.partition,
        offset=record.offset,
        key=None if key is None else text_of_bytes(key)[:LONGEST],
        error_message=letter.text("error-message")[:LONGEST],
        original=None if origin is None else str(origin),
    )


async def ledger_of(reader: TopicReader, queue: str) -> Ledger:
    """Which letters of *queue* are dealt with. Without a topic of markers, none is."""
    ledger = Ledger()
    topic = markers_topic(queue)
    try:
        spans = await reader.spans(topic)
    except TopicMissing:
        return ledger
    async for records in reader.read(spans):
        ledger.read(records)
    return ledger


@dataclass(frozen=True, slots=True)
class Expiry:
    """When the retention of a queue may remove its oldest open letter, in seconds since the epoch."""

    topic: str
    at: float


async def expiries(settings: Settings, groups: Sequence[LetterGroup]) -> list[Expiry]:
    """For each queue of *groups* with open letters. Empty where the cluster does not tell its configs."""
    oldest: dict[str, float] = {}
    for group in groups:
        if group.oldest_open is not None:
            oldest[group.dlq_topic] = min(group.oldest_open, oldest.get(group.dlq_topic, math.inf))
    if not oldest:
        return []
    try:
        async with topic_admin(settings) as admin:
            topics = await admin.describe(sorted(oldest))
    except BrokerError:
        return []
    return [
        Expiry(topic, oldest[topic] + retention)
        for topic, actual in topics.items()
        if (retention := retention_of(actual.config)) is not None
    ]


async def missing_queues(settings: Settings, queues: Sequence[Queue]) -> list[str]:
    """The topics of *queues* that do not exist. Looking makes none."""
    topics = sorted({queue.topic for queue in queues})
    async with reading_topics(settings) as reader:
        found = await reader.look(topics)
    return [topic for topic in topics if topic not in found.partitions]


async def show_dead_letter(
    settings: Settings, source: TopicPartition, offset: int, *, redact: Redact | None = None
) -> LetterView:
    """The letter at *offset* of *source*. Raises NoSuchLetter, TopicMissing, BrokerError, PluginError."""
    redact = redact or installed_redaction(settings)
    async with reading_topics(settings) as reader:
        record = await reader.record(source, offset)
        if record is None:
            raise NoSuchLetter(f"{source}@{offset}")
        ledger = await ledger_of(reader, source.topic)
    letter = Letter(record)
    ours = {f"core-{fact}" for fact in FACTS}
    key, value = redact(letter.text("original-topic") or record.topic, record.key, record.value)
    return LetterView(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        state=ledger.state_of(letter),
        key=key,
        value=value,
        facts={fact: letter.text(fact) for fact in FACTS if f"core-{fact}" in letter.headers},
        headers=[pair for pair in record.headers if pair[0] not in ours],
    )
