"""What a large fleet costs whoever looks at it, counted and not timed: 100 processes with 1,000 workers, for an hour."""

from __future__ import annotations

import gc

import msgspec
import pytest

from core_messaging.rules.fleet_state import FleetTable, ProcessState, WorkerState, encode_state
from core_messaging.rules.fleet_view import FleetHistory

PROCESSES, WORKERS = 100, 10  # workers of each process
INTERVAL = 10.0  # seconds between two records of a process
HOUR = 3_600


def plain_worker(number: int) -> WorkerState:
    counters = {f"counter_{each}": 1_000_000 + each for each in range(20)}
    sources = [f"orders[{number % 50}]", f"mails[{number % 50}]"]
    return WorkerState(
        name=f"W{number % 50}",
        group=f"g{number % 50}",
        condition="running",
        partitions=sources,
        counters=counters,
    )


FIRST = [
    ProcessState(
        id=f"start-{number:03}",
        host=f"web-{number:03}",
        pid=number,
        version="1",
        at=0.0,
        started=0.0,
        interval=INTERVAL,
        workers=[plain_worker(number * WORKERS + each) for each in range(WORKERS)],
    )
    for number in range(PROCESSES)
]


def said_at(now: float) -> list[tuple[bytes, bytes]]:
    return [(each.id.encode(), encode_state(msgspec.structs.replace(each, at=now))) for each in FIRST]


def test_of_an_hour_of_records_only_the_last_of_each_process_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[int] = []
    decode = msgspec.json.decode

    def counting(value: bytes, **options: object) -> object:
        decoded.append(len(value))
        return decode(value, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(msgspec.json, "decode", counting)
    table = FleetTable()
    for now in range(0, HOUR, 60):
        for record in said_at(now):
            table.apply(*record)
    alive, unreadable = table.alive(HOUR - 60)
    assert (len(alive), unreadable, len(decoded)) == (PROCESSES, 0, PROCESSES)
    table.silent(HOUR - 60)
    table.apply(*said_at(HOUR - 50)[0])
    table.alive(HOUR - 50)
    assert len(decoded) == PROCESSES + 1  # what was decoded is kept until it is replaced


def test_an_hour_of_looking_takes_no_more_memory_than_ten_minutes() -> None:
    table, history = FleetTable(), FleetHistory()
    counts = []
    for now in range(0, HOUR + 1, 60):
        for key, value in said_at(now)[:20]:  # a share of the fleet: growth shows as well
            table.apply(key, value)
        gone = b"start-that-was-killed-%d" % now  # without a goodbye
        killed = msgspec.structs.replace(FIRST[0], id=gone.decode(), at=float(now))
        table.apply(gone, encode_state(killed))
        rows = history.add(table.alive(now)[0])
        if now in (600, HOUR):
            gc.collect()
            counts.append(len(gc.get_objects()))
    assert len(rows) == 50
    assert counts[1] - counts[0] < 1_000  # fifty were killed meanwhile, and each is forty objects
