"""``core kafka dlq list`` and ``show``: count the dead letters, and show one of them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from core_messaging.errors import UnreadableTopic
from core_messaging.operations.dead_letters import (
    LetterRow,
    LetterRows,
    LetterView,
    Listing,
    Queue,
    expiries,
    list_dead_letters,
    list_each_letter,
    missing_queues,
    show_dead_letter,
)
from core_messaging.records import TopicPartition
from core_messaging.rules.letter_groups import LetterGroup
from core_messaging.rules.letters import readable, text_of_bytes
from core_messaging.settings import Settings
from core_messaging.text.wording import counted
from core_messaging_cli.dlq_target import every_queue, settings_for_dead_letters, target_of
from core_messaging_cli.progress import records_progress
from core_messaging_cli.tables import say, say_json, show_table
from core_messaging_cli.worker_completion import complete_workers

LONGEST_PAYLOAD = 64 * 1024  # characters of a payload that are shown
LONGEST_HEX = 4 * 1024  # bytes
SOON = 24 * 3600.0  # seconds before retention may remove an open letter
_WIDTH = 16  # bytes of a line of hex digits

MOST_ROWS = 10_000
EACH = ("queue", "partition", "offset", "state", "key", "original", "failed", "error")
COLUMNS = ("worker", "topic", "error type", "open", "replayed", "dropped", "first", "last", "example")


@click.command(name="list")
@click.argument("name", required=False, metavar="[WORKER|TOPIC]", shell_complete=complete_workers)
@click.option(
    "--each", is_flag=True, help="Show each letter, with its partition and offset, instead of counting them."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=MOST_ROWS),
    default=100,
    show_default=True,
    help="With --each: at most so many letters.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def list_letters(name: str | None, each: bool, limit: int, as_json: bool) -> None:
    """Count the dead letters of a WORKER, of a dead-letter TOPIC, or of all workers.

    They are grouped by worker, original topic and error type. A letter is open until it is replayed or dropped. It only reads: it
    joins no group and makes no topic.

    \b
    core kafka dlq list
    core kafka dlq list Orders --json
    core kafka dlq list orders-dlq --each
    """
    settings = settings_for_dead_letters()
    say(f"broker {settings.kafka_bootstrap_servers}", err=as_json)
    if name is None:
        _show_letters(settings, _existing(settings, every_queue()), limit if each else None, as_json=as_json)
        return
    target = target_of(name)
    with target.missing_told(settings.kafka_bootstrap_servers):
        _show_letters(settings, target.queues, limit if each else None, as_json=as_json)


def _show_letters(settings: Settings, queues: Sequence[Queue], most: int | None, *, as_json: bool) -> None:
    """Show each letter, *most* of them; None: count them."""
    if most is not None:
        _show_each(asyncio.run(list_each_letter(settings, queues, most)), as_json=as_json)
        return
    with records_progress() as progress:
        listing = asyncio.run(list_dead_letters(settings, queues, progress=progress))
    if as_json:
        say_json({"groups": [_facts(group) for group in listing.groups]})
    elif not listing.groups:
        say("no dead letters")
    else:
        show_table(COLUMNS, [_cells(group) for group in listing.groups], optional=("first", "example"))
    _warn(settings, listing)


def _warn(settings: Settings, listing: Listing) -> None:
    """Tell what is about to be lost, and what could not be read, which makes the exit code 1."""
    for expiry in asyncio.run(expiries(settings, listing.groups)):
        if expiry.at - time.time() < SOON:
            say(
                f"the retention of {expiry.topic} may remove its oldest open letter from {moment(expiry.at)} on; replay or drop "
                "it, or raise retention.ms",
                err=True,
            )
    _refuse_unread(listing.unread)


def _refuse_unread(unread: Mapping[TopicPartition, UnreadableTopic]) -> None:
    for error in unread.values():
        say(f"not counted: {error}", err=True)
    if unread:
        sys.exit(1)


def _show_each(found: LetterRows, *, as_json: bool) -> None:
    if as_json:
        say_json({"letters": [_row_facts(row) for row in found.rows], "unlooked": found.unlooked})
    elif not found.rows:
        say("no dead letters")
    else:
        show_table(EACH, [_row_cells(row) for row in found.rows], optional=("failed", "error"))
    if found.unlooked:
        say(f"{counted(found.unlooked, 'more record')} not looked at; --limit shows more", err=True)
    _refuse_unread(found.unread)


def _row_cells(row: LetterRow) -> list[str]:
    example = row.example
    error = f"{row.error_type}: {example.error_message}" if example.error_message else row.error_type
    place = [row.topic, str(example.partition), str(example.offset), row.state]
    return [*place, example.key or "-", example.original or "-", moment(row.failed_at) or "-", error]


def _row_facts(row: LetterRow) -> dict[str, Any]:
    example = row.example
    return {
        "dlq_topic": row.topic,
        "partition": example.partition,
        "offset": example.offset,
        "state": row.state,
        "worker": row.worker,
        "error_type": row.error_type,
        "error_message": example.error_message,
        "key": example.key,
        "original": example.original,
        "failed_at": moment(row.failed_at),
    }


def _existing(settings: Settings, queues: Sequence[Queue]) -> list[Queue]:
    """Say that a queue does not exist yet. It has no letters then."""
    if not queues:
        raise click.ClickException("no worker has a dlq_topic; name a topic, or see `core kafka workers`")
    missing = asyncio.run(missing_queues(settings, queues))
    for topic in missing:
        say(f"no topic {topic} yet, so no dead letters are in it", err=True)
    return [queue for queue in queues if queue.topic not in missing]


def _facts(group: LetterGroup) -> dict[str, Any]:
    example = group.example
    return {
        "dlq_topic": group.dlq_topic,
        "worker": group.worker,
        "topic": group.topic,
        "error_type": group.error_type,
        "count": group.count,
        "open": group.open,
        "replayed": group.replayed,
        "dropped": group.dropped,
        "first": moment(group.first),
        "last": moment(group.last),
        "oldest_open": None if group.oldest_open is None else moment(group.oldest_open),
        "example": {
            "partition": example.partition,
            "offset": example.offset,
            "key": example.key,
            "error_message": example.error_message,
            "original": example.original,
        },
    }


def _cells(group: LetterGroup) -> list[str]:
    example = group.example
    where = f"{group.dlq_topic} {example.partition} {example.offset}"
    numbers = [str(group.open), str(group.replayed), str(group.dropped)]
    times = [moment(group.first) or "-", moment(group.last) or "-"]
    told = f"{where}: {example.error_message}" if example.error_message else where
    return [group.worker or "-", group.topic or "-", group.error_type, *numbers, *times, told]


def moment(seconds: float) -> str | None:
    """Write a time in ISO 8601, in UTC; None if there is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


@click.command()
@click.argument("name", metavar="WORKER|TOPIC", shell_complete=complete_workers)
@click.argument("partition", type=click.IntRange(min=0))
@click.argument("offset", type=click.IntRange(min=0))
@click.option("--raw", is_flag=True, help="Write the bytes of the value, and nothing else.")
def show(name: str, partition: int, offset: int, raw: bool) -> None:
    """Show the dead letter at PARTITION and OFFSET of a dead-letter queue, named by its WORKER or its TOPIC.

    The payload is shown as JSON, as text, or as hex digits. What a plugin's `redact` hides is hidden here too, also with --raw.

    \b
    core kafka dlq show orders-dlq 0 17
    core kafka dlq show orders-dlq 0 17 --raw > payload.bin
    """
    settings = settings_for_dead_letters()
    target = target_of(name)
    with target.missing_told(settings.kafka_bootstrap_servers):
        source = TopicPartition(target.queue.topic, partition)
        letter = asyncio.run(show_dead_letter(settings, source, offset))
    if raw:
        sys.stdout.buffer.write(letter.value or b"")
        sys.stdout.buffer.flush()
        return
    for line in _lines(letter):
        say(line)


def _lines(letter: LetterView) -> Iterator[str]:
    facts = dict(letter.facts)
    yield f"letter: {letter.topic} {letter.partition} {letter.offset} ({letter.state})"
    if "original-topic" in facts:
        where = [facts.pop(f"original-{part}", "?") for part in ("topic", "partition", "offset")]
        yield f"original: {where[0]}[{where[1]}]@{where[2]}"
    else:
        yield "original: unknown, it has no core headers"
    for name in ("original-timestamp", "failed-at"):
        told = facts.pop(name, None)
        if told is not None:
            yield f"{name}: {_time(told, milliseconds=name == 'original-timestamp')}"
    for name, text in facts.items():
        yield f"{name}: {text}"
    yield f"key: {_one_line(letter.key)}"
    for name, value in letter.headers:
        yield f"header {name}: {_one_line(value)}"
    yield from _payload(letter.value)


def _time(told: str, *, milliseconds: bool) -> str:
    try:
        seconds = float(told) / (1000 if milliseconds else 1)
    except ValueError:
        return told
    return moment(seconds) or told


def _one_line(data: bytes | None) -> str:
    return "none" if data is None else text_of_bytes(data)


def _payload(value: bytes | None) -> Iterator[str]:
    if value is None:
        yield "payload: none (a tombstone)"
        return
    kind, text = readable(value) or ("hex", "\n".join(_hex(value)))
    yield f"payload ({kind}, {counted(len(value), 'byte')}):"
    yield from text[:LONGEST_PAYLOAD].split("\n")
    if len(text) > LONGEST_PAYLOAD:
        yield f"... ({counted(len(text) - LONGEST_PAYLOAD, 'more character')}; --raw writes all bytes)"


def _hex(value: bytes) -> Iterator[str]:
    for start in range(0, min(len(value), LONGEST_HEX), _WIDTH):
        yield f"{start:08x}  {value[start : start + _WIDTH].hex(' ')}"
    if len(value) > LONGEST_HEX:
        yield f"... ({counted(len(value) - LONGEST_HEX, 'more byte')}; --raw writes them all)"
