"""Counts what happens to the messages of one worker. Plain attributes, because each message touches them."""

from __future__ import annotations

from bisect import bisect_left

from core_messaging.rules.assignment import FENCED
from core_messaging.rules.job import Job
from core_messaging.snapshot import CounterValues

# Upper bounds of the latency histogram in seconds, from well below a no-op to beyond any patience.
LATENCY_BOUNDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)


class Counters(CounterValues):
    """Counters of one worker since its start, and the histogram of how long its attempts took. They only grow.

    ``started - running = returned + failed = sum(latency)``. These count attempts; ``running`` and ``returned`` are no counters.

    ``failed = retried + failed for good + partition gone``: what followed the attempt.

    Each message that is settled counts once in ``succeeded``, ``exhausted``, ``undecodable``, ``followed`` or ``cleared``. Those of
    ``exhausted``, ``undecodable`` and ``followed`` count in ``dead_lettered`` too, once the dead-letter queue has them.
    """

    __slots__ = ("latency", "latency_sum")

    def __init__(self) -> None:
        super().__init__()
        self.latency = [0] * (len(LATENCY_BOUNDS) + 1)
        self.latency_sum = 0.0

    def handled(self, seconds: float, attempts: int = 1) -> None:
        """*attempts* are over; each took *seconds*."""
        self.latency[bisect_left(LATENCY_BOUNDS, seconds)] += attempts
        self.latency_sum += seconds * attempts


def drop_if_gone(job: Job, counters: Counters) -> bool:
    """Whether *job* is of a partition that another member has by now.

    Then it counts as dropped: its result has no effect, and no hook is told.
    """
    if job.assignment.state is not FENCED:
        return False
    counters.dropped += 1
    return True
