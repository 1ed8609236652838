"""What the engine tells to whoever observes it. One slot an event; None where nobody listens costs nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

# Called with keyword facts; never raises. Returns None when everybody was told at once, or an awaitable when
# an implementation is async: the fast path of plain implementations makes no coroutine.
Tell = Callable[..., Awaitable[None] | None]

# wrap_process: gets (call_next, worker, message, context), returns the result; may change both, may raise.
Wrap = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observers:
    """The facts of each event, all passed by keyword; ``worker`` is the WorkerConfig.

    - on_start(worker), on_stop(worker, error): around consumption; error None when it ended as asked
    - on_success(worker, message, result, context)
    - on_error(worker, message, error, context): retries are exhausted, or there are none for it
    - on_retry(worker, message, error, context, delay): another attempt follows in delay seconds
    - on_dead_letter(worker, error, context, topic): acknowledged by the dead-letter queue
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
    success_wants_context: bool = True  # a context is made for each message where on_success names it


NOBODY = Observers(success_wants_context=False)


async def tell(told: Tell, **facts: Any) -> None:
    """Tell *told* and wait where an implementation is async."""
    pending = told(**facts)
    if pending is not None:
        await pending
