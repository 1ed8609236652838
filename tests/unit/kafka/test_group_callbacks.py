"""What a callback raises is raised by the next fetch, and what moves is known as long as it moves."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from core_messaging.errors import BrokerError
from core_messaging.kafka.group_callbacks import GroupCallbacks, Partitions
from core_messaging.kafka.positions import KafkaPositions
from core_messaging.records import TopicPartition

ONE: Partitions = frozenset({TopicPartition("t", 0)})


def callbacks(callback: Any, forgotten: list[Partitions]) -> GroupCallbacks:
    client = SimpleNamespace(cluster=None)
    return GroupCallbacks(
        client, KafkaPositions(client, "earliest"), callback, callback, callback, forgotten.append
    )


@pytest.mark.parametrize("call", ["on_revoked", "on_lost", "on_assigned"])
def test_an_error_of_a_callback_is_raised_by_the_next_check(call: str) -> None:
    # Nobody waits for the coordinator, and the worker went on without partitions.
    async def broken(_sources: object) -> None:
        raise RuntimeError("boom")

    made = callbacks(broken, [])
    made.check()
    asyncio.run(getattr(made, call)(ONE))
    with pytest.raises(BrokerError, match="a rebalance failed"):
        made.check()
    assert made.moving == set()


def test_an_error_of_the_broker_keeps_its_own_cause() -> None:
    cause = OSError("connection lost")

    async def broken(_sources: object) -> None:
        raise BrokerError("gone") from cause

    made = callbacks(broken, [])
    asyncio.run(made.on_lost(ONE))
    with pytest.raises(BrokerError, match="gone") as caught:
        made.check()
    assert caught.value.__cause__ is cause


def test_a_partition_moves_until_it_is_given_up_or_that_is_cancelled() -> None:
    async def test() -> None:
        never, forgotten = asyncio.Event(), list[Partitions]()

        async def wait(_sources: object) -> None:
            await never.wait()

        made = callbacks(wait, forgotten)
        giving_up = asyncio.create_task(made.on_revoked(ONE))
        await asyncio.sleep(0)
        assert frozenset(made.moving) == ONE
        assert forgotten == [ONE]
        giving_up.cancel()
        await asyncio.wait([giving_up])
        assert giving_up.cancelled()
        assert made.moving == set()
        made.check()

    asyncio.run(test())
