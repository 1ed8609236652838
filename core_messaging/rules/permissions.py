"""Which operations of Kafka's ACLs a worker needs, and which of them are missing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum

from core_messaging.rules.diagnosis import Finding, Level, WorkerTopics


class Operation(IntEnum):
    """An operation of Kafka's ACLs, by its number in the protocol."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8


def operations_in(bits: int) -> frozenset[Operation]:
    """The operations that *bits* stands for: one bit for each operation."""
    return frozenset(operation for operation in Operation if bits & (1 << operation))


def permission_findings(
    worker: WorkerTopics, topics: Mapping[str, Collection[Operation]]
) -> Iterator[Finding]:
    """Topics that the worker cannot use. *topics*: what this client may do with each; what is not told is left out."""
    needed = [(name, Operation.READ) for name in worker.inputs]
    written = (worker.output, *worker.dlqs)
    needed += [(name, Operation.WRITE) for name in written if name is not None]
    for name, operation in needed:
        if name in topics and operation not in topics[name]:
            word = operation.name.capitalize()
            yield Finding(
                f"topic {name}",
                Level.PROBLEM,
                f"this client has no ACL for {word} on it, which {worker.worker} needs",
                f"allow {word} on topic {name} to the user of this client",
            )


def group_permission_findings(
    group_id: str, worker: str, operations: Collection[Operation] | None
) -> Iterator[Finding]:
    """A group that the worker cannot join. *operations*: what this client may do with it, None: not told."""
    if operations is not None and Operation.READ not in operations:
        yield Finding(
            f"group {group_id}",
            Level.PROBLEM,
            f"this client has no ACL for Read on it, so {worker} cannot join",
            f"allow Read on group {group_id} to the user of this client",
        )
