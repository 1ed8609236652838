"""A send is over when the broker has acknowledged it; from async code, several loops, threads and forks."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core_messaging import get_blocking_producer, get_producer
from core_messaging.blocking_producer import BlockingProducer
from core_messaging.errors import (
    BrokerUnreachable,
    ConfigurationError,
    InvalidRecord,
    KafkaDisabled,
    ManyNotSent,
    PublishFailed,
    RecordRefused,
    Unencodable,
)
from core_messaging.kafka.publisher import KafkaPublisher
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.publishing.outgoing import outgoing
from core_messaging.records import Receipt
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker
from tests.integration.brokers import MakeTopic, RunningBroker
from tests.integration.commands import PATIENCE, environment
from tests.integration.harness import read, run, settings_for, until


class Struct(msgspec.Struct):
    id: int


@dataclasses.dataclass
class Data:
    id: int


class Model(pydantic.BaseModel):
    id: int


def test_send_returns_where_the_message_is_stored(kafka_broker: RunningBroker, make_topic: MakeTopic) -> None:
    topic = make_topic()

    async def test() -> tuple[list[Receipt], list[Any]]:
        async with get_producer("kafka", settings=settings_for(kafka_broker.address)) as producer:
            receipts = [await producer.send(topic=topic, message={"n": n}, key="task-123") for n in range(3)]
        return receipts, await read(kafka_broker.address, topic, 3)

    receipts, stored = run(test())
    assert [(r.topic, r.offset) for r in receipts] == [(topic, 0), (topic, 1), (topic, 2)]
    assert [(s.key, s.value, s.partition) for s in stored] == [
        (b"task-123", b'{"n":%d}' % n, receipts[0].partition) for n in range(3)
    ]


def test_every_kind_of_message_headers_partition_and_timestamp(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    headers: dict[str, str | bytes] = {"a": "text", "b": b"\xff"}
    messages = [{"id": 1}, Struct(1), Data(1), Model(id=1), [1], "text", b"\xff", None]

    async def test() -> list[Any]:
        async with get_producer("kafka", settings=settings_for(broker.address)) as producer:
            for message in messages:
                when = datetime(2026, 1, 2, tzinfo=UTC)
                await producer.send(
                    topic=topic, message=message, partition=2, headers=headers, timestamp=when, key=b"k"
                )
        return await read(broker.address, topic, len(messages))

    stored = run(test())
    one = b'{"id":1}'
    assert [s.value for s in stored] == [one, one, one, one, b"[1]", b"text", b"\xff", None]
    assert {s.partition for s in stored} == {2}
    assert {s.headers for s in stored} == {(("a", b"text"), ("b", b"\xff"))}


def test_a_tombstone_without_a_key_can_be_sent(broker: RunningBroker) -> None:
    # The client library itself refuses it; what is in a topic must be publishable again.
    topic = broker.make_topic()

    async def test() -> list[Any]:
        async with get_producer("kafka", settings=settings_for(broker.address)) as producer:
            await producer.send(topic=topic, message=None)
        return await read(broker.address, topic, 1)

    assert [(s.key, s.value) for s in run(test())] == [(None, None)]


def starts_of_publishers(monkeypatch: pytest.MonkeyPatch) -> list[KafkaPublisher]:
    """Those that have been started from now on; each is a connection of its own."""
    starts = list[KafkaPublisher]()
    start = KafkaPublisher.start

    async def counted(self: KafkaPublisher) -> None:
        starts.append(self)
        await start(self)

    monkeypatch.setattr(KafkaPublisher, "start", counted)
    return starts


def test_a_hundred_first_sends_share_one_connection(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, starts = broker.make_topic(), starts_of_publishers(monkeypatch)

    async def test() -> list[Receipt]:
        settings = settings_for(broker.address)
        async with get_producer("kafka", settings=settings) as producer:
            assert get_producer("kafka", settings=settings) is producer
            sends = (producer.send(topic=topic, message={"n": n}, partition=0) for n in range(100))
            return await asyncio.gather(*sends)

    assert sorted(receipt.offset for receipt in run(test())) == list(range(100))
    assert len(starts) == 1


def test_a_hundred_who_send_one_after_the_other_share_their_requests(
    broker: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    # Batches were closed before the broker was free for them: half of the hundred in one request, half in the next.
    topic = broker.make_topic(4)
    rounds = 20

    async def test() -> None:
        async with get_producer("kafka", settings=settings_for(broker.address)) as producer:

            async def sender(number: int) -> None:
                for _ in range(rounds):
                    await producer.send(topic=topic, message={"n": number}, key=f"k{number}")

            tasks = [asyncio.create_task(sender(0))]
            while not any("ProduceRequest" in entry.getMessage() for entry in caplog.records):  # noqa: ASYNC110
                await asyncio.sleep(0)
            # The first is on its way alone: whether the others catch up with it is the question.
            await asyncio.gather(*tasks, *(sender(number) for number in range(1, 100)))

    with caplog.at_level(logging.DEBUG, logger="aiokafka.conn"):
        run(test())
    told = [entry.getMessage() for entry in caplog.records]
    requests = sum(line.startswith("Request to") and "ProduceRequest" in line for line in told)
    caplog.clear()  # nobody wants to read them
    assert rounds <= requests < 1.5 * rounds


def test_send_many_keeps_the_order_and_takes_more_than_fits_at_once(broker: RunningBroker) -> None:
    topic = broker.make_topic()

    async def test() -> tuple[list[Receipt], list[Any]]:
        async with get_producer("kafka", settings=settings_for(broker.address)) as producer:
            receipts = await producer.send_many(
                topic=topic, messages=({"n": n, "k": n % 7} for n in range(2_500)), key=lambda m: str(m["k"])
            )
        return receipts, await read(broker.address, topic, 2_500)

    receipts, stored = run(test())
    assert len(receipts) == 2_500
    for key in range(7):
        numbers = [msgspec.json.decode(s.value or b"")["n"] for s in stored if s.key == str(key).encode()]
        assert numbers == list(range(key, 2_500, 7))


def test_send_many_says_what_is_stored_and_what_is_not(broker: RunningBroker) -> None:
    topic = broker.make_topic()

    async def test() -> None:
        async with get_producer("kafka", settings=settings_for(broker.address)) as producer:
            await producer.send_many(topic=topic, messages=["a", "b", "x" * 2_000_000, "d"])

    with pytest.raises(ManyNotSent) as caught:
        run(test())
    assert len(caught.value.receipts) == 2
    assert list(caught.value.failures) == [2]
    assert "3 messages were tried, 2 stored and 1 not" in str(caught.value)


def test_send_many_says_how_far_it_came_where_the_broker_refuses(apache_broker: RunningBroker) -> None:
    # It said that those after the refused one were not tried. They were stored, and whoever went on there sent them twice.
    topic = apache_broker.make_topic(1, {"max.message.bytes": "10000"})

    async def test() -> list[bytes | None]:
        async with get_producer("kafka", settings=settings_for(apache_broker.address)) as producer:
            with pytest.raises(ManyNotSent, match="4 messages were tried, 3 stored and 1 not") as caught:
                await producer.send_many(topic=topic, messages=["a", "x" * 50_000, "c", "d"])
        assert (len(caught.value.receipts), list(caught.value.failures), caught.value.tried) == (3, [1], 4)
        return [stored.value for stored in await read(apache_broker.address, topic, 3)]

    assert run(test()) == [b"a", b"c", b"d"]


def test_what_cannot_be_sent_is_told_before_or_by_the_broker(broker: RunningBroker) -> None:
    topic = broker.make_topic()

    async def send(message: Any, **fields: Any) -> None:
        async with get_producer("kafka", settings=settings_for(broker.address)) as producer:
            await producer.send(topic=topic, message=message, **fields)

    with pytest.raises(RecordRefused, match="make it smaller"):
        run(send("x" * 2_000_000))
    with pytest.raises(Unencodable, match="object"):
        run(send(object()))
    with pytest.raises(ConfigurationError, match="no time zone"):
        run(send("x", timestamp=datetime(2026, 1, 1)))  # noqa: DTZ001 - the point


def test_each_event_loop_has_a_producer_of_its_own(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    settings = settings_for(broker.address)

    async def send(n: int) -> int:
        async with get_producer("kafka", settings=settings) as producer:
            await producer.send(topic=topic, message={"n": n}, partition=0)
            return id(producer)

    with ThreadPoolExecutor(4) as pool:
        barrier = threading.Barrier(4)
        list(pool.map(lambda n: (barrier.wait(), asyncio.run(send(n))), range(4)))
    assert len(run(read(broker.address, topic, 4))) == 4


def test_the_blocking_twin_serves_many_threads(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    with get_blocking_producer("kafka", settings=settings_for(broker.address)) as producer:
        with ThreadPoolExecutor(8) as pool:
            receipts = list(
                pool.map(lambda n: producer.send(topic=topic, message={"n": n}, partition=1), range(200))
            )
        many = producer.send_many(topic=topic, messages=["a", "b"])
    assert sorted(receipt.offset for receipt in receipts) == list(range(200))
    assert len(many) == 2


def connected(producer: BlockingProducer, topic: str) -> None:
    """Send a first message, however often it takes: on a busy machine a short time to connect is not enough at once."""
    for _ in range(60):
        with suppress(BrokerUnreachable, PublishFailed):
            producer.send(topic=topic, message="first")
            return
    raise AssertionError("the broker was never reached")


def test_the_blocking_twin_takes_the_time_that_many_messages_need(broker: RunningBroker) -> None:
    # All of them together had the time of one; what was stored by then was stored again by whoever tried again.
    topic = broker.make_topic()
    settings = settings_for(broker.address, kafka_start_timeout=0.5, kafka_request_timeout=1.0)

    def slowly() -> Iterator[str]:
        for number in range(20):
            time.sleep(0.1)
            yield str(number)

    with get_blocking_producer("kafka", settings=settings) as producer:
        connected(producer, topic)
        assert len(producer.send_many(topic=topic, messages=slowly())) == 20


def test_threads_that_use_the_blocking_twin_first_get_one_thread_for_all(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second one found a new process, forgot what the first had just made, and left it without an owner.
    topic, first_uses, both = broker.make_topic(), list[int](), threading.Barrier(2)
    before = [each for each in threading.enumerate() if each.name == "core-blocking-producer"]
    forked = BlockingProducer._start_in_this_process

    def meeting_the_other(self: BlockingProducer) -> None:
        first_uses.append(1)
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        forked(self)

    monkeypatch.setattr(BlockingProducer, "_start_in_this_process", meeting_the_other)
    with get_blocking_producer("kafka", settings=settings_for(broker.address)) as producer:
        with ThreadPoolExecutor(2) as pool:
            receipts = list(pool.map(lambda n: producer.send(topic=topic, message=n), range(2)))
        mine = [each for each in threading.enumerate() if each.name == "core-blocking-producer"]
    assert len(receipts) == 2
    assert (len(first_uses), len(mine) - len(before)) == (1, 1)


def test_the_blocking_twin_refuses_to_block_an_event_loop(broker: RunningBroker) -> None:
    producer = get_blocking_producer("kafka", settings=settings_for(broker.address))

    async def view() -> None:
        producer.send(topic="t", message={})

    with pytest.raises(ConfigurationError, match=r"await get_producer\(...\).send"):
        asyncio.run(view())


def script(
    folder: Path, source: str, broker: RunningBroker, *options: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(source)],
        cwd=folder,
        env=environment(KAFKA_BOOTSTRAP_SERVERS=broker.address, PYTHONWARNINGS="default"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_forked_child_sends_by_a_connection_of_its_own(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    found = script(
        tmp_path,
        f"""
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns about fork with threads
        from core_messaging import get_blocking_producer
        producer = get_blocking_producer("kafka")
        producer.send(topic={topic!r}, message="parent", partition=0)
        child = os.fork()
        producer.send(topic={topic!r}, message="child" if child == 0 else "parent", partition=0)
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        broker,
    )
    assert (found.returncode, found.stdout.split()) == (0, ["0"]), found.stderr
    assert sorted(s.value or b"" for s in run(read(broker.address, topic, 3))) == [
        b"child",
        b"parent",
        b"parent",
    ]


def test_a_script_that_forgets_to_close_the_blocking_twin_loses_nothing(
    broker: RunningBroker, tmp_path: Path
) -> None:
    topic = broker.make_topic()
    source = f"""
    from core_messaging import get_blocking_producer
    get_blocking_producer("kafka").send(topic={topic!r}, message="x")
    """
    found = script(tmp_path, source, broker)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_forgotten_producer_is_named_with_its_place(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    (tmp_path / "shop.py").write_text(
        textwrap.dedent(
            f"""
            import asyncio
            from core_messaging import get_producer

            async def main():
                await get_producer("kafka").send(topic={topic!r}, message="x")

            asyncio.run(main())
            """
        )
    )
    found = script(tmp_path, "import shop", broker)
    assert "ResourceWarning: the producer made at" in found.stderr
    assert "shop.py:6 was never closed" in found.stderr


def test_a_producer_made_at_the_top_of_a_module_is_of_each_loop_that_sends(
    broker: RunningBroker, tmp_path: Path
) -> None:
    # "No event loop is running", said the first line of a script that did nothing unusual.
    topic = broker.make_topic()
    source = f"""
    import asyncio
    from core_messaging import get_producer

    producer = get_producer("kafka")

    async def main(number):
        assert get_producer("kafka") is get_producer("kafka")
        async with producer:
            await producer.send(topic={topic!r}, message=number, partition=0)
            await get_producer("kafka").send(topic={topic!r}, message=number, partition=0)
            await producer.send_many(topic={topic!r}, messages=[number])

    asyncio.run(main(1))
    asyncio.run(main(2))
    """
    found = script(tmp_path, source, broker)
    assert (found.returncode, found.stderr) == (0, "")
    assert sorted(s.value or b"" for s in run(read(broker.address, topic, 6))) == [b"1"] * 3 + [b"2"] * 3


def test_what_a_module_and_a_coroutine_send_goes_by_one_connection_a_loop(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, starts = broker.make_topic(), starts_of_publishers(monkeypatch)
    settings = settings_for(broker.address)
    loose = get_producer("kafka", settings=settings)
    assert starts == []

    async def test() -> None:
        async with get_producer("kafka", settings=settings) as producer:
            await producer.send(topic=topic, message="x")
            await loose.send(topic=topic, message="x")

    for connected in (1, 2):
        run(test())
        assert len(starts) == connected


def test_a_closed_producer_connects_anew_and_closing_twice_is_fine(broker: RunningBroker) -> None:
    topic = broker.make_topic()

    async def test() -> None:
        producer = get_producer("kafka", settings=settings_for(broker.address))
        for _ in range(2):
            await producer.send(topic=topic, message="x")
            await producer.close()
            await producer.close()

    run(test())
    gc.collect()


def test_kafka_disabled_unknown_kinds_and_no_broker_are_told() -> None:
    async def send(settings: Settings) -> None:
        await get_producer("kafka", settings=settings).send(topic="t", message="x")

    with pytest.raises(KafkaDisabled, match="kafka_enabled"):
        run(send(Settings(kafka_enabled=False)))
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1"):
        run(send(Settings(kafka_bootstrap_servers="127.0.0.1:1", kafka_start_timeout=0.5)))
    with pytest.raises(ConfigurationError, match="no producer of kind 'redis'"):
        get_blocking_producer("redis")
    with pytest.raises(ConfigurationError, match="no producer of kind 'redis'"):
        get_producer("redis")


def test_secrets_are_not_in_what_is_printed() -> None:
    settings = Settings(kafka_sasl_password="hunter2")  # type: ignore[arg-type] # noqa: S106 - pydantic makes the SecretStr
    producer = get_blocking_producer("kafka", settings=settings)
    assert "hunter2" not in repr(producer)


def test_who_leaves_its_block_gives_the_producer_back_and_closes_it_under_nobody(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is one a loop: whoever left its block failed the sends of all others.
    topic, starts = broker.make_topic(), starts_of_publishers(monkeypatch)
    settings = settings_for(broker.address)

    async def handler(number: int) -> None:
        async with get_producer("kafka", settings=settings) as producer:
            for _ in range(3):
                await producer.send(topic=topic, message=number, partition=0)
                await asyncio.sleep(0.001 * (number % 7))

    async def test() -> None:
        await asyncio.gather(*(handler(number) for number in range(100)))

    run(test())
    assert len(starts) == 1
    assert len(run(read(broker.address, topic, 300))) == 300


def test_who_closes_it_lets_the_others_have_their_answers(broker: RunningBroker) -> None:
    topic = broker.make_topic()
    settings = settings_for(broker.address)

    async def handler(number: int) -> None:
        producer = get_producer("kafka", settings=settings)
        for _ in range(3):
            await producer.send(topic=topic, message=number, partition=0)
        await producer.close()

    async def test() -> None:
        await asyncio.gather(*(handler(number) for number in range(20)))

    run(test())
    assert len(run(read(broker.address, topic, 60))) == 60


@pytest.mark.parametrize("closing", [True, False])
def test_the_blocking_twin_is_closed_under_no_thread_either(broker: RunningBroker, *, closing: bool) -> None:
    topic = broker.make_topic()
    settings = settings_for(broker.address)

    def view(number: int) -> None:
        with get_blocking_producer("kafka", settings=settings) as producer:
            for _ in range(3):
                producer.send(topic=topic, message=number, partition=0)
            producer.send_many(topic=topic, messages=[number])
        if closing:
            producer.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(view, range(24)))
    get_blocking_producer("kafka", settings=settings).close()
    assert len(run(read(broker.address, topic, 96))) == 96


class Sends(Worker):
    """Sends with the producer that all share, again and again."""

    input_topic = "in"
    sent: int
    topic: str
    settings: Settings

    async def process(self, message: int) -> None:
        async with get_producer("kafka", settings=self.settings) as producer:
            for _ in range(50):
                await producer.send(topic=self.topic, message=message)
                type(self).sent += 1


class Beside(Worker):
    """Ends while the other one sends."""

    input_topic = "in"
    group_id = "beside"

    async def process(self, message: int) -> None: ...


def test_a_run_that_ends_closes_no_producer_of_another_one(broker: RunningBroker) -> None:
    Sends.topic, Sends.sent, Sends.settings = broker.make_topic(), 0, settings_for(broker.address)
    memory = MemoryBroker({"in": 1})
    memory.put("in", b"1")

    async def test() -> None:
        options = RunOptions(settings=Settings(), broker=memory, handle_signals=False)
        runs = [asyncio.create_task(run_workers([worker], options)) for worker in (Sends, Beside)]
        await until(lambda: Sends.sent)
        runs[1].cancel()
        await asyncio.wait(runs[1:])
        await until(lambda: Sends.sent == 50, runs[0])
        runs[0].cancel()
        await asyncio.wait(runs)

    run(test())
    assert len(run(read(broker.address, Sends.topic, 50))) == 50


@pytest.mark.parametrize("ends", ["", "loop.close()", "loop.run_until_complete(loop.shutdown_asyncgens())"])
def test_a_producer_that_nobody_closed_says_nothing_in_the_words_of_the_client(
    broker: RunningBroker, tmp_path: Path, ends: str
) -> None:
    topic = broker.make_topic()
    source = f"""
    import asyncio
    from core_messaging import get_producer

    async def main():
        await get_producer("kafka").send(topic={topic!r}, message="x")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    {ends}
    """
    found = script(tmp_path, source, broker)
    assert "Unclosed AIOKafkaProducer" not in found.stderr
    assert found.returncode == 0


def test_a_block_needs_no_other_end(broker: RunningBroker, tmp_path: Path) -> None:
    topic = broker.make_topic()
    source = f"""
    import asyncio
    from core_messaging import get_producer

    async def main():
        async with get_producer("kafka") as producer:
            await producer.send(topic={topic!r}, message="x")

    asyncio.run(main())
    """
    found = script(tmp_path, source, broker)
    assert (found.returncode, found.stderr) == (0, "")


NOT_TO_BE_SENT: list[dict[str, Any]] = [
    *({"topic": topic} for topic in (None, "", "a b", "t\n", ".", "..", "x" * 250, b"t", 1)),
    *({"key": key} for key in (1, 1.5, ["k"], "\ud800")),
    *({"headers": headers} for headers in (None, "h", {"h": 1}, {1: "h"}, [("h",)], ["ab"], [1], 1)),
    *({"partition": partition} for partition in (-1, "1", True, 1.0, 2**31)),
    *(
        {"timestamp": timestamp}
        for timestamp in (-1, "now", True, 1.5, 2**63, datetime(1960, 1, 1, tzinfo=UTC))
    ),
]


@pytest.mark.parametrize("wrong", NOT_TO_BE_SENT, ids=str)
def test_what_can_be_no_record_is_told_before_anything_is_sent(wrong: dict[str, Any]) -> None:
    # A topic of None made every new topic unknown to the producer; an invalid one took 40 s to "send it again".
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1")  # nobody is asked
    fields: dict[str, Any] = {"topic": "t", "message": "x"} | wrong

    async def send() -> None:
        await get_producer("kafka", settings=settings).send(**fields)

    with pytest.raises(InvalidRecord, match="Nothing was sent"):
        run(send())
    with pytest.raises(InvalidRecord):
        get_blocking_producer("kafka", settings=settings).send(**fields)


@pytest.mark.parametrize("messages", ["abc", b"abc", {"id": 1}])
def test_one_message_is_not_sent_as_many(messages: Any) -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1")  # nobody is asked
    with pytest.raises(InvalidRecord, match=r"write a list of messages.*Nothing was sent"):
        run(get_producer("kafka", settings=settings).send_many(topic="t", messages=messages))
    with pytest.raises(InvalidRecord):
        get_blocking_producer("kafka", settings=settings).send_many(topic="t", messages=messages)


def test_a_topic_that_does_not_exist_is_said_to_be_created_first(apache_broker: RunningBroker) -> None:
    settings = settings_for(apache_broker.address, kafka_request_timeout=1.0)
    topic = f"nobody-made-{time.time_ns()}"  # the broker makes none by itself

    async def send() -> None:
        async with get_producer("kafka", settings=settings) as producer:
            await producer.send(topic=topic, message="x")

    with pytest.raises(PublishFailed, match=f"{topic} .*if there is no such topic, create it first"):
        run(send())


@pytest.mark.parametrize("topic", [None, "", "a b"])
def test_send_many_looks_at_its_topic_before_anything_is_sent(topic: Any) -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1")

    async def send() -> None:
        await get_producer("kafka", settings=settings).send_many(topic=topic, messages=["x"])

    with pytest.raises(InvalidRecord):
        run(send())
    with pytest.raises(InvalidRecord):
        get_blocking_producer("kafka", settings=settings).send_many(topic=topic, messages=["x"])


def test_a_partition_that_there_is_not_and_a_key_that_is_none_are_told_at_once(broker: RunningBroker) -> None:
    topic = broker.make_topic(2)

    async def test() -> None:
        producer = get_producer("kafka", settings=settings_for(broker.address))
        with pytest.raises(RecordRefused, match="partition"):
            async with asyncio.timeout(PATIENCE):
                await producer.send(topic=topic, message="x", partition=2)
        with pytest.raises(ManyNotSent) as caught:
            await producer.send_many(topic=topic, messages=[b"a", 2], key=lambda m: m)
        assert isinstance(caught.value.failures[1], InvalidRecord)
        await producer.send(topic=topic, message="x", partition=1)
        await producer.close()

    run(test())
    assert len(run(read(broker.address, topic, 2))) == 2


class Topic(str, Enum):  # noqa: UP042 - as people have written it for years
    """A topic of an enumeration, whose text is another one."""

    IN = "in"


def test_the_name_of_a_topic_of_an_enumeration_is_its_value() -> None:
    made = outgoing(Topic.IN, "x", bytearray(b"k"), {"h": memoryview(b"v")})
    assert (made.topic, type(made.topic), made.key, made.headers) == ("in", str, b"k", (("h", b"v"),))


@given(st.from_regex(r"\A[a-zA-Z0-9._-]{1,249}\Z").filter(lambda name: name not in (".", "..")))
def test_every_name_that_a_topic_can_have_is_taken(name: str) -> None:
    assert outgoing(name, "x").topic == name


@given(st.text(max_size=300))
def test_no_other_name_is(name: str) -> None:
    assume(not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name) or name in (".", ".."))
    with pytest.raises(InvalidRecord):
        outgoing(name, "x")
