"""What happened, in numbers: plain attributes, because they are touched with every message."""

from __future__ import annotations

from bisect import bisect_left

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


class Counts:
    """Counters of one worker since its start; they only grow."""

    __slots__ = (
        "commit_failures",
        "commits",
        "dead_lettered",
        "dropped",
        "exhausted",
        "failed",
        "fetched",
        "hook_errors",
        "latency",
        "latency_sum",
        "published",
        "retried",
        "started",
        "succeeded",
        "undecodable",
    )

    def __init__(self) -> None:
        self.fetched = 0
        self.started = 0  # attempts
        self.succeeded = 0
        self.failed = 0  # attempts that raised
        self.retried = 0
        self.exhausted = 0  # gave up, whatever came of it
        self.dead_lettered = 0  # acknowledged by the dead-letter queue
        self.undecodable = 0
        self.published = 0  # results acknowledged by the output topic
        self.dropped = 0  # results that came after the partition was gone
        self.hook_errors = 0  # on_success, on_error or on_undecodable of the worker raised
        self.commits = 0
        self.commit_failures = 0
        self.latency = [0] * (len(LATENCY_BOUNDS) + 1)
        self.latency_sum = 0.0

    def handled(self, seconds: float) -> None:
        """One attempt took *seconds*."""
        self.latency[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.latency_sum += seconds
