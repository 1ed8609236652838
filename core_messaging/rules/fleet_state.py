"""What one process says of itself in the state topic, and which processes are alive. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from core_messaging.rules.commands import ANSWER

LARGEST = 512 * 1024  # bytes of one record that is looked at
LONGEST_INTERVAL = 60.0  # seconds between two records of a process, whatever its metrics_interval is
MOST = 10_000  # processes that are kept
SILENT = 3  # times its interval: a process that was not heard of for so long counts as gone
REMEMBERED = (SILENT + 1) * LONGEST_INTERVAL  # seconds: what was said before is of nobody who is alive


def state_topic_of(control: str) -> str:
    """The name of the state topic beside the control topic *control*."""
    return f"{control}-state"


def control_topic_names(control: str | None) -> tuple[str, ...]:
    """The topics of the fleet, where *control* is the name of the control topic; none where it is None."""
    return () if control is None else (control, state_topic_of(control))


_Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """One worker of a process. ``lag``, ``useful_lag``, ``oldest`` (seconds): None where nobody knows.

    ``at_risk``: paused partitions whose oldest unread message Kafka deletes soon. ``slowest``: the message that is in a handler longest, and for how long.
    """

    name: _Text
    group: _Text
    condition: _Text
    reason: _Text = ""
    partitions: list[str] = []
    paused: list[str] = []
    at_risk: list[str] = []
    counters: dict[str, int] = {}
    lag: int | None = None
    useful_lag: int | None = None
    in_flight: int = 0
    running: int = 0
    waiting_retries: int = 0
    oldest: float | None = None
    slowest: _Text = ""
    slowest_seconds: float = 0.0


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

    @property
    def address(self) -> str:
        """How people name it."""
        return f"{self.host}:{self.pid}"

    def is_alive(self, now: float) -> bool:
        """Whether it was heard of lately."""
        return now < self.at + SILENT * max(1.0, self.interval)

    def obeys(self, partition: int, offset: int) -> bool:
        """Whether it has read the control record at *offset*."""
        return self.control.get(str(partition), 0) > offset


class SilentProcess(NamedTuple):
    """A process that has not said that it ends, and was not heard of lately. It may be dead.

    ``waiting``: its partitions that no other process of the group has, as it says. They stand still until the group knows.
    """

    state: ProcessState
    waiting: Mapping[str, Sequence[str]]  # name of the worker -> partitions


def encode_state(state: ProcessState) -> bytes:
    """The value of a state record; its key is the ``id``."""
    return msgspec.json.encode(state)


class FleetTable:
    """The last record of each process. It is decoded when somebody asks, once: most records are replaced before.

    What was said longer than ``REMEMBERED`` ago is forgotten.
    """

    def __init__(self) -> None:
        self._raw: dict[bytes, bytes] = {}  # not decoded yet
        self._states: dict[bytes, ProcessState | None] = {}  # None: it cannot be read
        self._without_key = 0

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take in one record of the state topic. Those of one process come in order."""
        if key is None:
            self._without_key += 1
        elif key.startswith(ANSWER):
            pass
        elif value is None:
            self._raw.pop(key, None)
            self._states.pop(key, None)
        elif len(self._raw) + len(self._states) < MOST or key in self._raw or key in self._states:
            self._states.pop(key, None)
            self._raw[key] = value if len(value) <= LARGEST else b""

    def alive(self, now: float) -> tuple[list[ProcessState], int]:
        """Return the processes that are alive, by host and pid, and how many records cannot be read.

        *now*: seconds since the epoch.
        """
        states = self._decode(now)
        alive = [state for state in states if state is not None and state.is_alive(now)]
        unreadable = self._without_key + states.count(None)
        return sorted(alive, key=lambda state: (state.host, state.pid, state.id)), unreadable

    def silent(self, now: float) -> list[SilentProcess]:
        """Return the processes that were not heard of lately and still have partitions, as far as anybody says."""
        alive, _ = self.alive(now)
        quiet = [state for state in self._decode(now) if state is not None and not state.is_alive(now)]
        found = [SilentProcess(state, waiting_partitions(state, alive)) for state in quiet]
        return sorted((each for each in found if each.waiting), key=lambda each: each.state.address)

    def _decode(self, now: float) -> list[ProcessState | None]:
        self._states |= {key: _decoded(value) for key, value in self._raw.items()}
        self._raw.clear()
        self._states = {
            key: state for key, state in self._states.items() if state is None or now < state.at + REMEMBERED
        }
        return list(self._states.values())


def waiting_partitions(silent: ProcessState, alive: Sequence[ProcessState]) -> dict[str, list[str]]:
    """Name of a worker of *silent* -> those of its partitions that no process of *alive* has."""
    taken = {
        (worker.group, source)
        for process in alive
        for worker in process.workers
        for source in worker.partitions
    }
    waiting = {
        worker.name: [source for source in worker.partitions if (worker.group, source) not in taken]
        for worker in silent.workers
    }
    return {name: sources for name, sources in waiting.items() if sources}


def _decoded(value: bytes) -> ProcessState | None:
    try:
        return msgspec.json.decode(value, type=ProcessState)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def with_group(fleet: Sequence[ProcessState], group_id: str) -> list[ProcessState]:
    """The processes that run a worker of *group_id*."""
    return [state for state in fleet if any(worker.group == group_id for worker in state.workers)]


def processes_named(fleet: Sequence[ProcessState], name: str) -> list[ProcessState]:
    """The processes that *name* may mean: ``host:pid``, a pid, or the beginning of an id."""
    exact = [state for state in fleet if name in (state.id, state.address)]
    return exact or [
        state for state in fleet if name and (name == str(state.pid) or state.id.startswith(name))
    ]


def facts_of(state: ProcessState) -> Mapping[str, Any]:
    """*state* as plain values, for JSON."""
    facts = msgspec.to_builtins(state)
    assert isinstance(facts, dict)  # noqa: S101 - a Struct is a dict of its fields
    return facts
