"""The functions that the engine calls for its events. None in place of one costs nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

# Called with the facts of an event by keyword; never raises. Returns an awaitable if an implementation is async, else None:
# a call of plain implementations makes no coroutine.
Tell = Callable[..., Awaitable[None] | None]

# wrap_process: gets (call_next, worker, message, context) and returns the result. It may change message and result, and raise.
Wrap = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """One function for each event; its facts are passed by keyword. ``worker`` is the WorkerConfig.

    - on_start(worker), on_stop(worker, error): before and after consumption; error is None if the worker was asked to stop
    - on_success(worker, message, result, context): the message is finished
    - on_error(worker, message, error, context): the message has failed for good
    - on_retry(worker, message, error, context, delay): another attempt follows after delay seconds
    - on_dead_letter(worker, error, context, topic): the dead-letter queue has acknowledged the message
    - on_assigned(worker, partitions), on_revoked(worker, partitions): tuples of TopicPartition
    - metrics(snapshot): every metrics_interval seconds
    """

    on_start: Tell | None = None
    on_stop: Tell | None = None
    on_success: Tell | None = None
    on_error: Tell | None = None
    on_retry: Tell | None = None
    on_dead_letter: Tell | None = None
    on_assigned: Tell | None = None
    on_revoked: Tell | None = None
    metrics: Tell | None = None
    wrap_process: Wrap | None = None
    success_wants_context: bool = (
        True  # whether on_success needs a context, which is made for each message then
    )


NOBODY = Observers(success_wants_context=False)


async def tell(told: Tell, **facts: Any) -> None:
    """Call *told* with *facts*, and wait for async implementations."""
    pending = told(**facts)
    if pending is not None:
        await pending
