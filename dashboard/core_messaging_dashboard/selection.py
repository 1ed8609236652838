"""Which dead letters a form means. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from core_messaging.config import WorkerConfig
from core_messaging.operations.dead_letters import Queue
from core_messaging.rules.letter_selection import FieldMatch, Selection, field_in, offsets_in


def queues_of(workers: Sequence[WorkerConfig]) -> dict[str, Queue]:
    """The dead-letter queues of *workers* by topic. A worker may have one for each kind of error."""
    return {topic: Queue(topic) for config in workers for topic in config.dlq_topics}


class WrongField(ValueError):
    """A field of the form says nothing that can be read. Its text is for the person."""


def selection_of(queue: Queue, form: Mapping[str, str]) -> Selection:
    """The letters of *queue* that *form* selects. Raises WrongField."""
    key = form.get("key")
    return Selection(
        worker=queue.worker,
        group=queue.group,
        original_topic=form.get("topic") or None,
        error_type=form.get("error_type") or None,
        key=os.fsencode(key) if key else None,
        partition=_count("partition", form.get("partition")),
        offsets=_offsets(form.get("offsets")),
        since=_time("since", form.get("since")),
        until=_time("until", form.get("until")),
        fields=_fields(form.get("match")),
    )


def _count(name: str, text: str | None) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise WrongField(f"{name} {text!r} is not a number")
    return int(text)


def _offsets(text: str | None) -> range | None:
    if not text:
        return None
    try:
        return offsets_in(text)
    except ValueError as error:
        raise WrongField(f"offsets: {text!r} {error}") from None


def _time(name: str, text: str | None) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        raise WrongField(f"{name} {text!r} is not a time, for example 2026-01-31T08:00 (UTC)") from None


def _fields(text: str | None) -> tuple[FieldMatch, ...]:
    if not text:
        return ()
    try:
        return (field_in(text),)
    except ValueError as error:
        raise WrongField(f"match: {text!r} {error}") from None
