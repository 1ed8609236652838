"""faust-streaming: agents over streams, on aiokafka."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from uuid import uuid4

import faust

from benchmarks.contestants.handlers import coroutine
from benchmarks.tally import Tally
from benchmarks.task import Task


def _app(task: Task, folder: str) -> faust.App:
    return faust.App(
        uuid4().hex,
        broker=f"kafka://{task.address}",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        stream_wait_empty=False,
        loop=asyncio.get_running_loop(),
    )


async def _serve(app: faust.App, tally: Tally) -> None:
    logging.getLogger("faust").setLevel(logging.CRITICAL)
    app.finalize()
    await app.start()
    await tally.wait()
    # Its shutdown may wait for fetches, but the round is over.
    try:
        await asyncio.wait_for(app.stop(), 5)
    except TimeoutError:
        return


async def single(task: Task, tally: Tally) -> None:
    """One agent, one message after the other; offsets are committed up to what was acknowledged."""
    handle = coroutine(task, tally)
    with tempfile.TemporaryDirectory() as folder:
        app = _app(task, folder)
        results = app.topic(task.output, value_serializer="json") if task.output else None

        async def agent(stream: faust.Stream) -> None:
            async for key, message in stream.items():
                result = await handle(message)
                if results is not None:
                    await results.send(key=key, value=result)

        app.agent(app.topic(task.topic, value_serializer="json", key_serializer="raw"))(agent)
        await _serve(app, tally)


async def concurrent(task: Task, tally: Tally) -> None:
    """``concurrency=``: several actors of one agent, in no order."""
    handle = coroutine(task, tally)
    with tempfile.TemporaryDirectory() as folder:
        app = _app(task, folder)

        async def agent(stream: faust.Stream) -> None:
            async for message in stream:
                await handle(message)

        topic = app.topic(task.topic, value_serializer="json", key_serializer="raw")
        app.agent(topic, concurrency=task.slots)(agent)
        await _serve(app, tally)


async def batches(task: Task, tally: Tally) -> None:
    """``stream.take``."""
    with tempfile.TemporaryDirectory() as folder:
        app = _app(task, folder)

        async def agent(stream: faust.Stream) -> None:
            async for messages in stream.take(task.batch, within=0.05):
                tally.begin()
                for message in messages:
                    tally.one(message["id"])

        app.agent(app.topic(task.topic, value_serializer="json", key_serializer="raw"))(agent)
        await _serve(app, tally)
