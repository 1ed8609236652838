"""FastStream: one handler call for each message, or for each batch."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from faststream.kafka import KafkaBroker

from benchmarks.contestants.handlers import coroutine, plain
from benchmarks.tally import Tally
from benchmarks.task import Task


async def _serve(broker: KafkaBroker, tally: Tally) -> None:
    async with broker:
        await broker.start()
        await tally.wait()


def _broker(task: Task) -> KafkaBroker:
    return KafkaBroker(task.address, logger=None)


async def single(task: Task, tally: Tally) -> None:
    """One message after the other; the client commits the position at intervals."""
    broker = _broker(task)
    subscriber = broker.subscriber(task.topic, group_id=uuid4().hex, auto_offset_reset="earliest")
    if task.output:
        # This passes the key on and waits for the acknowledgement.
        subscriber(broker.publisher(task.output)(coroutine(task, tally)))
    else:
        subscriber(coroutine(task, tally))
    await _serve(broker, tally)


async def concurrent(task: Task, tally: Tally) -> None:
    """``max_workers``: several messages at once, in no order, acknowledged before they are processed."""
    broker = _broker(task)
    broker.subscriber(task.topic, group_id=uuid4().hex, auto_offset_reset="earliest", max_workers=task.slots)(
        coroutine(task, tally)
    )
    await _serve(broker, tally)


async def threads(task: Task, tally: Tally) -> None:
    """Plain ``def`` handlers under ``max_workers``."""
    broker = _broker(task)
    broker.subscriber(task.topic, group_id=uuid4().hex, auto_offset_reset="earliest", max_workers=task.slots)(
        plain(task, tally)
    )
    await _serve(broker, tally)


async def batches(task: Task, tally: Tally) -> None:
    """``batch=True``: a list of decoded messages for each call."""
    broker = _broker(task)
    size = task.batch or 500

    @broker.subscriber(
        task.topic, group_id=uuid4().hex, auto_offset_reset="earliest", batch=True, max_records=size
    )
    async def handle(messages: list[dict[str, Any]]) -> None:
        tally.begin()
        for message in messages:
            tally.one(message["id"])
        await asyncio.sleep(0)

    await _serve(broker, tally)
