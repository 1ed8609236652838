"""The workloads: the contestants, their tasks, and the ratios that this project has to reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from benchmarks.load import SIZE
from benchmarks.task import Task

# What each contestant promises while it runs.
LIMIT = "the limit; promises nothing"
COMMITS_POSITION = "commits the fetched position: a crash may lose; no retry"
IN_PARTITION_ORDER = "partition order; at least once; no retry"
NO_ORDER_AT_MOST_ONCE = "no order; acknowledged before it is processed: at most once; no retry"
OURS = "at least once, retries, order as said"


@dataclass(frozen=True)
class Contestant:
    """One row. ``share``: the part of the messages that a slow contestant gets."""

    name: str
    task: Task
    promise: str
    share: float = 1.0


@dataclass(frozen=True)
class Bar:
    """*ours* has to reach ``ratio`` times *against*. For milliseconds it has to stay below."""

    ours: str
    against: str
    ratio: float


@dataclass(frozen=True)
class Workload:
    """One contest on the same messages. ``unit``: "msg/s", or "ms (p99)", where less is better.

    ``busy``: of the partitions, how many hold the messages. 0: all. ``size``: bytes of a message.
    """

    name: str
    title: str
    count: int
    contestants: tuple[Contestant, ...]
    bars: tuple[Bar, ...] = ()
    partitions: int = 4
    busy: int = 0
    size: int = SIZE
    unit: str = "msg/s"

    @property
    def less_is_better(self) -> bool:
        return self.unit != "msg/s"


def _with(rows: tuple[Contestant, ...], **changes: Any) -> tuple[Contestant, ...]:
    return tuple(replace(row, task=msgspec.structs.replace(row.task, **changes)) for row in rows)


def _row(name: str, run: str, promise: str, share: float = 1.0, **task: Any) -> Contestant:
    return Contestant(name, Task(run=run, **task), promise, share)


def _ours(name: str, run: str = "worker", **task: Any) -> Contestant:
    """Make a task of this project, on the event loop of ``core kafka worker`` by default."""
    return Contestant(name, Task(run=f"ours:{run}", **({"loop": "punctual"} | task)), OURS)


_FASTSTREAM = _row("FastStream", "with_faststream:single", COMMITS_POSITION, 0.1)
_KSTREAMS = _row("kstreams", "with_kstreams:single", COMMITS_POSITION, 0.2)
_QUIX = _row("quixstreams", "with_quixstreams:single", IN_PARTITION_ORDER, 0.5)
_ARROYO = _row("arroyo RunTask", "with_arroyo:single", IN_PARTITION_ORDER, 0.2)
_FAUST = _row("faust", "with_faust:single", IN_PARTITION_ORDER, 0.1)

NOOP = Workload(
    "noop",
    "no-op, 160-byte JSON, 4 partitions, key order",
    200_000,
    (
        _row("raw getmany, json.loads", "raw:getmany", COMMITS_POSITION),
        _ours("ours"),
        _row("raw getmany, json.loads, uvloop", "raw:getmany", COMMITS_POSITION, loop="uvloop"),
        _ours("ours, uvloop", loop="uvloop"),
        _row("raw getmany, msgspec", "raw:getmany_msgspec", COMMITS_POSITION),
        _row("raw async for", "raw:async_for", COMMITS_POSITION, 0.5),
        _FASTSTREAM,
        _row(
            "FastStream max_workers=8",
            "with_faststream:concurrent",
            NO_ORDER_AT_MOST_ONCE,
            0.05,
        ),
        _row("FastStream batch", "with_faststream:batches", COMMITS_POSITION, 0.5, batch=500),
        _KSTREAMS,
        _row("kstreams GetMany", "with_kstreams:getmany", COMMITS_POSITION, 0.2),
        _QUIX,
        _ARROYO,
        _FAUST,
        _row("confluent consume", "with_confluent:consume", COMMITS_POSITION),
    ),
    (
        Bar("ours", "raw getmany, json.loads", 0.8),
        Bar("ours, uvloop", "raw getmany, json.loads, uvloop", 0.8),
        Bar("ours", "raw getmany, msgspec", 0.6),
        Bar("ours", "FastStream", 15.0),
    ),
)

ORDERS = Workload(
    "orders",
    "no-op in other orders, and typed",
    200_000,
    (
        _row("raw getmany, json.loads", "raw:getmany", COMMITS_POSITION),
        _ours('ours, "partition"', ordering="partition"),
        _ours('ours, "none"', ordering="none"),
        _row("raw getmany, Struct", "raw:getmany_msgspec", COMMITS_POSITION, message="struct"),
        _ours("ours, Struct", message="struct"),
    ),
    (
        Bar('ours, "partition"', "raw getmany, json.loads", 0.8),
        Bar('ours, "none"', "raw getmany, json.loads", 0.8),
        Bar("ours, Struct", "raw getmany, Struct", 0.6),
    ),
)


def _payloads(kilobytes: int, count: int) -> Workload:
    return Workload(
        f"payload{kilobytes}",
        f"no-op, {kilobytes}-KB JSON",
        count,
        (_row("raw getmany, msgspec", "raw:getmany_msgspec", COMMITS_POSITION), _ours("ours")),
        (Bar("ours", "raw getmany, msgspec", 0.9 if kilobytes > 1 else 0.7),),
        size=1_000 * kilobytes,
    )


PAYLOADS = (_payloads(1, 100_000), _payloads(10, 20_000), _payloads(100, 2_000))


def _io(slots: int, seconds: float, **ordering: Any) -> tuple[Contestant, ...]:
    one_by_one = {"work": "sleep", "seconds": seconds}
    rows = (
        _row("sleep limit", "bare:sleepers", LIMIT, loop="punctual"),
        _ours("ours", **ordering),
        _row("sleep limit, asyncio's loop", "bare:sleepers", LIMIT),
        _ours("ours, asyncio's loop", loop="asyncio", **ordering),
        _row("sleep limit, uvloop", "bare:sleepers", LIMIT, loop="uvloop"),
        _ours("ours, uvloop", loop="uvloop", **ordering),
        _row(
            "raw getmany + gather", "raw:gathered", "no order; commits the fetched position; waits for the slowest"
        ),
        _row(f"FastStream max_workers={slots}", "with_faststream:concurrent", NO_ORDER_AT_MOST_ONCE, 0.3),
        _row(f"faust concurrency={slots}", "with_faust:concurrent", "no order; at least once; no retry", 0.3),
        _row("arroyo RunTaskInThreads", "with_arroyo:threads", "no order while running; at least once; no retry"),
        _row("confluent consume + threads", "with_confluent:threads", "no order; commits the fetched position"),
    )  # fmt: skip
    alone = tuple(
        replace(row, share=share)
        for row, share in ((_KSTREAMS, 0.005), (_QUIX, 0.005))
    )  # fmt: skip
    return _with((*rows, *alone), slots=slots, **one_by_one)


def _limits(ratio: float) -> tuple[Bar, ...]:
    return Bar("ours", "sleep limit", ratio), Bar("ours, uvloop", "sleep limit, uvloop", ratio)


IO = Workload("io", "10 ms of I/O, 200 slots, 1,000 keys, key order", 40_000, _io(200, 0.01), _limits(0.95))
WIDE = Workload(
    "wide", "10 ms of I/O, 1,000 slots, no order", 80_000, _io(1_000, 0.01, ordering="none"), _limits(0.55)
)
SINGLE = Workload(
    "single",
    "one partition, 2.5 ms of I/O, 100 slots, key order",
    60_000,
    _io(100, 0.0025),
    _limits(0.95),
    partitions=1,
)
SKEWED = Workload(
    "skewed",
    "10 ms of I/O, 200 slots, key order, three of four partitions empty",
    40_000,
    _io(200, 0.01)[:8],
    _limits(0.95),
    busy=1,
)

OUTPUT = Workload(
    "output",
    "to an output topic, acknowledged by all replicas",
    150_000,
    (
        _row("raw getmany + send", "raw:passing_on", COMMITS_POSITION),
        _ours("ours", slots=100),
        _row("FastStream publisher", "with_faststream:single", COMMITS_POSITION, 0.04),
        _row("kstreams send", "with_kstreams:single", COMMITS_POSITION, 0.04),
        replace(_QUIX, name="quixstreams to_topic", share=0.3),
        replace(_ARROYO, name="arroyo Produce", share=0.2),
        replace(_FAUST, name="faust topic.send", share=0.04),
        _row("confluent consume + produce", "with_confluent:passing_on", COMMITS_POSITION),
    ),
    (Bar("ours", "raw getmany + send", 0.8), Bar("ours", "confluent consume + produce", 1.0)),
)
OUTPUT = replace(OUTPUT, contestants=_with(OUTPUT.contestants, output="?"))

BATCHES = Workload(
    "batches",
    "batches of 100",
    200_000,
    (
        _row("raw getmany, json.loads", "raw:batches", COMMITS_POSITION, batch=100),
        _ours("ours process_batch", "batches", batch=100),
        _row("FastStream batch", "with_faststream:batches", COMMITS_POSITION, 0.5, batch=100),
        _row("arroyo BatchStep", "with_arroyo:batches", IN_PARTITION_ORDER, 0.3, batch=100),
        _row("faust take", "with_faust:batches", IN_PARTITION_ORDER, 0.1, batch=100),
        _row("confluent consume", "with_confluent:batches", COMMITS_POSITION, batch=100),
    ),
    (Bar("ours process_batch", "raw getmany, json.loads", 0.9),),
)

THREADS = Workload(
    "threads",
    "plain def, 1 ms of sleep, 32 threads",
    20_000,
    _with(
        (
            _row("bare threads", "bare:threads", LIMIT),
            _ours("ours", "threads"),
            _row("FastStream def, max_workers=32", "with_faststream:threads", NO_ORDER_AT_MOST_ONCE, 0.5),
            _row("arroyo RunTaskInThreads", "with_arroyo:threads", "no order while running; at least once"),
            _row("confluent consume + threads", "with_confluent:threads", "no order; commits the position"),
        ),
        work="thread",
        seconds=0.001,
        slots=32,
    ),
    (Bar("ours", "bare threads", 0.8), Bar("ours", "confluent consume + threads", 1.3)),
)

CPU = Workload(
    "cpu",
    "CPU-bound, about 1 ms a message",
    2_000,
    _with(
        (
            _row("one bare process", "bare:computing", LIMIT),
            _ours("ours, async def"),
            _ours("ours, plain def", "threads"),
            _row("confluent consume", "with_confluent:consume", COMMITS_POSITION),
        ),
        work="cpu",
    ),
    (Bar("ours, plain def", "ours, async def", 0.95),),
)

SENDING = Workload(
    "sending",
    "producer, many at once: idempotent, acknowledged by all replicas",
    50_000,
    _with(
        (
            _row("raw send, 1,000 under way", "raw:send_batched", "acknowledged"),
            _row("ours send_many", "ours:send_many", "acknowledged"),
            _row("raw send_batch", "raw:send_batches", "acknowledged; batches filled by hand"),
            _row("confluent produce + flush", "with_confluent:send_batched", "acknowledged"),
        ),
        output="?",
    ),
    (
        Bar("ours send_many", "raw send, 1,000 under way", 0.9),
        Bar("ours send_many", "raw send_batch", 0.4),
        Bar("ours send_many", "confluent produce + flush", 1.0),
    ),
)
SENDERS = Workload(
    "senders",
    "producer, 100 concurrent sends",
    30_000,
    _with(
        (
            _row("raw send_and_wait", "raw:send_concurrently", "acknowledged"),
            _row("ours send", "ours:send_concurrently", "acknowledged"),
        ),
        output="?",
        slots=100,
    ),
    (Bar("ours send", "raw send_and_wait", 0.9),),
)

LATENCY = Workload(
    "latency",
    "latency from produce to handled at 1,000 msg/s",
    10_000,
    _with(
        (
            _row("raw getmany", "raw:getmany", COMMITS_POSITION),
            _ours("ours"),
            _row("raw getmany, uvloop", "raw:getmany", COMMITS_POSITION, loop="uvloop"),
            _ours("ours, uvloop", loop="uvloop"),
        ),
        rate=1_000,
        skip=3_000,
    ),
    (Bar("ours", "raw getmany", 1.3), Bar("ours, uvloop", "raw getmany, uvloop", 1.3)),
    unit="ms (p99)",
)
HEAD = Workload(
    "head",
    "head of line: latency of good keys at 1,000 msg/s, 5 ms of I/O, while 1 % of the keys fail for ever",
    12_000,
    _with(
        (
            _ours("ours, nothing fails"),
            _ours("ours, 1 % of keys fail", "failing", failing=10),
        ),
        rate=1_000,
        skip=3_000,
        slots=50,
        seconds=0.005,
    ),
    (Bar("ours, 1 % of keys fail", "ours, nothing fails", 1.5),),
    unit="ms (p99)",
)

HOOK = Workload(
    "hook",
    "no-op with plugins: one plain on_success, prometheus with a port, opentelemetry without an SDK",
    200_000,
    (
        _ours("ours"),
        _ours("ours, on_success plugin", plugin="on_success"),
        _ours("ours, prometheus", plugin="prometheus"),
        _ours("ours, opentelemetry", plugin="opentelemetry"),
    ),
    (Bar("ours, on_success plugin", "ours", 0.6), Bar("ours, prometheus", "ours", 0.98)),
)

ALL = (
    NOOP, ORDERS, IO, WIDE, SINGLE, SKEWED, OUTPUT, BATCHES, THREADS, CPU, SENDING, SENDERS, LATENCY, HEAD, HOOK,
    *PAYLOADS,
)  # fmt: skip
