"""arroyo: a chain of processing strategies over librdkafka, as Sentry runs it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from arroyo import Partition, Topic
from arroyo.backends.kafka import KafkaConsumer, KafkaPayload, KafkaProducer
from arroyo.backends.kafka.configuration import build_kafka_consumer_configuration
from arroyo.processing import StreamProcessor
from arroyo.processing.strategies import (
    BatchStep,
    CommitOffsets,
    ProcessingStrategy,
    ProcessingStrategyFactory,
    Produce,
    RunTask,
    RunTaskInThreads,
)
from arroyo.types import Commit, Message

from benchmarks.contestants.handlers import plain
from benchmarks.tally import Tally
from benchmarks.task import Task

Steps = Callable[[Any], ProcessingStrategy[Any]]


class _Factory(ProcessingStrategyFactory[KafkaPayload]):
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def create_with_partitions(
        self, commit: Commit, partitions: Mapping[Partition, int]
    ) -> ProcessingStrategy[KafkaPayload]:
        return self._steps(CommitOffsets(commit))


def _run(task: Task, tally: Tally, steps: Steps) -> None:
    logging.getLogger("arroyo").setLevel(logging.ERROR)
    consumer = KafkaConsumer(
        build_kafka_consumer_configuration(
            {}, group_id=uuid4().hex, auto_offset_reset="earliest", bootstrap_servers=[task.address]
        )
    )
    processor = StreamProcessor(consumer=consumer, topic=Topic(task.topic), processor_factory=_Factory(steps))

    def stop() -> None:
        tally.complete.wait()
        processor.signal_shutdown()

    threading.Thread(target=stop, daemon=True).start()
    processor.run()


def single(task: Task, tally: Tally) -> None:
    """``RunTask``: one after the other, offsets committed once a second (at least once)."""
    handle = plain(task, tally)
    if task.output:
        _passing_on(task, tally, handle)
        return

    def run(message: Message[KafkaPayload]) -> None:
        handle(json.loads(message.payload.value))

    _run(task, tally, lambda commits: RunTask(run, commits))


def _passing_on(task: Task, tally: Tally, handle: Callable[[Any], Any]) -> None:
    producer = KafkaProducer({"bootstrap.servers": task.address, "enable.idempotence": True, "linger.ms": 5})

    def run(message: Message[KafkaPayload]) -> KafkaPayload:
        result = handle(json.loads(message.payload.value))
        return KafkaPayload(message.payload.key, json.dumps(result).encode(), [])

    def steps(commits: Any) -> ProcessingStrategy[Any]:
        return RunTask(run, Produce(producer, Topic(task.output), commits))

    _run(task, tally, steps)
    producer.close().result(10)


def threads(task: Task, tally: Tally) -> None:
    """``RunTaskInThreads``: threads without order while they run, committed in order."""
    handle = plain(task, tally)

    def run(message: Message[KafkaPayload]) -> None:
        handle(json.loads(message.payload.value))

    _run(
        task,
        tally,
        lambda commits: RunTaskInThreads(
            run, concurrency=task.slots, max_pending_futures=2 * task.slots, next_step=commits
        ),
    )


def batches(task: Task, tally: Tally) -> None:
    """``BatchStep`` and one call for each batch."""

    def run(message: Message[Any]) -> None:
        tally.begin()
        for value in message.payload:
            tally.one(json.loads(value.payload.value)["id"])

    _run(task, tally, lambda commits: BatchStep(task.batch, 0.05, RunTask(run, commits)))
