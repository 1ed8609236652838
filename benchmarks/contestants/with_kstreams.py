"""kstreams: a function over consumer records.

No postponed annotations here: kstreams looks at them as they are.
"""

import asyncio
import json
from typing import Any
from uuid import uuid4

from kstreams import ConsumerRecord, GetMany, create_engine
from kstreams.backends.kafka import Kafka

from benchmarks.contestants.handlers import coroutine
from benchmarks.tally import Tally
from benchmarks.task import Task


async def single(task: Task, tally: Tally) -> None:
    """One message after the other; the client commits the position at intervals."""
    await _serve(task, tally)


async def getmany(task: Task, tally: Tally) -> None:
    """``GetMany``: fetched together, with one call for each message."""
    await _serve(task, tally, get_many=GetMany(max_records=500, timeout_ms=1000))


async def _serve(task: Task, tally: Tally, **options: Any) -> None:
    handle = coroutine(task, tally)
    engine = create_engine(title="benchmark", backend=Kafka(bootstrap_servers=[task.address]))

    @engine.stream(task.topic, group_id=uuid4().hex, auto_offset_reset="earliest", **options)
    async def stream(record: ConsumerRecord) -> None:
        result = await handle(json.loads(record.value))
        if task.output:
            await engine.send(task.output, value=json.dumps(result).encode(), key=record.key)

    await engine.start()
    await tally.wait()
    # A stop waits for the task of the stream, which may wait for records that never come.
    try:
        await asyncio.wait_for(engine.stop(), 5)
    except TimeoutError:
        return
