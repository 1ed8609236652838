"""``on_dead_letter = "follow"``: what comes after a dead letter of its key goes after it, on real brokers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core_messaging.rules import blocked_keys
from core_messaging.worker import Worker
from tests.integration.brokers import RunningBroker
from tests.integration.harness import Stored, publish, read, run, running, until, until_committed
from tests.integration.journal import journal

BAD = (2, 13)  # the second one of key-2, and one of key-3


def record(n: int, word: bytes | None = None) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    headers = [] if word is None else [(blocked_keys.HEADER, word)]
    return b"key-%d" % (n % 10), json.dumps({"n": n}).encode(), headers


def following(topic: str, dlq: str) -> type[Worker]:
    async def process(self: Any, message: dict[str, Any]) -> None:
        if message["n"] in self.bad:
            raise ValueError("not this one")
        self.seen.append(message["n"])

    return journal(
        input_topic=topic,
        dlq_topic=dlq,
        process=process,
        max_retries=1,
        concurrency=4,
        on_dead_letter="follow",
        bad=set(BAD),
    )


def numbers(letters: list[Stored]) -> dict[bytes | None, list[int]]:
    found: dict[bytes | None, list[int]] = {}
    for letter in letters:
        assert letter.value is not None
        found.setdefault(letter.key, []).append(json.loads(letter.value)["n"])
    return found


def test_later_messages_of_the_key_follow_in_order_also_after_a_restart_and_until_it_is_replayed(
    apache_broker: RunningBroker,
) -> None:
    broker = apache_broker  # the next member knows by what travels with the commit
    topic, dlq = broker.make_topic(), broker.make_topic()
    made: Any = following(topic, dlq)

    async def test() -> list[Stored]:
        await publish(broker.address, topic, [record(n) for n in range(30)])
        async with running(broker.address, made):
            await until_committed(broker.address, topic, 30)
        await publish(broker.address, topic, [record(n) for n in range(30, 40)])
        async with running(broker.address, made):  # another member, another life: the commit has told it
            await until_committed(broker.address, topic, 40)
            letters = await read(broker.address, dlq, 7)
            made.bad.clear()
            again = [record(2, blocked_keys.REPLAY), record(12), record(43, blocked_keys.CLEAR), record(53)]
            await publish(broker.address, topic, again)
            await until_committed(broker.address, topic, 44)
        return letters

    letters = run(test())
    assert numbers(letters) == {b"key-2": [2, 12, 22, 32], b"key-3": [13, 23, 33]}
    types = [letter.facts["core-error-type"] for letter in letters if letter.key == b"key-2"]
    assert types == [b"ValueError"] + [b"FollowsADeadLetter"] * 3
    # 43 only lifts the block; it is not processed.
    good = [n for n in range(40) if n % 10 not in (2, 3)] + [3]
    assert sorted(made.seen) == sorted([*good, 2, 12, 53])
    assert [n for n in made.seen if n % 10 == 2] == [2, 12]


def test_a_key_that_fails_waits_where_no_more_keys_can_be_remembered(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(blocked_keys, "MOST", 1)
    monkeypatch.setattr("core_messaging.engine.key_blocker.AGAIN", 0.05)
    topic, dlq = broker.make_topic(partitions=1), broker.make_topic()
    made: Any = following(topic, dlq)

    async def test() -> list[Stored]:
        await publish(broker.address, topic, [record(n) for n in range(20)])
        async with running(broker.address, made) as task:
            await until(lambda: len(made.seen) == 17, task)  # all but 2, 12 and 13
            first = await read(broker.address, dlq, 2)
            await publish(broker.address, topic, [record(22, blocked_keys.CLEAR)])
            await until_committed(broker.address, topic, 21)
            assert numbers(first) == {b"key-2": [2, 12]}
            return await read(broker.address, dlq, 3)

    assert numbers(run(test()))[b"key-3"] == [13]
    assert "no more can be remembered" in caplog.text


def test_what_cannot_be_decoded_blocks_its_key_too(broker: RunningBroker) -> None:
    topic, dlq = broker.make_topic(), broker.make_topic()
    made: Any = following(topic, dlq)

    async def test() -> list[Stored]:
        await publish(
            broker.address, topic, [(b"key-5", b"not JSON"), record(5), (None, b"not JSON"), record(6)]
        )
        async with running(broker.address, made):
            await until_committed(broker.address, topic, 4)
            return await read(broker.address, dlq, 3)

    letters = run(test())
    assert [letter.value for letter in letters if letter.key == b"key-5"] == [b"not JSON", record(5)[1]]
    assert made.seen == [6]
