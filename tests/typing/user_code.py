"""What users write, in the forms that the docs show. The type checkers read it; nothing runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, assert_type

import msgspec

from core_messaging import (
    Context,
    PartialBatchError,
    Reject,
    RetryAfter,
    RetryPolicy,
    Worker,
    get_producer,
    get_worker,
    hookimpl,
    list_workers,
    run_worker,
    worker,
)
from core_messaging.config import WorkerConfig
from core_messaging.errors import CoreMessagingError
from core_messaging.records import Receipt
from core_messaging.snapshot import Snapshot
from core_messaging.testing import BackgroundWorkbench, MakeWorkbench, Outcome, run


class Order(msgspec.Struct):
    id: int
    address: str


@dataclass
class Receipted:
    id: int


class ShipOrders(Worker):
    input_topic = "orders"
    output_topic = "shipped"
    dlq_topic = "orders-dlq"
    concurrency = 4
    max_retries = 5
    retry_backoff = RetryPolicy(backoff="exponential", initial_delay=0.5, max_delay=60.0)

    def __init__(self) -> None:
        self.shipped = 0

    async def setup(self) -> None:
        self.shipped = 0

    async def process(self, message: Order, context: Context) -> Receipted:
        if not message.address:
            raise Reject("no address")
        if context.attempt == 1:
            raise RetryAfter(1.0)
        self.shipped += 1
        return Receipted(message.id)

    async def on_success(self, message: Order, result: Receipted) -> None:
        assert_type(result.id, int)

    async def on_error(self, message: Order, error: Exception) -> None:
        assert_type(error, Exception)


class Plain(Worker):
    input_topic = ["a", "b"]  # noqa: RUF012 - as the docs have it

    def process(self, message: dict[str, Any]) -> None:
        assert_type(message, dict[str, Any])


class InBatches(Worker):
    input_topic = "events"
    batch_size = 100
    batch_timeout = 10.0

    async def process_batch(self, messages: list[Order]) -> list[int]:
        failed: dict[int, Exception] = {0: ValueError("no")}
        if not messages:
            raise PartialBatchError(failed)
        return [message.id for message in messages]


@worker(topic="orders", output_topic="order-results", group_id="order-processor")
async def process_order(message: Order) -> Receipted:
    return Receipted(message.id)


@worker(topic="plain", max_retries=5, retry_backoff="fixed")
def handle(message: dict[str, Any], context: Context) -> str:
    return context.topic


# The decorator keeps the signature.
kept: Callable[[Order], Awaitable[Receipted]] = process_order
kept_too: Callable[[dict[str, Any], Context], str] = handle


async def publish() -> None:
    receipt = await get_producer("kafka").send(topic="tasks", message={"id": 1}, key="task-1")
    assert_type(receipt, Receipt)
    assert_type(receipt.offset, int)


async def from_a_program() -> None:
    await run_worker(ShipOrders)
    await run_worker(process_order)
    assert_type(list_workers(), list[str])
    assert_type(get_worker("ShipOrders"), WorkerConfig)


class Plugin:
    @hookimpl
    async def on_dead_letter(self, error: Exception, context: Context, topic: str) -> None:
        raise CoreMessagingError(topic)

    @hookimpl
    def metrics(self, snapshot: Snapshot) -> None:
        for each in snapshot.workers:
            assert_type(each.name, str)


def test_a_worker(core_workbench: MakeWorkbench) -> None:
    bench = core_workbench(ShipOrders)
    assert_type(bench, BackgroundWorkbench)
    assert_type(run(ShipOrders, [{"id": 1, "address": "x"}]), Outcome)
