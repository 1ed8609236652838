"""Replaying and dropping dead letters: first a plan, which changes nothing, then what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from core_messaging.definition.names import is_topic
from core_messaging.errors import (
    BrokerError,
    ConfigurationError,
    LetterRefused,
    TopicMissing,
    UnreadableTopic,
)
from core_messaging.kafka.replay_writer import RecordNotTaken, ReplayWriter, make_compacted, replay_writer
from core_messaging.kafka.topic_admin import topic_admin
from core_messaging.kafka.topic_reader import Span, Spans, TopicReader, reading_topics
from core_messaging.operations.dead_letters import Progress, ledger_of, size_of, untold
from core_messaging.records import Record, TopicPartition
from core_messaging.rules.letter_groups import retention_of
from core_messaging.rules.letter_ledger import Ledger, marker, markers_topic
from core_messaging.rules.letter_selection import FieldMatch, Selection
from core_messaging.rules.letters import Letter
from core_messaging.rules.record_size import sizes_of
from core_messaging.rules.replay_plan import (
    KeyOfGroup,
    Order,
    Plan,
    Reason,
    Survey,
    Taken,
    key_of_group,
    turn_of,
)
from core_messaging.settings import Settings

__all__ = [
    "FieldMatch",
    "Order",
    "Outcome",
    "Planned",
    "Reason",
    "Selection",
    "carry_out",
    "plan_replay",
]

CHUNK, CHUNK_BYTES = 500, 4 * 1024 * 1024  # letters of one transaction, and their bytes
ALONE = 1  # bytes of a batch: each record has one of its own
LAST_ANSWER = 5.0  # seconds that a Ctrl-C waits for the transaction that is under way


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be done.

    ``ends``: where each partition of the queue ended. ``spans``: where letters are taken. ``targets``: letters by
    topic; ``places``: by topic and partition. ``missing``: letters by original topic that does not exist. ``moved``: letters whose original partition
    does not exist. ``followers``: letters that are taken because an earlier one of their key is. ``is_atomic``:
    whether the cluster has transactions. ``markers_expire``: whether the topic of markers is cleaned up by time.
    ``unread``: partitions that could not be read to their end, and why.
    """

    queue: str
    order: Order
    ends: Mapping[int, int]
    spans: Spans
    keys: Collection[KeyOfGroup]
    partitions: Mapping[str, int]
    taken: int
    targets: Mapping[str, int]
    places: Mapping[TopicPartition, int]
    left: Mapping[Reason, int]
    missing: Mapping[str, int]
    moved: int
    followers: int
    is_atomic: bool
    markers_expire: bool
    unread: Mapping[TopicPartition, UnreadableTopic]


@dataclass(slots=True)
class Outcome:
    """``done``: letters that are stored and marked. ``late``: letters of the same keys that came while it ran."""

    done: int = 0
    late: int = 0
    made_topic: str | None = None


async def plan_replay(
    settings: Settings,
    queue: str,
    order: Order,
    *,
    following: Collection[str] = (),
    progress: Progress = untold,
) -> Planned:
    """What *order* means for *queue* at this moment.

    *following*: groups of workers with ``on_dead_letter = "follow"``; others are known by their letters.

    Raises TopicMissing, BrokerError, ConfigurationError.
    """
    _check(queue, order)
    async with reading_topics(settings) as reader:
        is_atomic = not (await reader.look([queue])).cluster.is_embedded
        spans = await reader.spans(queue)
        ledger = await ledger_of(reader, queue)
        partitions = await _partitions_of_target(reader, order, settings)
        count = _Count(order, ledger, frozenset(following), partitions)
        await count.run(reader, spans, progress)
        while not count.is_right:
            count = count.next()
            await count.run(reader, spans, progress)
    markers_expire = await _expire(settings, markers_topic(queue))
    return count.planned(queue, spans, is_atomic=is_atomic, markers_expire=markers_expire)


async def _expire(settings: Settings, topic: str) -> bool:
    """Whether *topic* forgets what is old. False where the cluster does not tell its configs."""
    try:
        async with topic_admin(settings) as admin:
            found = await admin.describe([topic])
    except BrokerError:
        return False
    return any(retention_of(actual.config) is not None for actual in found.values())


class _Count:
    """One pass over a queue: what would be taken. It is right unless it shows that keys are taken whole."""

    def __init__(
        self,
        order: Order,
        ledger: Ledger,
        following: frozenset[str],
        partitions: dict[str, int],
        keys: Collection[KeyOfGroup] | None = None,
    ) -> None:
        """*keys*: those that are taken whole; None: they are not known yet."""
        self._order, self._ledger, self._partitions = order, ledger, partitions
        self._keys = keys
        self._survey = Survey(order.selection, ledger, following, again=order.again)
        self._plan = Plan(order, ledger, keys or (), partitions)
        self._taken: dict[TopicPartition, Span] = {}
        self._looked_up: set[str] = set(partitions)
        self._unread: dict[TopicPartition, UnreadableTopic] = {}

    async def run(self, reader: TopicReader, spans: Spans, progress: Progress) -> None:
        done, total = 0, size_of(spans)
        progress("reading", done, total)
        async for records in reader.read(spans, self._unread.__setitem__):
            letters = list(map(Letter, records))
            await self._look_up(reader, [letter for letter in letters if self._survey.add(letter)])
            for letter in letters:
                if self._plan.decide(letter) is not None:
                    self._note(letter.record)
            done += len(records)
            progress("reading", done, total)

    async def _look_up(self, reader: TopicReader, letters: Sequence[Letter]) -> None:
        """How many partitions the original topics have, of those that there are."""
        unknown = {origin.topic for letter in letters if (origin := letter.origin)} - self._looked_up
        if unknown and self._order.to is None:
            self._looked_up |= unknown
            found = (await reader.look(sorted(unknown))).partitions
            self._partitions |= {topic: len(numbers) for topic, numbers in found.items()}

    def _note(self, record: Record) -> None:
        source = TopicPartition(record.topic, record.partition)
        first = self._taken[source].begin if source in self._taken else record.offset
        self._taken[source] = Span(first, record.offset + 1)

    @property
    def is_right(self) -> bool:
        return self._survey.is_complete and self._survey.keys == set(self._keys or ())

    def next(self) -> _Count:
        """A count that knows what this one has found."""
        survey = self._survey
        keys = survey.keys if survey.is_complete else None
        return _Count(self._order, self._ledger, survey.groups, self._partitions, keys)

    def planned(self, queue: str, spans: Spans, *, is_atomic: bool, markers_expire: bool) -> Planned:
        plan = self._plan
        return Planned(
            queue=queue,
            order=self._order,
            ends={source.partition: span.end for source, span in spans.items()},
            spans=self._taken,
            keys=self._survey.keys,
            partitions=self._partitions,
            taken=plan.taken,
            targets=plan.targets,
            places=plan.places,
            left=plan.left,
            missing=plan.missing,
            moved=plan.moved,
            followers=plan.followers,
            is_atomic=is_atomic,
            markers_expire=markers_expire,
            unread=self._unread,
        )


def _check(queue: str, order: Order) -> None:
    if order.to == queue:
        raise ConfigurationError(
            f"{queue} cannot be replayed to itself; name another topic with --to, or leave --to out"
        )
    if not is_topic(markers_topic(queue)):
        raise ConfigurationError(
            f"the name of its topic of markers, {markers_topic(queue)}, is too long for Kafka; nothing was done. Let workers write "
            "to a dead-letter queue with a shorter name"
        )


async def _partitions_of_target(reader: TopicReader, order: Order, settings: Settings) -> dict[str, int]:
    if order.to is None:
        return {}
    found = (await reader.look([order.to])).partitions
    if order.to not in found:
        raise TopicMissing([order.to], settings.kafka_bootstrap_servers)
    return {order.to: len(found[order.to])}


async def carry_out(
    settings: Settings,
    planned: Planned,
    outcome: Outcome,
    *,
    rate: float | None = None,
    progress: Progress = untold,
) -> None:
    """Do what *planned* says; *outcome* is kept up to date, also where this raises or is cancelled. *rate*: letters a second.

    What somebody else has dealt with meanwhile is left out. Raises BrokerError, ReplayFenced, ReplayDenied,
    LetterRefused.
    """
    topic = markers_topic(planned.queue)
    if await make_compacted(settings, topic, planned.queue):
        outcome.made_topic = topic
    execution = _Execution(planned, outcome, rate, progress)
    try:
        await _carried_out(settings, execution, batch_size=None)
    except LetterRefused:
        if not planned.is_atomic:
            raise
        # Its neighbours were refused with it, or all of them together were too large.
        await _carried_out(settings, execution, batch_size=ALONE)


async def _carried_out(settings: Settings, execution: _Execution, *, batch_size: int | None) -> None:
    planned = execution.planned
    async with (
        replay_writer(settings, planned.queue, batch_size=batch_size) as writer,
        reading_topics(settings) as reader,
    ):
        # Only now: nobody else can add to them any more.
        ledger = await ledger_of(reader, planned.queue)
        spans = await _spans_now(reader, planned)
        await execution.run(reader, writer, spans, ledger)
        execution.outcome.late = await _late(reader, planned, spans)


async def _spans_now(reader: TopicReader, planned: Planned) -> Spans:
    """To the end of this moment where keys are taken whole; else where letters were found."""
    return await reader.spans(planned.queue) if planned.keys else planned.spans


def _passed_over(_source: TopicPartition, _why: UnreadableTopic) -> None:
    """What cannot be parsed was told when it was counted."""


async def _late(reader: TopicReader, planned: Planned, done: Spans) -> int:
    """Letters of the same keys behind *done*."""
    if not planned.keys:
        return 0
    spans = await reader.spans(planned.queue)
    behind = {source: Span(done[source].end, span.end) for source, span in spans.items() if source in done}
    found = 0
    async for records in reader.read(behind, _passed_over):
        found += sum(key_of_group(Letter(record)) in planned.keys for record in records)
    return found


@dataclass(slots=True)
class _Execution:
    planned: Planned
    outcome: Outcome
    rate: float | None
    progress: Progress
    _started: float = field(default_factory=time.monotonic)

    async def run(self, reader: TopicReader, writer: ReplayWriter, spans: Spans, ledger: Ledger) -> None:
        planned = self.planned
        plan = Plan(planned.order, ledger, planned.keys, planned.partitions, self._is_counted)
        verb = "replaying" if planned.order.state == "replayed" else "dropping"
        self.progress(verb, 0, planned.taken)
        async with _closing(reader.merged(spans, _turn, _passed_over)) as records:
            async for chunk in _chunks(records, plan, self._most()):
                await self._finish(writer, chunk)
                self.progress(verb, self.outcome.done, planned.taken)
                await self._keep_rate()

    def _is_counted(self, letter: Letter) -> bool:
        """Whether *letter* was there when somebody was asked."""
        record = letter.record
        return record.offset < self.planned.ends.get(record.partition, 0)

    def _most(self) -> int:
        return CHUNK if self.rate is None else max(1, min(CHUNK, int(self.rate)))

    async def _finish(self, writer: ReplayWriter, chunk: list[Taken]) -> None:
        """Store *chunk* and count it."""
        order, queue = self.planned.order, self.planned.queue
        sent = [(taken.letter.record, taken.outgoing) for taken in chunk if taken.outgoing is not None]
        markers = [marker(t.letter, queue, order.state, time.time(), _to(t)) for t in chunk]
        storing = writer.write([outgoing for _, outgoing in sent], markers)
        try:
            await self._stored(asyncio.ensure_future(storing), len(chunk))
        except RecordNotTaken as error:
            if error.index >= len(sent):  # a marker
                raise error.cause from error
            record, _ = sent[error.index]
            raise LetterRefused(f"{queue} {record.partition} {record.offset}", str(error.cause)) from error

    async def _stored(self, storing: asyncio.Task[None], count: int) -> None:
        """Wait for *storing*. A first Ctrl-C waits for the transaction that is under way too, so that the count is right."""
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            await asyncio.wait({storing}, timeout=LAST_ANSWER)
            raise
        finally:
            if storing.done() and not storing.cancelled() and storing.exception() is None:
                self.outcome.done += count
            storing.cancel()

    async def _keep_rate(self) -> None:
        if self.rate is not None:
            due = self._started + self.outcome.done / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def _turn(record: Record) -> tuple[float, int]:
    return turn_of(Letter(record))


def _to(taken: Taken) -> str:
    target = taken.outgoing
    return "" if target is None else str(TopicPartition(target.topic, target.partition or 0))


async def _chunks(records: AsyncIterator[Record], plan: Plan, most: int) -> AsyncIterator[list[Taken]]:
    chunk: list[Taken] = []
    size = 0
    async for record in records:
        taken = plan.decide(Letter(record))
        if taken is None:
            continue
        chunk.append(taken)
        size += sizes_of([record])[0]
        if len(chunk) >= most or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@asynccontextmanager
async def _closing(records: AsyncIterator[Record]) -> AsyncIterator[AsyncIterator[Record]]:
    """A generator that is left early is closed here, and not by the event loop later."""
    try:
        yield records
    finally:
        close = getattr(records, "aclose", None)
        if close is not None:
            await close()
