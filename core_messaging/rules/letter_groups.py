"""Dead letters counted by worker, original topic and error type. Pure; holds no letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core_messaging.rules.letter_ledger import State
from core_messaging.rules.letters import Letter, text_of_bytes

MOST = 5_000  # groups; anybody may write error types, so there may be as many as letters
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Example:
    """One letter of a group, for people. ``partition`` and ``offset`` are where it stands in its queue."""

    partition: int
    offset: int
    key: str | None
    error_message: str
    original: str | None


@dataclass(slots=True)
class LetterGroup:
    """``first`` and ``last``: when the first and the last of them failed, in seconds since the epoch.

    ``oldest_open``: the time of the oldest record that is open, by which the retention of the queue counts.
    """

    dlq_topic: str
    worker: str
    topic: str
    error_type: str
    first: float
    last: float
    example: Example
    oldest_open: float | None = None
    open: int = 0
    replayed: int = 0
    dropped: int = 0

    @property
    def count(self) -> int:
        """The number of letters in the group."""
        return self.open + self.replayed + self.dropped

    def add(self, state: State, failed_at: float, stored_at: float) -> None:
        """Count a letter. *failed_at*, *stored_at*: seconds since the epoch."""
        if state == "open":
            self.open += 1
            if self.oldest_open is None or stored_at < self.oldest_open:
                self.oldest_open = stored_at
        elif state == "replayed":
            self.replayed += 1
        else:
            self.dropped += 1
        if failed_at < self.first:
            self.first = failed_at
        elif failed_at > self.last:
            self.last = failed_at


def retention_of(config: Mapping[str, str]) -> float | None:
    """Seconds that a topic with *config* keeps a record; None where it keeps it for ever, or does not say."""
    milliseconds = config.get("retention.ms", "")
    if "delete" not in config.get("cleanup.policy", "delete") or not milliseconds.isdigit():
        return None
    return int(milliseconds) / 1000


class LetterGroups:
    """The groups of one queue. ``describe`` makes the example; the first one that is open is a better one."""

    def __init__(self, queue: str, describe: Callable[[Letter], Example]) -> None:
        self._queue = queue
        self._describe = describe
        self._groups: dict[tuple[bytes, bytes, bytes], LetterGroup] = {}

    def add(self, letter: Letter, state: State) -> None:
        """Count *letter* in its group."""
        kind = letter.raw_kind
        group = self._groups.get(kind) or self._begun(letter, kind)
        if not group.open and state == "open" and group.count:
            group.example = self._describe(letter)
        group.add(state, letter.failed_at, letter.record.timestamp / 1000)

    def _begun(self, letter: Letter, kind: tuple[bytes, bytes, bytes]) -> LetterGroup:
        error_type = letter.error_type
        if len(self._groups) >= MOST:
            kind, error_type = (kind[0], kind[1], b"\0others"), OTHERS
            if len(self._groups) >= 2 * MOST:  # workers and topics are made up as well
                kind = (b"", b"", b"\0others")
        group = self._groups.get(kind)
        if group is None:
            at = letter.failed_at
            worker, topic = text_of_bytes(kind[0]), text_of_bytes(kind[1])
            group = LetterGroup(self._queue, worker, topic, error_type, at, at, self._describe(letter))
            self._groups[kind] = group
        return group

    def sorted(self) -> list[LetterGroup]:
        """Those with the most open letters first."""
        found = self._groups.values()
        return sorted(found, key=lambda g: (-g.open, -g.count, g.worker, g.topic, g.error_type))
