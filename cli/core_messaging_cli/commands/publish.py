"""``core kafka publish``: messages from the command line, a file of JSON lines, or standard input."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import click
import msgspec

from core_messaging.choosing import broker_of
from core_messaging.errors import CoreMessagingError, KafkaDisabled, ManyNotSent, TopicMissing
from core_messaging.producer import Key, get_producer, outgoing
from core_messaging.project import Project
from core_messaging.records import Outgoing
from core_messaging.settings import Settings
from core_messaging_cli.progress import progress

CHUNK = 1_000  # messages sent between two updates of the progress bar
SHOWN = 20  # bad lines named one by one


@dataclass(slots=True)
class Line:
    """One message to publish; ``size`` is its length in the input, in bytes."""

    value: bytes
    key: Key
    size: int


@dataclass(frozen=True, slots=True)
class Input:
    """Where the lines come from; ``size`` in bytes, None where nobody knows."""

    stream: BinaryIO
    name: str
    size: int | None


Sized = tuple[Outgoing, int]  # a record and its length in the input


@dataclass(slots=True)
class Tally:
    """What became of the input."""

    sent: int = 0
    bad: list[str] = field(default_factory=list)
    started: float = field(default_factory=monotonic)

    def __str__(self) -> str:
        seconds = monotonic() - self.started
        rate = self.sent / seconds if seconds > 0 else 0.0
        return f"{self.sent} messages acknowledged in {seconds:.1f} s ({rate:,.0f} msg/s)"


@click.command()
@click.argument("topic")
@click.option("--message", help="One message, as JSON.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines, one message a line.",
)
@click.option("--key", help="The key of every message.")
@click.option("--key-field", metavar="FIELD", help="Take each message's key from this field of it.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of every message; repeatable."
)
@click.option(
    "--raw", is_flag=True, help="Publish the bytes as they are, without asking whether they are JSON."
)
def publish(
    topic: str,
    message: str | None,
    file: Path | None,
    key: str | None,
    key_field: str | None,
    headers: tuple[str, ...],
    raw: bool,
) -> None:
    """Publish messages to TOPIC; what is counted is acknowledged by the broker.

    Without --message and --file, JSON lines are read from standard input. Lines that are not JSON are named and
    left out, and the exit code is 1.

    \b
    core kafka publish tasks --message '{"type": "process"}' --key task-123
    core kafka publish tasks --file tasks.jsonl --key-field id
    generate | core kafka publish tasks
    """
    if message is not None and file is not None:
        raise click.UsageError("give --message or --file, not both")
    if key is not None and key_field is not None:
        raise click.UsageError("give --key or --key-field, not both")
    pairs = [_header(text) for text in headers]
    reader = Reader(_key_of(key, key_field), raw=raw)
    settings = Project(Path.cwd()).settings()
    tally = Tally()
    try:
        asyncio.run(_require(settings, topic))
        with _opened(message, file) as given, progress(topic, given.size) as advance:
            lines = reader.lines(given, tally)
            records = ((outgoing(topic, line.value, line.key, pairs), line.size) for line in lines)
            asyncio.run(_publish(settings, records, tally, advance))
    except (KeyboardInterrupt, CoreMessagingError):
        if tally.sent:
            click.echo(f"stopped: {tally}", err=True)
        raise
    _report(tally, topic)


def _report(tally: Tally, topic: str) -> None:
    click.echo(f"{topic}: {tally}")
    for problem in tally.bad[:SHOWN]:
        click.echo(f"not published: {problem}", err=True)
    if tally.bad:
        more = len(tally.bad) - SHOWN
        rest = f" ({more} more not shown)" if more > 0 else ""
        click.echo(
            f"core: {len(tally.bad)} lines were not published{rest}; mend them, or use --raw", err=True
        )
        sys.exit(1)


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--header {text!r} is not NAME=VALUE")
    return name, value


def _key_of(key: str | None, key_field: str | None) -> Callable[[Any], Key]:
    if key_field is None:
        return lambda _message: key

    def from_field(message: Any) -> Key:
        if not isinstance(message, dict) or message.get(key_field) is None:
            raise ValueError(f"it has no field {key_field!r} for the key")
        value = message[key_field]
        return value if isinstance(value, str) else msgspec.json.encode(value)

    return from_field


class Reader:
    """Lines of input as messages."""

    def __init__(self, key_of: Callable[[Any], Key], *, raw: bool) -> None:
        self._key_of = key_of
        self._raw = raw

    def lines(self, given: Input, tally: Tally) -> Iterator[Line]:
        """One a line that can be published; the others go to *tally*. Reads as it goes: files may be large."""
        for number, data in enumerate(given.stream, start=1):
            text = data.rstrip(b"\r\n")
            if not text.strip():
                continue
            try:
                message = None if self._raw else msgspec.json.decode(text)
                key = self._key_of(message)
            except ValueError as error:
                tally.bad.append(f"{given.name}:{number}: {error}")
            else:
                # The bytes as they are written, not written anew: the consumer gets what the author wrote.
                yield Line(text, key, len(data))


@contextmanager
def _opened(message: str | None, file: Path | None) -> Iterator[Input]:
    if message is not None:
        data = message.replace("\n", " ").encode()
        yield Input(io.BytesIO(data), "--message", len(data))
    elif file is not None:
        with file.open("rb") as stream:
            yield Input(stream, str(file), file.stat().st_size)
    else:
        yield Input(sys.stdin.buffer, "standard input", None)


async def _publish(
    settings: Settings, records: Iterator[Sized], tally: Tally, advance: Callable[[int], None]
) -> None:
    async with get_producer("kafka", settings=settings) as producer:
        while chunk := list(islice(records, CHUNK)):
            try:
                tally.sent += len(await producer.send_records(record for record, _ in chunk))
            except ManyNotSent as error:
                tally.sent += len(error.receipts)
                raise error.failures[min(error.failures)] from error
            advance(sum(size for _, size in chunk))


async def _require(settings: Settings, topic: str) -> None:
    """A topic that is missing would show up as a time-out per message."""
    if not settings.kafka_enabled:
        raise KafkaDisabled("publishing")
    if await broker_of(settings).topics().missing([topic]):
        raise TopicMissing([topic], settings.kafka_bootstrap_servers)
