"""confluent-kafka: librdkafka by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, Message, Producer

from benchmarks.contestants.handlers import plain
from benchmarks.load import body, key
from benchmarks.tally import Tally
from benchmarks.task import Task


def _fetched(task: Task, tally: Tally, size: int) -> Iterator[list[Message]]:
    consumer = Consumer(
        {
            "bootstrap.servers": task.address,
            "group.id": uuid4().hex,
            "auto.offset.reset": "earliest",
            "auto.commit.interval.ms": 1000,
        }
    )
    consumer.subscribe([task.topic])
    try:
        while not tally.complete.is_set():
            yield consumer.consume(size, 1.0)
    finally:
        consumer.close()


def consume(task: Task, tally: Tally) -> None:
    """``consume`` of 500, json.loads and one plain call for each message."""
    handle = plain(task, tally)
    for messages in _fetched(task, tally, 500):
        for message in messages:
            handle(json.loads(message.value() or b""))


def batches(task: Task, tally: Tally) -> None:
    """``consume`` of a batch, decoded and given to one call."""
    handle: Callable[[list[Any]], None] = _counting(tally)
    for messages in _fetched(task, tally, task.batch):
        handle([json.loads(message.value() or b"") for message in messages])


def _counting(tally: Tally) -> Callable[[list[Any]], None]:
    def handle(messages: list[Any]) -> None:
        tally.begin()
        for message in messages:
            tally.one(message["id"])

    return handle


def threads(task: Task, tally: Tally) -> None:
    """``consume`` of one message for each thread; the next call follows the slowest."""
    handle = plain(task, tally)
    with ThreadPoolExecutor(task.slots) as pool:
        for messages in _fetched(task, tally, task.slots):
            list(pool.map(lambda message: handle(json.loads(message.value() or b"")), messages))


def passing_on(task: Task, tally: Tally) -> None:
    """``consume``, ``produce``, and one ``flush`` for each fetch."""
    handle = plain(task, tally)
    producer = Producer({"bootstrap.servers": task.address, "enable.idempotence": True})
    for messages in _fetched(task, tally, 500):
        for message in messages:
            result = handle(json.loads(message.value() or b""))
            producer.produce(task.output, json.dumps(result).encode(), message.key())
        producer.flush()


def send_batched(task: Task, tally: Tally) -> None:
    """``produce`` and one ``flush``."""
    producer = Producer(
        {
            "bootstrap.servers": task.address,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    tally.begin()
    for number in range(task.count):
        producer.produce(task.output, body(number), key(number))
        producer.poll(0)
    producer.flush()
    for number in range(task.count):
        tally.one(number)
    tally.complete.wait()
