"""Send a command to one process of the fleet through the control topic, and wait for its answer in the state topic."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from core_messaging.errors import BrokerError
from core_messaging.kafka.publisher import KafkaPublisher
from core_messaging.kafka.topic_reader import TopicReader, reading_topics
from core_messaging.operations.fleet import control_topic
from core_messaging.operations.topic_tail import TopicTail
from core_messaging.records import Outgoing
from core_messaging.rules.commands import Answer, Argument, Command, answer_in, encode_command
from core_messaging.rules.fleet_state import ProcessState, state_topic_of
from core_messaging.settings import Settings

PATIENCE = 30.0  # seconds in which a process has to begin with a command; then it has expired
SLACK = 5.0  # seconds more in which its answer may come
LOOK = 0.2  # seconds between two looks at the state topic


async def command(
    settings: Settings,
    process: ProcessState,
    name: str,
    arguments: Mapping[str, Argument] | None = None,
    by: str = "",
) -> Answer | None:
    """Let *process* obey the command *name*. None: it has not answered in time, and obeys no more if it has not begun.

    Raises ConfigurationError without a control topic; TopicMissing, BrokerError.
    """
    control = control_topic(settings)
    wanted = Command(
        id=str(uuid.uuid4()),
        process=process.id,
        name=name,
        expires=time.time() + PATIENCE,
        arguments=dict(arguments or {}),
        by=by,
    )
    async with reading_topics(settings) as reader:
        await reader.spans(control)  # raises TopicMissing: publishing would wait for the topic
        answers = _Answers(reader, control, wanted)
        await answers.begin()
        async with _published(settings, control, wanted):
            return await answers.wait()


class _Answers:
    """Looks in the state topic for the answer to one command."""

    def __init__(self, reader: TopicReader, control: str, wanted: Command) -> None:
        self._reader = reader
        self._topic = state_topic_of(control)
        self._wanted = wanted
        self._tail = TopicTail(reader)

    async def begin(self) -> None:
        """Take what is there now for read."""
        self._tail.pass_over(await self._reader.spans(self._topic))

    async def wait(self) -> Answer | None:
        """Return the answer; None if it does not come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE + SLACK):
                while True:
                    found = await self._look()
                    if found is not None:
                        return found
                    await asyncio.sleep(LOOK)
        return None

    async def _look(self) -> Answer | None:
        found = None
        async for records in self._tail.new(await self._reader.spans(self._topic)):
            for record in records:
                found = found or answer_in(record.key, record.value, self._wanted)
        return found


@asynccontextmanager
async def _published(settings: Settings, control: str, wanted: Command) -> AsyncIterator[None]:
    """Let the control topic hold *wanted* inside the block; compaction would keep it for ever."""
    key, value = encode_command(wanted)
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        await (await publisher.publish(Outgoing(control, value, key)))
        try:
            yield
        finally:
            with contextlib.suppress(BrokerError):
                await (await publisher.publish(Outgoing(control, None, key)))
    finally:
        await publisher.close()
