"""Names and values of OpenTelemetry's semantic conventions for messaging, and for Kafka."""

from __future__ import annotations

SYSTEM = {"messaging.system": "kafka"}
PROCESS = {**SYSTEM, "messaging.operation.type": "process", "messaging.operation.name": "process"}
SEND = {**SYSTEM, "messaging.operation.type": "send", "messaging.operation.name": "send"}
POLL = {**SYSTEM, "messaging.operation.type": "receive", "messaging.operation.name": "poll"}

TOPIC = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
GROUP = "messaging.consumer.group.name"
OFFSET = "messaging.kafka.offset"
KEY = "messaging.kafka.message.key"
TOMBSTONE = "messaging.kafka.message.tombstone"
BATCH = "messaging.batch.message_count"
ERROR = "error.type"

WORKER = "core.worker"
ATTEMPT = "core.attempt"
DEAD_LETTER = "core.dead_letter"


def error_type(error: BaseException) -> str:
    """Name the class of *error*, with its module unless it is built in."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def key_text(key: bytes) -> str:
    """Return *key* as text; bytes that are not UTF-8 are escaped."""
    return key.decode(errors="backslashreplace")
