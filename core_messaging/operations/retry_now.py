"""Let the processes of a worker try what waits for a retry now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from core_messaging.operations.commands import command
from core_messaging.operations.fleet import look_at_fleet
from core_messaging.rules.commands import RETRY_NOW, Answer, Argument
from core_messaging.rules.fleet_state import ProcessState, with_group
from core_messaging.settings import Settings


@dataclass(frozen=True, slots=True)
class Answered:
    """What one process said. ``answer`` None: nothing in time, and it does not begin with it any more."""

    process: ProcessState
    answer: Answer | None


async def retry_now(
    settings: Settings, group_id: str, *, key: bytes | None = None, by: str = ""
) -> list[Answered]:
    """Ask every process that runs a worker of *group_id*. *key*: only messages with this key. Empty: no process runs one.

    Raises ConfigurationError without a control topic; TopicMissing, BrokerError.
    """
    found = with_group((await look_at_fleet(settings)).processes, group_id)
    arguments: dict[str, Argument] = {"group": group_id, "key": None if key is None else key.hex()}
    answers = await asyncio.gather(
        *(command(settings, process, RETRY_NOW, arguments, by) for process in found)
    )
    return [Answered(process, answer) for process, answer in zip(found, answers, strict=True)]
