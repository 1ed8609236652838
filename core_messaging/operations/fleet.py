"""See the fleet, and pause and resume its workers: through the control topic and the state topic."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from core_messaging.errors import ConfigurationError, UnknownProcess
from core_messaging.kafka.publisher import KafkaPublisher
from core_messaging.kafka.topic_reader import TopicReader, reading_topics
from core_messaging.operations.topic_tail import TopicTail
from core_messaging.records import Outgoing, Receipt
from core_messaging.rules.fleet_state import (
    REMEMBERED,
    FleetTable,
    ProcessState,
    SilentProcess,
    processes_named,
    state_topic_of,
    with_group,
)
from core_messaging.rules.pauses import Pause, PauseTable, PauseTarget, encode_pause, encode_target
from core_messaging.settings import Settings

OBEYED = 5.0  # seconds that processes have to say that they obey
LOOK = 0.3  # seconds between two looks at the state topic


@dataclass(frozen=True, slots=True)
class Fleet:
    """``silent``: processes that may be dead. ``pauses``: what is paused now.

    ``unreadable``: records of the state topic that say nothing.
    """

    processes: tuple[ProcessState, ...]
    silent: tuple[SilentProcess, ...]
    pauses: dict[PauseTarget, Pause]
    unreadable: int


@dataclass(frozen=True, slots=True)
class Obedience:
    """Which of the processes that run the group have taken the order in, and which had not said so in time."""

    obeyed: tuple[ProcessState, ...]
    silent: tuple[ProcessState, ...]


async def look_at_fleet(settings: Settings) -> Fleet:
    """Read both topics to their end. Raises ConfigurationError without a control topic; TopicMissing, BrokerError."""
    async with aclosing(watch_fleet(settings)) as looks:
        return await anext(looks)


async def watch_fleet(settings: Settings) -> AsyncGenerator[Fleet]:
    """Read both topics to their end, and with each further step what has come since. Raises what ``look_at_fleet`` raises."""
    control = control_topic(settings)
    async with reading_topics(settings) as reader:
        orders, states = TopicTail(reader), TopicTail(reader)
        pauses, table = PauseTable(), FleetTable()
        while True:
            async for records in orders.new(await reader.spans(control)):
                for record in records:
                    pauses.apply(record.key, record.value)
            await _read_states(reader, states, control, table)
            now = time.time()
            processes, unreadable = table.alive(now)
            yield Fleet(tuple(processes), tuple(table.silent(now)), pauses.lasting(now), unreadable)


async def _read_states(reader: TopicReader, states: TopicTail, control: str, table: FleetTable) -> None:
    """Take in what the processes have said lately. One that is alive says something far more often."""
    spans = await reader.spans_since(state_topic_of(control), time.time() - REMEMBERED)
    async for records in states.new(spans):
        for record in records:
            table.apply(record.key, record.value)


async def pause(settings: Settings, target: PauseTarget, order: Pause) -> Obedience:
    """Pause *target*, and wait until the processes say that they obey. It lasts beyond every restart.

    Raises ConfigurationError without a control topic; TopicMissing, BrokerError.
    """
    return await _order(settings, target, encode_pause(order))


async def resume(settings: Settings, target: PauseTarget) -> Obedience:
    """End the pause of exactly *target*. Raises what ``pause`` raises."""
    return await _order(settings, target, None)


async def find_process(settings: Settings, name: str) -> ProcessState:
    """Return the process that *name* means: the beginning of its id, ``host:pid``, or its pid.

    Raises UnknownProcess, also where several are meant; ConfigurationError without a control topic; TopicMissing, BrokerError.
    """
    found = processes_named((await look_at_fleet(settings)).processes, name)
    if len(found) != 1:
        raise UnknownProcess(name, [f"{each.address} {each.id}" for each in found])
    return found[0]


def control_topic(settings: Settings) -> str:
    """The name of the control topic. Raises ConfigurationError where there is none."""
    if settings.kafka_control_topic is None:
        raise ConfigurationError(
            "no control topic is set, so processes cannot be seen or paused from here; set KAFKA_CONTROL_TOPIC to a name of "
            "yours, for the workers and for this command, and create it with --create-topics"
        )
    return settings.kafka_control_topic


async def _order(settings: Settings, target: PauseTarget, value: bytes | None) -> Obedience:
    control = control_topic(settings)
    async with reading_topics(settings) as reader:
        await reader.spans(control)  # raises TopicMissing: publishing would wait for the topic
        publisher = KafkaPublisher(settings)
        await publisher.start()
        try:
            receipt = await (await publisher.publish(Outgoing(control, value, encode_target(target))))
        finally:
            await publisher.close()
        return await _obedience(reader, control, target.group, receipt)


async def _obedience(reader: TopicReader, control: str, group: str, receipt: Receipt) -> Obedience:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OBEYED
    states, table = TopicTail(reader), FleetTable()
    while True:
        await _read_states(reader, states, control, table)
        mine = with_group(table.alive(time.time())[0], group)
        obeyed = [each for each in mine if each.obeys(receipt.partition, receipt.offset)]
        if len(obeyed) == len(mine) or loop.time() > deadline:
            silent = [each for each in mine if each not in obeyed]
            return Obedience(tuple(obeyed), tuple(silent))
        await asyncio.sleep(LOOK)
