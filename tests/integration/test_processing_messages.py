"""What happens to a message, step by step, on real brokers."""

from __future__ import annotations

import asyncio
import enum
import logging
from typing import Any

import msgspec
import pytest

from core_messaging.context import Context
from core_messaging.errors import PartialBatchError, Reject, RetriesExhausted, RetryAfter
from tests.integration.brokers import MakeTopic, RunningBroker
from tests.integration.harness import Stored, committed, publish, read, run, running, until, until_committed
from tests.integration.journal import Journal, journal


def test_a_failing_message_goes_to_the_dlq_byte_for_byte_after_all_retries(
    kafka_broker: RunningBroker, make_topic: MakeTopic
) -> None:
    topic, dlq = make_topic(), make_topic()
    errors: list[tuple[Any, str]] = []

    async def process(self: Journal, message: dict[str, Any], context: Context) -> None:
        self.seen.append((message["id"], context.attempt))
        raise ValueError("no address")

    async def on_error(self: Journal, message: dict[str, Any], error: Exception) -> None:
        errors.append((message["id"], str(error)))

    made = journal(input_topic=topic, dlq_topic=dlq, max_retries=2, process=process, on_error=on_error)

    async def test() -> list[Stored]:
        await publish(kafka_broker.address, topic, [(b"k", b'{ "id" : 7 }', [("trace", b"\xff")])])
        async with running(kafka_broker.address, made) as task:
            await until(lambda: errors, task)
            letters = await read(kafka_broker.address, dlq, 1)
            await until_committed(kafka_broker.address, topic, 1)
        return letters

    (letter,) = run(test())
    assert made.seen == [(7, 1), (7, 2), (7, 3)]
    assert errors == [(7, "no address")]
    assert (letter.key, letter.value) == (b"k", b'{ "id" : 7 }')
    assert letter.facts["trace"] == b"\xff"
    assert letter.facts["core-original-topic"] == topic.encode()
    assert letter.facts["core-attempts"] == b"3"
    assert letter.facts["core-error-type"] == b"ValueError"


BAD = {
    "not JSON": b"\x00 hello",
    "JSON of another shape": b"[1, 2]",
    "cut off": b'{"id": 1',
    "not UTF-8": b'{"id": "\xff"}',
    "empty": b"",
    "deep": b"[" * 5000,
}


@pytest.mark.parametrize("value", [*BAD.values(), None], ids=[*BAD, "tombstone"])
@pytest.mark.parametrize("key", [b"k", None], ids=["key", "no key"])
def test_what_cannot_be_decoded_goes_to_the_dlq_without_a_try(
    broker: RunningBroker, value: bytes | None, key: bytes | None
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    async def process(self: Journal, message: dict[str, Any]) -> None:
        self.seen.append(message)

    async def on_undecodable(self: Journal, data: bytes | None, error: Exception) -> None:
        self.seen.append((data, type(error).__name__))

    made = journal(input_topic=topic, dlq_topic=dlq, process=process, on_undecodable=on_undecodable)

    async def test() -> Stored:
        await publish(broker.address, topic, [(key, value)])
        async with running(broker.address, made):
            letters = await read(broker.address, dlq, 1)
            await until_committed(broker.address, topic, 1)
        return letters[0]

    letter = run(test())
    assert made.seen == [(value, "Undecodable")]
    assert (letter.key, letter.value) == (key, value)


class Raises:
    """Things that would end a task or a process."""

    KINDS: tuple[BaseException, ...] = (
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        StopAsyncIteration(),
        BaseExceptionGroup("g", [KeyboardInterrupt()]),
    )


@pytest.mark.parametrize("error", Raises.KINDS, ids=[type(e).__name__ for e in Raises.KINDS])
@pytest.mark.parametrize("kind", ["async def", "def"])
def test_a_handler_that_raises_what_ends_processes_only_fails_its_message(
    broker: RunningBroker, error: BaseException, kind: str
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    def plain(self: Journal, message: dict[str, Any]) -> None:
        self.seen.append(message["id"])
        if message["id"] == 1:
            raise error

    async def coroutine(self: Journal, message: dict[str, Any]) -> None:
        plain(self, message)

    process = coroutine if kind == "async def" else plain
    made = journal(input_topic=topic, dlq_topic=dlq, max_retries=1, process=process)

    async def test() -> list[Stored]:
        await publish(broker.address, topic, [(b"k", b'{"id": 1}'), (b"k", b'{"id": 2}')])
        async with running(broker.address, made) as task:
            await until(lambda: 2 in made.seen, task)
            return await read(broker.address, dlq, 1)

    (letter,) = run(test())
    assert made.seen == [1, 1, 2]
    assert letter.value == b'{"id": 1}'


def test_stop_iteration_in_a_thread_does_not_hang_its_message(broker: RunningBroker) -> None:
    # A future refuses StopIteration; whoever waits for it waits for ever.
    topic, dlq = broker.make_topic(), broker.make_topic()

    def process(self: Journal, message: dict[str, Any]) -> None:
        raise StopIteration

    made = journal(input_topic=topic, dlq_topic=dlq, max_retries=0, process=process)

    async def test() -> list[Stored]:
        await publish(broker.address, topic, [b"{}"])
        async with running(broker.address, made):
            return await read(broker.address, dlq, 1)

    assert run(test())[0].value == b"{}"


def test_on_error_and_on_success_that_raise_change_nothing(
    broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    async def process(self: Journal, message: dict[str, Any]) -> str:
        if message["bad"]:
            raise ValueError
        return "done"

    async def on_error(self: Journal, message: dict[str, Any], error: Exception) -> None:
        raise RuntimeError("on_error is broken")

    async def on_success(self: Journal, message: dict[str, Any], result: str) -> None:
        raise SystemExit(1)

    made = journal(
        input_topic=topic,
        dlq_topic=dlq,
        max_retries=0,
        process=process,
        on_error=on_error,
        on_success=on_success,
    )

    async def test() -> None:
        await publish(broker.address, topic, [b'{"bad": true}', b'{"bad": false}'])
        async with running(broker.address, made):
            await read(broker.address, dlq, 1)
            await until_committed(broker.address, topic, 2)

    with caplog.at_level(logging.ERROR):
        run(test())
    assert "Made.on_error raised for" in caplog.text
    assert "Made.on_success raised for" in caplog.text
    assert "fate is unchanged" in caplog.text


def test_reject_goes_to_the_dlq_at_once_and_retry_after_sets_the_delay(
    broker: RunningBroker,
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    async def process(self: Journal, message: dict[str, Any], context: Context) -> None:
        self.seen.append((message["id"], context.attempt))
        if message["id"] == "reject":
            raise Reject("no such account")
        if context.attempt == 1:
            raise RetryAfter(0.01)

    made = journal(input_topic=topic, dlq_topic=dlq, process=process, initial_delay=1000.0)

    async def test() -> list[Stored]:
        await publish(broker.address, topic, [b'{"id": "reject"}', b'{"id": "later"}'])
        async with running(broker.address, made) as task:
            await until(lambda: ("later", 2) in made.seen, task)
            return await read(broker.address, dlq, 1)

    (letter,) = run(test())
    assert made.seen.count(("reject", 1)) == 1
    assert letter.facts["core-error-message"] == b"no such account"


def test_a_waiting_retry_blocks_its_own_key_only(kafka_broker: RunningBroker, make_topic: MakeTopic) -> None:
    topic = make_topic()

    async def process(self: Journal, message: dict[str, Any], context: Context) -> None:
        self.seen.append((message["key"], message["n"]))
        if message == {"key": "a", "n": 0} and (context.attempt < 3 or ("b", 2) not in self.seen):
            raise ValueError

    options = {"retry_backoff": "fixed", "initial_delay": 0.1, "max_retries": 1_000}
    made = journal(input_topic=topic, process=process, **options)

    async def test() -> None:
        records = [
            (key.encode(), msgspec.json.encode({"key": key, "n": n})) for n in range(3) for key in "ab"
        ]
        await publish(kafka_broker.address, topic, records)
        async with running(kafka_broker.address, made) as task:
            await until(lambda: ("a", 2) in made.seen, task)

    run(test())
    # a fails until all of b is done: it would never end if b waited for it.
    attempts = made.seen.count(("a", 0))
    assert attempts >= 3
    assert [n for key, n in made.seen if key == "a"] == [*[0] * attempts, 1, 2]
    assert [n for key, n in made.seen if key == "b"] == [0, 1, 2]


def test_a_result_that_cannot_be_encoded_is_a_failure_of_its_message(broker: RunningBroker) -> None:
    topic, out, dlq = (broker.make_topic() for _ in range(3))

    async def process(self: Journal, message: dict[str, Any]) -> object:
        self.seen.append(message)
        return object()

    made = journal(input_topic=topic, output_topic=out, dlq_topic=dlq, process=process)

    async def test() -> Stored:
        await publish(broker.address, topic, [b"{}"])
        async with running(broker.address, made):
            return (await read(broker.address, dlq, 1))[0]

    assert run(test()).facts["core-error-type"] == b"Unencodable"
    assert len(made.seen) == 1


def test_a_result_larger_than_the_broker_takes_goes_to_the_dlq(
    kafka_broker: RunningBroker, make_topic: MakeTopic
) -> None:
    topic, out, dlq = make_topic(), make_topic(), make_topic()

    async def process(self: Journal, message: dict[str, Any]) -> bytes:
        self.seen.append(message)
        return b"x" * 3_000_000

    made = journal(input_topic=topic, output_topic=out, dlq_topic=dlq, process=process)

    async def test() -> Stored:
        await publish(kafka_broker.address, topic, [b"{}"])
        async with running(kafka_broker.address, made):
            letter = (await read(kafka_broker.address, dlq, 1))[0]
            await until_committed(kafka_broker.address, topic, 1)
        return letter

    assert run(test()).facts["core-error-type"] == b"RecordTooLarge"
    assert len(made.seen) == 1


def test_a_one_megabyte_message_is_handled_and_dead_lettered_whole(
    kafka_broker: RunningBroker, make_topic: MakeTopic
) -> None:
    topic, dlq = make_topic(), make_topic()
    big = b'"' + b"x" * 900_000 + b'"'

    async def process(self: Journal, message: bytes) -> None:
        self.seen.append(len(message))
        raise Reject("too big for us")

    made = journal(input_topic=topic, dlq_topic=dlq, process=process)

    async def test() -> Stored:
        await publish(kafka_broker.address, topic, [(b"k", big)])
        async with running(kafka_broker.address, made):
            return (await read(kafka_broker.address, dlq, 1))[0]

    assert run(test()).value == big
    assert made.seen == [len(big)]


def test_without_a_dlq_an_exhausted_message_is_one_error_line_and_the_next_one_runs(
    broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    topic = broker.make_topic()

    async def process(self: Journal, message: dict[str, Any]) -> None:
        self.seen.append(message["id"])
        if message["id"] == 1:
            raise ValueError("boom")

    made = journal(input_topic=topic, process=process, max_retries=0)

    async def test() -> None:
        await publish(broker.address, topic, [(b"k", b'{"id": 1}'), (b"k", b'{"id": 2}')])
        async with running(broker.address, made):
            await until_committed(broker.address, topic, 2)

    with caplog.at_level(logging.ERROR, "core_messaging"):
        run(test())
    assert made.seen == [1, 2]
    (line,) = [r.getMessage() for r in caplog.records if "gave up on" in r.getMessage()]
    assert f"{topic}[" in line
    assert "ValueError: boom" in line


def test_on_exhausted_stop_ends_the_worker_and_commits_nothing_past_the_message(
    broker: RunningBroker,
) -> None:
    topic = broker.make_topic()

    async def process(self: Journal, message: dict[str, Any]) -> None:
        self.seen.append(message["id"])
        raise ValueError("boom")

    made = journal(input_topic=topic, process=process, max_retries=0, on_exhausted="stop")

    async def test() -> dict[int, tuple[int, str]]:
        await publish(broker.address, topic, [(b"k", b'{"id": 1}'), (b"k", b'{"id": 2}')])
        with pytest.raises(RetriesExhausted, match="comes first at the next start"):
            async with running(broker.address, made) as task:
                await until(task.done)
        return await committed(broker.address, topic)

    assert all(offset == 0 for offset, _ in run(test()).values())
    assert made.seen == [1]


def test_an_attempt_that_takes_longer_than_timeout_is_cancelled_and_retried(
    broker: RunningBroker,
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    async def process(self: Journal, message: dict[str, Any], context: Context) -> None:
        self.seen.append(context.deadline is not None)
        await asyncio.Event().wait()

    made = journal(input_topic=topic, dlq_topic=dlq, process=process, timeout=0.05, max_retries=1)

    async def test() -> Stored:
        await publish(broker.address, topic, [b"{}"])
        async with running(broker.address, made):
            return (await read(broker.address, dlq, 1))[0]

    assert run(test()).facts["core-error-type"] == b"AttemptTimeout"
    assert made.seen == [True, True]


def batch_worker(topic: str, dlq: str, process_batch: Any, **options: Any) -> type[Journal]:
    return journal(
        input_topic=topic, dlq_topic=dlq, process_batch=process_batch, batch_timeout=0.2, **options
    )


def test_one_bad_message_of_a_batch_never_takes_the_good_ones_to_the_dlq(
    kafka_broker: RunningBroker, make_topic: MakeTopic
) -> None:
    topic, dlq = make_topic(), make_topic()
    good: list[int] = []

    async def process_batch(self: Journal, messages: list[dict[str, Any]]) -> None:
        if any(message["id"] == 41 for message in messages):
            raise ValueError("boom")
        good.extend(message["id"] for message in messages)

    made = batch_worker(topic, dlq, process_batch, batch_size=100, max_retries=1)

    async def test() -> list[Stored]:
        await publish(kafka_broker.address, topic, [(b"k", b'{"id": %d}' % n) for n in range(100)])
        async with running(kafka_broker.address, made):
            await until_committed(kafka_broker.address, topic, 100)
        return await read(kafka_broker.address, dlq, 1)

    letters = run(test())
    assert [letter.value for letter in letters] == [b'{"id": 41}']
    assert good == [n for n in range(100) if n != 41]


def test_partial_batch_error_fails_only_those_it_names(broker: RunningBroker) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    calls: list[list[int]] = []

    async def process_batch(self: Journal, messages: list[dict[str, Any]]) -> None:
        calls.append([message["id"] for message in messages])
        bad = {i: ValueError("boom") for i, message in enumerate(messages) if message["id"] in (3, 5)}
        if bad:
            raise PartialBatchError(bad)

    made = batch_worker(topic, dlq, process_batch, batch_size=8, max_retries=1)

    async def test() -> list[Stored]:
        await publish(broker.address, topic, [(b"k", b'{"id": %d}' % n) for n in range(8)])
        async with running(broker.address, made):
            letters = await read(broker.address, dlq, 2)
            await until_committed(broker.address, topic, 8)
        return letters

    assert sorted(letter.value or b"" for letter in run(test())) == [b'{"id": 3}', b'{"id": 5}']
    assert calls == [list(range(8)), [3, 5]]


def test_a_batch_with_the_wrong_number_of_results_names_both_lengths(broker: RunningBroker) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    async def process_batch(self: Journal, messages: list[dict[str, Any]]) -> list[int]:
        return [1] * (len(messages) + 1)

    made = batch_worker(topic, dlq, process_batch, batch_size=2, max_retries=0)

    async def test() -> list[Stored]:
        await publish(broker.address, topic, [(b"k", b"{}"), (b"k", b"{}")])
        async with running(broker.address, made):
            return await read(broker.address, dlq, 2)

    for letter in run(test()):
        assert letter.facts["core-error-message"].startswith(
            b"process_batch got 1 message and returned 2 results"
        )


def test_an_undecodable_message_of_a_batch_goes_alone(broker: RunningBroker) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()

    async def process_batch(self: Journal, messages: list[dict[str, Any]]) -> None:
        self.seen.extend(message["id"] for message in messages)

    made = batch_worker(topic, dlq, process_batch, batch_size=3)

    async def test() -> Stored:
        await publish(broker.address, topic, [(b"k", v) for v in (b'{"id": 1}', b"nope", b'{"id": 3}')])
        async with running(broker.address, made) as task:
            await until(lambda: len(made.seen) == 2, task)
            return (await read(broker.address, dlq, 1))[0]

    assert run(test()).value == b"nope"
    assert made.seen == [1, 3]


def test_a_batch_worker_with_only_process_gets_its_messages_together_and_keys_in_order(
    broker: RunningBroker,
) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    together: list[int] = []
    inside = 0

    async def process(self: Journal, message: dict[str, Any], context: Context) -> None:
        nonlocal inside
        inside += 1
        together.append(inside)
        await asyncio.sleep(0.02)
        inside -= 1
        self.seen.append((context.key, message["id"], context.attempt))
        if message["id"] == 0 and context.attempt == 1:
            raise ValueError

    made = journal(
        input_topic=topic, dlq_topic=dlq, process=process, batch_size=20, batch_timeout=0.3, ordering="key"
    )

    async def test() -> None:
        # Keys that Kafka's default partitioner puts into one partition would do; a single key and none do too.
        records = [(b"k", b'{"id": %d}' % n) for n in range(3)]
        await publish(broker.address, topic, records + [(None, b'{"id": 9}')] * 10)
        async with running(broker.address, made) as task:
            await until(lambda: (b"k", 2, 1) in made.seen, task)
            await until_committed(broker.address, topic, 13)

    run(test())
    assert [(n, attempt) for key, n, attempt in made.seen if key == b"k"] == [(0, 1), (0, 2), (1, 1), (2, 1)]
    assert max(together) > 1


def test_topics_of_an_enumeration_are_asked_for_by_their_value(broker: RunningBroker) -> None:
    names = {name: broker.make_topic() for name in ("IN", "OUT", "DLQ")}
    make: Any = enum.Enum
    topics = make("Topics", names, type=str)  # a StrEnum is formatted as its value, this is not

    async def process(self: Journal, message: dict[str, Any]) -> dict[str, Any]:
        if message["id"] == 2:
            raise Reject("no")
        return message

    options: dict[str, Any] = {"output_topic": topics.OUT, "dlq_topic": topics.DLQ, "process": process}
    made = type("Made", (Journal,), {"group_id": topics.IN, "input_topic": [topics.IN], **options})

    async def test() -> list[Stored]:
        await publish(broker.address, topics.IN.value, [(b"k", b'{"id":1}', []), (b"k", b'{"id":2}', [])])
        async with running(broker.address, made):
            found = [await read(broker.address, topic.value, 1) for topic in (topics.OUT, topics.DLQ)]
            await until_committed(broker.address, topics.IN.value, 2)
        return [record for records in found for record in records]

    assert [record.value for record in run(test())] == [b'{"id":1}', b'{"id":2}']
