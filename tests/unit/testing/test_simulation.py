"""The real engine through thousands of seeded schedules of joins, leaves, crashes and broker trouble.

CORE_SEEDS (a number) makes each run longer; a seed that fails is printed and replays exactly.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import subprocess
import sys
from typing import Any

import pytest

from core_messaging import PartialBatchError, Reject, Worker
from core_messaging.broker import Subscription
from core_messaging.context import Context
from core_messaging.engine.failure_path import FailurePath
from core_messaging.engine.record_sender import RecordSender
from core_messaging.engine.result_publisher import ResultPublisher
from core_messaging.errors import CommitRefused, SimulationFailed, SimulationStuck
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.records import Committed, TopicPartition
from core_messaging.rules.job import Job, Sending
from core_messaging.rules.offset_ledger import OffsetLedger
from core_messaging.rules.partition_queue import PartitionQueue
from core_messaging.testing import (
    Fault,
    ProcessDied,
    Simulation,
    run_virtually,
    simulate,
    simulate_many,
    simulated_process,
    simulation,
)
from core_messaging.testing.simulated_broker import SimulatedBroker, Trouble
from core_messaging.testing.simulation import Message

SEEDS = range(int(os.environ.get("CORE_SEEDS", "40")))
ORDERLY = (Fault.JOIN, Fault.LEAVE)


class ByKey(Worker):
    input_topic = "in"
    output_topic = "out"
    dlq_topic = "dlq"
    concurrency = 4
    max_retries = 2

    async def process(self, message: dict[str, Any], context: Context) -> dict[str, Any]:
        await asyncio.sleep(message["seconds"])
        if context.attempt <= message["fails"]:
            raise ValueError("not yet")
        return message


class ByPartition(ByKey):
    input_topic: Any = ("in", "more")
    ordering = "partition"


class Unordered(ByKey):
    ordering = "none"


class InBatches(Worker):
    input_topic = "in"
    dlq_topic = "dlq"
    batch_size = 7
    batch_timeout = 0.2
    concurrency = 2
    max_retries = 1

    async def process_batch(self, messages: list[dict[str, Any]]) -> None:
        await asyncio.sleep(max(message["seconds"] for message in messages))
        if any(message["fails"] > 1 for message in messages):
            raise ValueError("one of you")


class Killed(ByKey):
    async def process(self, message: dict[str, Any], context: Context) -> dict[str, Any]:
        if message["n"] == 40:
            raise ProcessDied
        return await super().process(message, context)


class KilledInBatches(InBatches):
    async def process_batch(self, messages: list[dict[str, Any]]) -> None:
        if any(message["n"] == 40 for message in messages):
            raise ProcessDied
        await super().process_batch(messages)


def messages(count: int = 90, keys: int = 9) -> list[Message]:
    """Quick ones, slow ones, some that fail once and some that fail for ever."""
    chance = random.Random(count)
    facts = [
        {"n": n, "seconds": chance.choice((0, 0.01, 0.3)), "fails": chance.choice((0,) * 8 + (1, 5))}
        for n in range(count)
    ]
    return [(b"key-%d" % (fact["n"] % keys), json.dumps(fact).encode()) for fact in facts]


@pytest.mark.parametrize("worker", [ByKey, ByPartition, Unordered, InBatches])
def test_whatever_happens_nothing_is_lost_reordered_or_committed_too_early(worker: type[Worker]) -> None:
    for report in simulate_many(worker, messages(), seeds=SEEDS):
        assert report.finished + report.dead_lettered >= report.sent == 90


def test_without_a_crash_nothing_is_repeated_however_members_come_and_go() -> None:
    for report in simulate_many(ByKey, messages(), seeds=SEEDS, faults=ORDERLY, members=1):
        assert report.repeated == 0, report.seed


class TakesLong(ByKey):
    concurrency = 16

    async def process(self, message: dict[str, Any], context: Context) -> dict[str, Any]:
        await asyncio.sleep(20 * message["seconds"])
        return await super().process(message, context)


def test_one_rebalance_after_the_other_while_members_drain_repeats_nothing() -> None:
    # Handlers take up to 6 s, which is below revoke_timeout. So members come while others drain, and again meanwhile.
    faults = (*ORDERLY, Fault.PARTITION_ADDED)
    for report in simulate_many(
        TakesLong,
        messages(),
        seeds=SEEDS[: max(2, len(SEEDS) // 6)],
        faults=faults,
        count=24,
        seconds=12.0,
        members=1,
    ):
        assert report.repeated == 0, report.seed


def test_a_commit_that_comes_late_is_not_one_of_a_member_that_has_joined_again() -> None:
    # A commit that took 4 s counted, although its member had been expelled and had joined again by then. Its next commit
    # took the offset back, and the simulation called that a fault of the engine.
    async def test() -> int:
        memory, trouble = MemoryBroker({"in": 1}), Trouble(commits_slow=1)
        member = SimulatedBroker(memory, trouble, lambda _commits: None, lambda _record: None).consumer(
            Subscription("g", ("in",), "c")
        )
        came: asyncio.Queue[object] = asyncio.Queue()

        async def gone(_sources: object) -> None: ...

        await member.start(came.put_nowait, gone, gone)
        await came.get()
        late = asyncio.ensure_future(member.commit({TopicPartition("in", 0): Committed(5)}))
        await asyncio.sleep(0)
        member.inner.expel()
        await came.get()
        with pytest.raises(CommitRefused, match="has joined it again"):
            await late
        return len(memory.committed("g", "in"))

    assert run_virtually(test()) == 0


REPEATING = {Fault.CRASH, Fault.EXPEL, Fault.FREEZE, Fault.FETCH_BROKEN, Fault.PUBLISH_UNHEARD}


@pytest.mark.parametrize("faults", [*((fault,) for fault in Fault), (Fault.LEAVE, Fault.COMMIT_REFUSED)])
def test_what_each_fault_repeats_is_what_is_said_of_it(faults: tuple[Fault, ...]) -> None:
    # It was said that after refused commits each message runs exactly once.
    reports = simulate_many(ByKey, messages(), seeds=range(1, 6), faults=faults, count=24)
    repeats = len(faults) > 1 or faults[0] in REPEATING
    assert any(report.repeated for report in reports) == repeats


def test_a_crash_repeats_no_more_than_what_was_in_flight_or_finished_since_the_last_commit() -> None:
    # commit_interval is 1 s, and one process can start at most 4 of these 20 ms handlers at a time.
    even: list[Message] = [
        (b"key-%d" % (n % 20), json.dumps({"n": n, "seconds": 0.02, "fails": 0}).encode()) for n in range(400)
    ]
    crashes = 3
    for report in simulate_many(ByKey, even, seeds=SEEDS, faults=(Fault.CRASH,), count=crashes, seconds=10.0):
        assert report.repeated <= crashes * (4 + 4 * 50)


@pytest.mark.parametrize("worker", [Killed, KilledInBatches])
def test_a_message_that_kills_its_process_is_dead_lettered_and_its_neighbours_are_not(
    worker: type[Worker],
) -> None:
    # The neighbours were convicted once: for a death that came while the commit still named them.
    doomed = sum(
        b'"fails": 5' in message[1] for message in messages() if isinstance(message, tuple) and message[1]
    )
    for report in simulate_many(worker, messages(), seeds=SEEDS, faults=()):
        assert report.dead_lettered == doomed + 1, report.seed


def test_no_code_of_a_process_that_is_killed_runs_any_more() -> None:
    # It was cancelled once: what a handler buffered was flushed by its teardown, and nobody saw the loss.
    stored: set[int] = set()
    last_words: list[str] = []

    class Buffers(Worker):
        input_topic = "in"
        concurrency = 4

        async def setup(self) -> None:
            self.buffer: list[int] = []
            self.flusher = asyncio.ensure_future(self.flush_forever())

        async def flush_forever(self) -> None:
            try:
                while True:
                    await asyncio.sleep(4)
                    stored.update(self.buffer)
            finally:
                last_words.append("of a task")

        async def process(self, message: dict[str, Any]) -> None:
            try:
                await asyncio.sleep(0.2)
            except BaseException:
                last_words.append("of a handler")
                raise
            self.buffer.append(message["n"])

        async def teardown(self) -> None:
            self.flusher.cancel()
            stored.update(self.buffer)

    settled = simulate(Buffers, messages(), seed=2, faults=())
    assert (settled.finished, len(stored)) == (90, 90)
    assert last_words == ["of a task"] * 2
    last_words.clear()
    lossy = 0
    for seed in range(20):
        stored.clear()
        last_words.clear()
        report = simulate(Buffers, messages(), seed=seed, faults=(Fault.CRASH,), count=3, seconds=10.0)
        assert "of a handler" not in last_words
        lossy += len(stored) < report.finished
    assert lossy > 10


def test_a_killed_process_says_nothing_when_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each holds its simulation, so they are not kept for ever; and what closes them is not their teardown.
    torn_down: list[int] = []

    class Counted(ByKey):
        async def process(self, message: dict[str, Any], context: Context) -> dict[str, Any]:
            try:
                async with asyncio.timeout(60):
                    await asyncio.sleep(0.5)
            finally:
                await asyncio.sleep(0)
            return message

        async def teardown(self) -> None:
            torn_down.append(1)

    monkeypatch.setattr(simulated_process, "KEPT", 0)
    for seed in range(10):
        torn_down.clear()
        simulate(Counted, messages(), seed=seed, faults=(Fault.CRASH,), count=5, seconds=5.0)
        assert len(torn_down) <= 4
        gc.collect()  # what is left over would complain now
    assert not simulated_process._dead


def test_a_seed_replays_exactly_also_in_another_process_with_another_hash_seed() -> None:
    code = (
        "from tests.unit.testing.test_simulation import ByKey, messages\n"
        "from core_messaging.testing import simulate\n"
        "print(*simulate(ByKey, messages(), seed=11).trace, sep='\\n')"
    )
    traces = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    traces.add("\n".join(simulate(ByKey, messages(), seed=11).trace) + "\n")
    (trace,) = traces
    assert "dead-lettered" in trace


class Skips(Worker):
    input_topic = "in"
    concurrency = 4
    max_retries = 2

    async def process(self, message: dict[str, Any], context: Context) -> None:
        if message["n"] % 10 == 7:
            raise Reject("not mine")
        if context.attempt <= message["fails"]:
            raise ValueError("not yet")


class SkipsInBatches(Worker):
    input_topic = "in"
    batch_size = 7
    max_retries = 1

    async def process_batch(self, messages: list[dict[str, Any]]) -> None:
        if any(message["fails"] > 1 for message in messages):
            raise ValueError("one of you")


@pytest.mark.parametrize("worker", [Skips, SkipsInBatches])
def test_what_is_skipped_for_want_of_a_dead_letter_queue_is_settled(worker: type[Worker]) -> None:
    # Each was reported as lost once, and so was the order of its key.
    sent: list[Message] = [
        *messages(),
        (b"key-1", b"no JSON"),
        (b"key-1", b'{"n": 1, "seconds": 0, "fails": 0}'),
    ]
    for report in simulate_many(worker, sent, seeds=range(5), faults=()):
        assert (report.lost, report.repeated) == (0, 0)
        assert report.skipped > 1
        assert report.finished + report.skipped == report.sent == 92
    simulate_many(worker, sent, seeds=range(5))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken engine never settles all messages, and a simulation would go on for 20,000 seconds of its clock."""
    monkeypatch.setattr(simulation, "PATIENCE", 1_000.0)


@pytest.mark.usefixtures("impatient")
def test_what_is_left_out_without_a_word_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # Skipping is what a worker without a queue says that it does; not whatever an engine makes of a failure.
    async def swallow(self: FailurePath, job: Job, *_facts: object) -> None:
        self._dead_letters._schedule.finish(job)

    monkeypatch.setattr(FailurePath, "give_up", swallow)
    with pytest.raises(SimulationFailed, match="of the same lane was settled"):
        simulate(Skips, messages(), seed=3, faults=())


async def unpublished(self: ResultPublisher, job: Job, *_facts: object) -> None:
    """The handler is done; its result goes nowhere."""
    self._success_path.finish(job, None, None, None)


def unanswered(
    self: RecordSender, job: Job, sending: Sending, ack: asyncio.Future[Any], _answered: object
) -> None:
    """Whatever the broker will say."""
    ack.add_done_callback(lambda answer: answer.exception())
    self._timer._schedule.finish(job)


class Doubles(Worker):
    input_topic = "in"
    output_topic = "out"
    dlq_topic = "dlq"
    batch_size = 7

    async def process_batch(self, messages: list[dict[str, Any]]) -> list[int]:
        return [2 * message["n"] for message in messages]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("worker", "owner", "name", "broken"),
    [
        (ByKey, ResultPublisher, "_publish", unpublished),
        (Doubles, RecordSender, "wait_for_answer", unanswered),
    ],
)
def test_a_result_that_is_not_stored_is_found_out(
    worker: type[Worker], owner: type, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the handler has returned was taken for finished, whatever became of it.
    faults, count = (Fault.PUBLISH_REFUSED,), 30
    assert simulate(worker, messages(), seed=3, faults=faults, count=count).repeated == 0
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(SimulationFailed, match=r"settled"):
        simulate(worker, messages(), seed=3, faults=faults, count=count)


def test_a_result_that_no_codec_can_encode_is_dead_lettered_and_not_finished() -> None:
    class Unspeakable(Worker):
        input_topic = "in"
        output_topic = "out"
        dlq_topic = "dlq"

        async def process(self, message: dict[str, Any], context: Context) -> object:
            if message["n"] == 3:
                context.carry = 5  # type: ignore[assignment] # the handler's mistake
            return object() if message["n"] == 1 else message["n"]

    report = simulate(Unspeakable, messages(), seed=1)
    assert (report.finished, report.dead_lettered, report.lost) == (88, 2, 0)


def test_results_are_stored_as_they_are_without_a_simulation() -> None:
    simulation = Simulation(ByKey, [(b"key", b'{"n": 1, "seconds": 0, "fails": 0}')])
    run_virtually(simulation.run([], members=1))
    (result,) = simulation.broker.records("out")
    assert (result.key, result.headers) == (b"key", ())


class Partly(InBatches):
    """Names those of a batch that fail: by a wrong index only, where the batch has a message 30."""

    async def process_batch(self, messages: list[dict[str, Any]]) -> None:
        failed = {i: ValueError("this one") for i, message in enumerate(messages) if message["fails"] > 1}
        if any(message["n"] == 30 for message in messages):
            failed = {99: ValueError("no such message")}
        if failed:
            raise PartialBatchError(failed)


def test_those_of_a_batch_that_a_partial_error_does_not_name_are_finished() -> None:
    doomed = sum(
        b'"fails": 5' in message[1] for message in messages() if isinstance(message, tuple) and message[1]
    )
    for report in simulate_many(Partly, messages(), seeds=range(5), faults=()):
        assert (report.finished, report.dead_lettered, report.repeated) == (90 - doomed - 1, doomed + 1, 0)


def committed_too_early(self: OffsetLedger) -> int | None:
    return self.position


def at_once(self: PartitionQueue, job: Job) -> None:
    """In a lane of its own, so that nothing else is broken but the order."""
    job.lane = object()
    self.occupy(job)
    self.ready.append(job)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("owner", "name", "broken", "told"),
    [
        (OffsetLedger, "committable", property(committed_too_early), "was committed by"),
        (PartitionQueue, "wait_behind", at_once, "started before"),
    ],
)
def test_an_engine_that_breaks_a_promise_is_found_out(
    owner: type, name: str, broken: object, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The proof is worth something only if it can fail.
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(SimulationFailed, match=f"(?s)seed 3: .*{told}.*seed=3"):
        simulate(ByKey, messages(), seed=3)


@pytest.mark.usefixtures("impatient")
def test_a_message_that_never_ends_is_reported_as_lost() -> None:
    class Hangs(Worker):
        input_topic = "in"

        async def process(self, message: dict[str, Any]) -> None:
            await asyncio.sleep(1e9)

    with pytest.raises(SimulationFailed, match="was never settled"):
        simulate(Hangs, messages(1), seed=0, faults=())


def test_hours_pass_at_once_on_the_virtual_clock() -> None:
    async def wait() -> float:
        await asyncio.sleep(7200)
        return asyncio.get_running_loop().time()

    assert run_virtually(wait()) == pytest.approx(7200)


async def wait_for_nothing() -> None:
    await asyncio.get_running_loop().create_future()


async def spin() -> None:
    while True:  # noqa: ASYNC110 - this is the mistake
        await asyncio.sleep(0)


@pytest.mark.parametrize("program", [wait_for_nothing, spin])
def test_a_program_that_can_never_end_is_told_instead_of_hanging(program: Any) -> None:
    with pytest.raises(SimulationStuck):
        run_virtually(program())


class Budgeted(ByKey):
    """Everything of the bad keys fails for ever, and retries are hours away."""

    concurrency = 20
    initial_delay = 3600.0
    on_full_retries = "dead-letter"


def bad_and_good(count: int = 400) -> list[Message]:
    return [
        (b"key-%d" % n, json.dumps({"n": n, "seconds": 0, "fails": 99 * (n % 4 == 0)}).encode())
        for n in range(count)
    ]


def test_a_full_budget_of_retries_dead_letters_the_longest_waiting_and_good_messages_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAX_WAITING_RETRIES", "20")
    report = simulate(Budgeted, bad_and_good(), seed=1, faults=(), members=1)
    assert (report.finished, report.dead_lettered) == (300, 100)
    finishes = [line for line in report.trace if "finishes" in line]
    # Long before the first retry is due: nobody waited for the bad ones.
    assert float(finishes[-1].split()[0]) < 60


def test_a_full_budget_of_retries_stops_the_intake_where_the_policy_is_to_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Waiting(Budgeted):
        initial_delay = 5.0
        on_full_retries = "wait"

    monkeypatch.setenv("MAX_WAITING_RETRIES", "20")
    report = simulate(Waiting, bad_and_good(), seed=1, faults=(), members=1)
    assert (report.finished, report.dead_lettered) == (300, 100)
    letters = [line for line in report.trace if "dead-lettered" in line]
    assert float(letters[0].split()[0]) >= 5 * (2 + 4)  # none before it had its retries
    assert "as max_waiting_retries lets them; its intake stops" in caplog.text


class Follows(ByKey):
    on_dead_letter = "follow"


def test_what_follows_a_dead_letter_of_its_key_is_never_processed_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nobody is convicted for the crashes, so what is dead-lettered is known beforehand.
    monkeypatch.setenv("MAX_CRASHES", "99")
    # Of each key of messages() all from the first doomed one on: 9 keys, one message in turn.
    first: dict[bytes | None, int] = {}
    for n, message in enumerate(messages()):
        assert isinstance(message, tuple)
        if message[1] and b'"fails": 5' in message[1]:
            first.setdefault(message[0], n)
    follow = sum(n >= first.get(b"key-%d" % (n % 9), 90) for n in range(90))
    # A block belongs to a partition: a key that a new partition gets is not blocked there.
    faults = set(Fault) - {Fault.PARTITION_ADDED}
    for report in simulate_many(Follows, messages(), seeds=SEEDS, faults=faults):
        assert (report.finished, report.dead_lettered) == (90 - follow, follow), report.seed
