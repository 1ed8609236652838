"""The options of ``replay`` and ``drop`` that select dead letters."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from core_messaging.operations.dead_letters import Queue
from core_messaging.rules.letter_selection import FieldMatch, Selection, field_in, offsets_in

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_OPTIONS = (
    click.option("--partition", type=click.IntRange(min=0), help="Only letters in this partition of the queue."),
    click.option("--offsets", metavar="FIRST-LAST", help="Only letters at these offsets of the queue; N is one offset."),
    click.option("--key", help="Only letters with this key."),
    click.option("--error-type", help="Only letters with this error type, as `list` shows it."),
    click.option("--original-topic", help="Only letters of messages from this topic."),
    click.option("--since", metavar="TIME", help="Only letters that failed at or after TIME: 2h (ago), or 2026-01-31T08:00 (local time; Z at its end: UTC)."),
    click.option("--until", metavar="TIME", help="Only letters that failed at or before TIME, as for --since."),
    click.option(
        "--match",
        "matches",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Only letters with this value in a field of the JSON payload; customer.id is a field of an object; repeatable.",
    ),
)  # fmt: skip


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a selection to *command*."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def selection_of(queue: Queue, given: dict[str, Any]) -> Selection:
    """Make a selection of *queue* from the options *given*. Raises click.UsageError."""
    key = given["key"]
    return Selection(
        worker=queue.worker,
        group=queue.group,
        original_topic=given["original_topic"],
        error_type=given["error_type"],
        key=None if key is None else os.fsencode(key),
        partition=given["partition"],
        offsets=_range(given["offsets"]),
        since=_time("--since", given["since"]),
        until=_time("--until", given["until"]),
        fields=tuple(map(_field, given["matches"])),
    )


def _range(text: str | None) -> range | None:
    if text is None:
        return None
    try:
        return offsets_in(text)
    except ValueError as error:
        raise click.UsageError(f"--offsets {text!r} {error}") from None


def _time(option: str, text: str | None) -> float | None:
    """Seconds since the epoch. A time without a zone is local time, as for ``core kafka reset-offsets``."""
    if text is None:
        return None
    if ago := re.fullmatch(r"([0-9]{1,9})([smhd])", text):
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):  # OverflowError: no local time so early or late
        raise click.UsageError(
            f"{option} {text!r} is not a time; write 90m, 2h, 3d, or 2026-01-31T08:00"
        ) from None


def _field(text: str) -> FieldMatch:
    try:
        return field_in(text)
    except ValueError as error:
        raise click.UsageError(f"--match {text!r} {error}") from None
