"""What one process says of itself in the state topic, and which processes are alive. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

LARGEST = 512 * 1024  # bytes of one record that is looked at
SILENT = 3  # times its interval: a process that was not heard of for so long counts as gone


def state_topic_of(control: str) -> str:
    """The name of the state topic beside the control topic *control*."""
    return f"{control}-state"


_Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """One worker of a process. ``lag``, ``useful_lag``, ``oldest`` (seconds): None where nobody knows."""

    name: _Text
    group: _Text
    condition: _Text
    reason: _Text = ""
    partitions: list[str] = []
    paused: list[str] = []
    counters: dict[str, int] = {}
    lag: int | None = None
    useful_lag: int | None = None
    in_flight: int = 0
    running: int = 0
    waiting_retries: int = 0
    oldest: float | None = None


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """One process. ``at``, ``started``: seconds since the epoch. ``interval``: seconds between two records.

    ``control``: partition of the control topic -> the offset up to which this process obeys it. ``memory``: bytes.
    """

    id: _Text
    host: _Text
    pid: int
    version: _Text
    at: float
    started: float
    interval: float
    workers: list[WorkerState]
    control: dict[str, int] = {}
    memory: int = 0

    def is_alive(self, now: float) -> bool:
        """Whether it was heard of lately."""
        return now < self.at + SILENT * max(1.0, self.interval)

    def obeys(self, partition: int, offset: int) -> bool:
        """Whether it has read the control record at *offset*."""
        return self.control.get(str(partition), 0) > offset


def encode_state(state: ProcessState) -> bytes:
    """The value of a state record; its key is the ``id``."""
    return msgspec.json.encode(state)


def fleet_of(
    records: Iterable[tuple[bytes | None, bytes | None]], now: float
) -> tuple[list[ProcessState], int]:
    """Return the processes that are alive, by host and pid, and how many records cannot be read.

    *records*: keys and values of the state topic, in order. *now*: seconds since the epoch.
    """
    found: dict[bytes, ProcessState] = {}
    unreadable = 0
    for key, value in records:
        if key is None:
            unreadable += 1
        elif value is None:
            found.pop(key, None)
        elif (state := _decoded(value)) is None:
            unreadable += 1
        else:
            found[key] = state
    alive = [state for state in found.values() if state.is_alive(now)]
    return sorted(alive, key=lambda state: (state.host, state.pid, state.id)), unreadable


def _decoded(value: bytes) -> ProcessState | None:
    if len(value) > LARGEST:
        return None
    try:
        return msgspec.json.decode(value, type=ProcessState)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def with_group(fleet: Sequence[ProcessState], group_id: str) -> list[ProcessState]:
    """The processes that run a worker of *group_id*."""
    return [state for state in fleet if any(worker.group == group_id for worker in state.workers)]


def facts_of(state: ProcessState) -> Mapping[str, Any]:
    """*state* as plain values, for JSON."""
    facts = msgspec.to_builtins(state)
    assert isinstance(facts, dict)  # noqa: S101 - a Struct is a dict of its fields
    return facts
