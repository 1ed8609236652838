"""Which letters of a dead-letter queue somebody means. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from core_messaging.rules.letters import Letter


@dataclass(frozen=True, slots=True)
class FieldMatch:
    """A field of a JSON payload and what it has to be. ``name`` may lead into objects: ``customer.id``."""

    name: str
    wanted: str

    def matches(self, payload: Any) -> bool:
        """Whether *payload* has the field with the wanted value."""
        return any(_same(found, self.wanted) for found in _found(payload, self.name))


@dataclass(frozen=True, slots=True)
class Selection:
    """All letters, unless something is given. ``offsets`` are those of the queue, times are those of the failure."""

    worker: str | None = None
    group: str | None = None
    original_topic: str | None = None
    error_type: str | None = None
    key: bytes | None = None
    partition: int | None = None
    offsets: range | None = None
    since: float | None = None
    until: float | None = None
    fields: Sequence[FieldMatch] = ()

    def matches(self, letter: Letter) -> bool:
        """Whether *letter* fits everything that is given."""
        return (
            self.is_of_worker(letter)
            and self._matches_place(letter)
            and self._matches_time(letter)
            and (self.key is None or letter.record.key == self.key)
            and (self.error_type is None or letter.error_type == self.error_type)
            and (self.original_topic is None or letter.text("original-topic") == self.original_topic)
            and (not self.fields or self._matches_payload(letter))
        )

    def is_of_worker(self, letter: Letter) -> bool:
        """A worker that was renamed has its group still; one that changed its group has its name."""
        if self.worker is None and self.group is None:
            return True
        return letter.text("worker") == self.worker or letter.text("group") == self.group

    def _matches_place(self, letter: Letter) -> bool:
        record = letter.record
        if self.partition is not None and record.partition != self.partition:
            return False
        return self.offsets is None or record.offset in self.offsets

    def _matches_time(self, letter: Letter) -> bool:
        if self.since is None and self.until is None:
            return True
        at = letter.failed_at
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def _matches_payload(self, letter: Letter) -> bool:
        try:
            payload = msgspec.json.decode(letter.record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return all(field.matches(payload) for field in self.fields)


def offsets_in(text: str) -> range:
    """The offsets that *text* names: ``17-42``, or ``17`` alone. Raises ValueError, whose text follows that of the field."""
    found = re.fullmatch(r"([0-9]{1,19})(?:-([0-9]{1,19}))?", text)
    if found is None:
        raise ValueError("is not FIRST-LAST, for example 17-42")
    first, last = int(found[1]), int(found[2] or found[1])
    if last < first:
        raise ValueError("ends before it begins")
    return range(first, last + 1)


def field_in(text: str) -> FieldMatch:
    """The field that *text* names: ``customer.id=7``. Raises ValueError, whose text follows that of the field."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError("is not FIELD=VALUE")
    return FieldMatch(name, value)


def _found(payload: Any, name: str) -> list[Any]:
    """What *name* leads to: a field that is called so, or a path through objects."""
    if not isinstance(payload, dict):
        return []
    found = [payload[name]] if name in payload else []
    first, dot, rest = name.partition(".")
    if dot and first in payload:
        found += _found(payload[first], rest)
    return found


def _same(found: Any, wanted: str) -> bool:
    """A text is meant as it is; anything else as JSON writes it, so 7 is also 7.0, and true is not 1."""
    if isinstance(found, str):
        return found == wanted
    try:
        meant = msgspec.json.decode(wanted.encode(errors="replace"))
    except msgspec.DecodeError:
        return False
    return bool(found == meant) and isinstance(found, bool) == isinstance(meant, bool)
