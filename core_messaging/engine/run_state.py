"""The states of a worker's run. They go one way."""

from __future__ import annotations

from enum import Enum


class RunState(Enum):
    """What a worker does at the moment."""

    NEW = "new"
    RUNNING = "running"
    DRAINING = "draining"  # takes nothing new, finishes what it holds
    STOPPED = "stopped"


NEXT = {
    RunState.NEW: {RunState.RUNNING, RunState.STOPPED},
    RunState.RUNNING: {RunState.DRAINING, RunState.STOPPED},
    RunState.DRAINING: {RunState.STOPPED},
    RunState.STOPPED: set[RunState](),
}
