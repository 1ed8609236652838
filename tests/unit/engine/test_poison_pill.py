"""After crashes: the suspected stretch runs one message at a time, and nothing else is slow for that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.broker import Subscription
from core_messaging.context import Context
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.manager import PluginReport, Plugins
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.commit_metadata import PROVEN_AFTER, CommitNote, Ownership
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.snapshot import Condition
from core_messaging.testing.virtual_clock import run_virtually
from core_messaging.worker import Worker
from tests.unit.engine.probed_worker import Looks, at_work, until
from tests.unit.rules.records import PlainRecord

SUSPECTED = TopicPartition("in", 0)
TAKES = 0.1  # seconds


class Seen:
    """What ran, by partition: how many at once at the most, and when the last one ended."""

    def __init__(self) -> None:
        self.running: list[tuple[int, int]] = []
        self.most: dict[int, int] = {}
        self.beside: dict[tuple[int, int], set[tuple[int, int]]] = {}
        self.ended: dict[int, list[float]] = {0: [], 1: []}

    async def process(self, context: Context) -> None:
        me = (context.partition, context.offset)
        self.running.append(me)
        for one in self.running:
            self.beside.setdefault(one, set()).update(self.running)
        self.most[me[0]] = max(self.most.get(me[0], 0), sum(p == me[0] for p, _ in self.running))
        await asyncio.sleep(TAKES)
        self.running.remove(me)
        self.ended[me[0]].append(asyncio.get_running_loop().time())


async def left_by_vanished(broker: MemoryBroker, commits: Mapping[TopicPartition, Ownership]) -> None:
    consumer, joined = broker.consumer(Subscription("g", ("in",), "c")), asyncio.Event()

    async def revoked(_sources: object) -> None: ...

    await consumer.start(lambda _commits: joined.set(), revoked, revoked)
    await consumer.fetch(1, 1.0)
    notes = {source: CommitNote.of(0, (), {}, owned).encode() for source, owned in commits.items()}
    await consumer.commit({source: Committed(0, note) for source, note in notes.items()})
    await consumer.close()


class SlowBroker(MemoryBroker):
    """Its first answers are late: a fetch returns nothing, although there are records."""

    def consumer(self, subscription: Subscription) -> Any:
        found: Any = super().consumer(subscription)
        fetch, late = found.fetch, iter(range(3))

        async def fetch_late(limit: int, wait: float) -> Any:
            if next(late, None) is None:
                return await fetch(limit, wait)
            await asyncio.sleep(wait)
            return {}

        found.fetch = fetch_late
        return found


def worked_on(owned: Ownership, *counts: int, **options: Any) -> tuple[Seen, float]:
    """What a worker with ten slots does, and when it began; partition 0 was left by two that vanished."""
    broker, seen = MemoryBroker({"in": 2}), Seen()
    for partition, count in enumerate(counts):
        for number in range(count):
            broker.put("in", b"{}", b"%d" % number, partition=partition)

    async def process(self: Worker, message: dict[str, Any], context: Context) -> None:
        await seen.process(context)

    async def test() -> float:
        await left_by_vanished(broker, {SUSPECTED: owned})
        began = asyncio.get_running_loop().time()
        async with at_work(broker, Looks(), process=process, concurrency=10, **options):
            await until(lambda: sum(map(len, seen.ended.values())) == sum(counts))
        return began

    return seen, run_virtually(test())


def test_other_partitions_go_on_at_full_speed_while_a_suspected_one_runs_one_message_at_a_time() -> None:
    seen, began = worked_on(Ownership(is_owned=True, crashes=1, delivered=100), 100, 500)
    assert seen.most[0] == 1
    assert seen.most[1] >= 9
    assert max(seen.ended[1]) - began < 500 / 9 * TAKES + 3
    assert max(seen.ended[0]) - began >= 100 * TAKES


def test_what_lies_behind_the_suspected_stretch_runs_as_usual() -> None:
    # A thousand messages more were suspected, whatever the commit said: minutes at one message at a time.
    seen, began = worked_on(Ownership(is_owned=True, crashes=1, delivered=20, is_exact=True), 600, 0)
    assert max(seen.ended[0][:20]) - began >= 20 * TAKES
    assert max(seen.ended[0]) - began < 20 * TAKES + 600 / 9 * TAKES + 4


def test_a_retry_that_waits_does_not_prolong_the_suspicion() -> None:
    seen, began = worked_on(Ownership(is_owned=True, crashes=1, delivered=10, is_exact=True), 300, 0)
    assert seen.most[0] >= 9
    assert max(seen.ended[0]) - began < 300 / 5 * TAKES + 5


def test_a_suspected_message_runs_while_nothing_else_does() -> None:
    owned = Ownership(is_owned=True, crashes=1, isolated_offset=3, delivered=6, owner=7, is_exact=True)
    seen, _ = worked_on(owned, 20, 200)
    assert seen.beside[0, 3] == {(0, 3)}
    assert len(seen.ended[0]) + len(seen.ended[1]) == 220


@given(crashes=st.integers(0, 5), before=st.integers(0, 50), in_hand=st.integers(1, 50))
def test_one_more_crash_suspects_what_was_in_hand_and_nothing_else(
    crashes: int, before: int, in_hand: int
) -> None:
    owned = Ownership(is_owned=True, crashes=crashes, delivered=before, owner=7)
    note = CommitNote.of(0, (), {}, owned).encode()
    mine = Assignment(SUSPECTED, 1, Committed(0, note))
    mine.begin(0)
    assert mine.crash_record.announce_up_to(in_hand)
    said = mine.progress()
    assert said is not None
    mine.deliver([PlainRecord(offset) for offset in range(in_hand)])
    next_one = Assignment(SUSPECTED, 2, said)
    assert next_one.crash_record.crashes == crashes + 2
    assert next_one.crash_record.proven_from == in_hand


def test_without_a_crash_before_it_nothing_is_announced_a_fetch() -> None:
    mine = Assignment(SUSPECTED, 1, Committed(5, ""))
    assert not mine.crash_record.announce_up_to(9)
    far = Assignment(SUSPECTED, 1, Committed(0, CommitNote.of(0, (), {}, Ownership(is_owned=True)).encode()))
    assert not far.crash_record.announce_up_to(3 * PROVEN_AFTER)


COUNT = 40


def test_a_worker_that_looks_for_a_culprit_is_not_stuck() -> None:
    # /livez answered 503 after a minute, and whoever restarted it then made it forget what it had found out.
    broker, looks, done = MemoryBroker({"in": 1}), Looks(), list[int]()
    for number in range(COUNT):
        broker.put("in", b"%d" % number, b"%d" % number)

    async def process(self: Worker, message: int) -> None:
        await asyncio.sleep(10)
        done.append(message)

    made = type("Slow", (Worker,), {"input_topic": "in", "group_id": "g", "process": process})
    settings = Settings(metrics_interval=5.0)

    async def test() -> None:
        await left_by_vanished(broker, {SUSPECTED: Ownership(is_owned=True, crashes=1, delivered=COUNT)})
        plugins = Plugins([PluginReport("looks", "test", hooks=("metrics",), plugin=looks)], settings)
        options = RunOptions(settings=settings, broker=broker, handle_signals=False, plugins=plugins)
        began = asyncio.get_running_loop().time()
        working = asyncio.create_task(run_workers([made], options))
        while len(done) < COUNT:  # noqa: ASYNC110 - on a virtual clock
            await asyncio.sleep(1)
        assert asyncio.get_running_loop().time() - began >= 10 * COUNT  # one at a time
        working.cancel()
        await asyncio.wait([working])

    run_virtually(test())
    assert Condition.STUCK not in looks.conditions
    assert looks.conditions


def test_an_answer_that_is_late_forgives_no_crash() -> None:
    # A start whose first fetch was too early forgot all crashes, and the message killed more processes than max_crashes says.
    broker, seen = SlowBroker({"in": 1}), Seen()
    for number in range(5):
        broker.put("in", b"{}", b"%d" % number)

    async def process(self: Worker, message: dict[str, Any], context: Context) -> None:
        await seen.process(context)

    async def test() -> None:
        two_crashed = Ownership(is_owned=True, crashes=1, delivered=0, owner=2, crashed_owners=(1,))
        await left_by_vanished(broker, {SUSPECTED: two_crashed})
        async with at_work(broker, Looks(), process=process, concurrency=10):
            await until(lambda: len(seen.ended[0]) == 5)

    run_virtually(test())
    assert seen.most == {0: 1}
