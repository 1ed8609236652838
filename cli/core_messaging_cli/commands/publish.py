"""``core kafka publish``: messages from the command line, a file of JSON lines, or standard input."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import click
import msgspec

from core_messaging.broker import Broker
from core_messaging.discovery.project import Project
from core_messaging.errors import CoreMessagingError, KafkaDisabled, ManyNotSent, TopicMissing
from core_messaging.plugins.factories import broker_of
from core_messaging.producer import get_producer
from core_messaging.publishing.outgoing import Key, outgoing, topic_name
from core_messaging.records import Outgoing, Receipt
from core_messaging.settings import Settings
from core_messaging.text.printable import printable
from core_messaging.text.wording import counted
from core_messaging_cli.kafka_settings import for_a_person
from core_messaging_cli.lines import Input, Line, Reader, opened
from core_messaging_cli.progress import progress
from core_messaging_cli.read_ahead import ReadAhead
from core_messaging_cli.tables import say

CHUNK = 1_000  # messages sent between two updates of the progress bar
SHOWN = 20  # bad lines that are reported one by one
LAST_ANSWERS = 2.0  # seconds that a Ctrl-C waits for the acknowledgements of what was sent
PATIENCE = 0.2  # seconds that a line of standard input waits for others, to be sent with them


@dataclass(slots=True)
class Tally:
    """Counts what became of the lines of the input."""

    read: int = 0  # valid lines
    sent: int = 0
    refused: int = 0
    bad: list[tuple[int, Exception]] = field(default_factory=list)  # line, and why
    last: int | None = None  # the last line that was tried, if publishing stopped early
    started: float = field(default_factory=monotonic)

    def counted(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Yield *lines* and count them."""
        for line in lines:
            self.read += 1
            yield line

    def note_bad(self, number: int, error: Exception) -> None:
        """Note that line *number* (from 1) is no valid message, because of *error*."""
        self.bad.append((number, error))

    def note_refused(self, lines: Sequence[Line], error: ManyNotSent) -> None:
        """Note that *lines* were sent together and that some were refused."""
        self.sent += len(error.receipts)
        self.refused += len(error.failures)
        self.bad += [(lines[index].number, failure) for index, failure in sorted(error.failures.items())]
        self.last = lines[error.tried - 1].number

    def __str__(self) -> str:
        seconds = monotonic() - self.started
        rate = self.sent / seconds if seconds > 0 else 0.0
        return f"{counted(self.sent, 'message')} acknowledged in {seconds:.1f} s ({rate:,.0f} msg/s)"


@click.command()
@click.argument("topic")
@click.option("--message", "messages", multiple=True, help="One message, as JSON; repeatable.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True),
    help="JSON lines, one message for each line; - is standard input.",
)
@click.option("--key", help="The key of every message.")
@click.option("--key-field", metavar="FIELD", help="Take the key of each message from this field.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of every message; repeatable."
)
@click.option(
    "--raw",
    is_flag=True,
    help="Publish each line's bytes as they are; they need not be JSON. Empty lines are left out.",
)
@click.option("--create-topics", is_flag=True, help="Create the topic if it does not exist.")
def publish(
    topic: str,
    messages: tuple[str, ...],
    file: Path | None,
    key: str | None,
    key_field: str | None,
    headers: tuple[str, ...],
    raw: bool,
    create_topics: bool,
) -> None:
    """Publish messages to TOPIC. Only what the broker has acknowledged is counted.

    Without --message and --file (or with --file -), JSON lines are read from standard input. A line that is not JSON is
    reported and left out, and the exit code is 1. An empty input is reported, and the exit code is 0.

    \b
    core kafka publish tasks --message '{"type": "process"}' --key task-123
    core kafka publish tasks --message '{"id": 1}' --message '{"id": 2}'
    core kafka publish tasks --file tasks.jsonl --key-field id
    generate | core kafka publish tasks
    """
    if messages and file is not None:
        raise click.UsageError("give --message or --file, not both")
    if key is not None and key_field is not None:
        raise click.UsageError("give --key or --key-field, not both")
    if raw and key_field is not None:
        raise click.UsageError("give --raw or --key-field, not both: a raw line has no fields")
    topic = topic_name(topic)  # checked before a broker is asked
    pairs = [_header(text) for text in headers]
    settings = for_a_person(Project(Path.cwd()).settings())
    tally = Tally()
    reader = Reader(_key_of(key, key_field), tally.note_bad, raw=raw)
    with opened(messages, file) as given:
        try:
            broker = _broker(settings)
            asyncio.run(_require(broker, topic, settings, create=create_topics))
            say(f"publishing to {topic} at broker {broker.address}{_waiting_for(given)}", err=True)
            lines = tally.counted(reader.lines(given.entries))
            chunks = _at_leisure(lines) if given.size is None else _at_once(lines)

            def record_of(line: Line) -> Outgoing:
                return outgoing(topic, line.value, line.key, pairs)

            with progress(printable(topic, 60), given.size) as advance:
                asyncio.run(_publish(settings, chunks, record_of, tally, advance))
        except (KeyboardInterrupt, CoreMessagingError):
            _say_stopped(tally)
            raise
    _report(tally, topic, given.name)


def _say_stopped(tally: Tally) -> None:
    """Say what is stored. What was read from a pipe cannot be read again, so people need to know."""
    if tally.read:
        unknown = tally.read - tally.sent - tally.refused
        click.echo(
            f"stopped: {tally}; {unknown} more {'was' if unknown == 1 else 'were'} read and not acknowledged, and may be "
            "stored or not",
            err=True,
        )


def _report(tally: Tally, topic: str, name: str) -> None:
    if not (tally.read or tally.bad):
        say(f"nothing to publish: {name} is empty", err=True)
        return
    say(f"{topic}: {tally}")
    bad = sorted(tally.bad, key=lambda each: each[0])
    for number, error in bad[:SHOWN]:
        say(f"not published: {name}:{number}: {error}", err=True)
    if not bad:
        return
    more = len(bad) - SHOWN
    rest = f" ({more} more not shown)" if more > 0 else ""
    end = "" if tally.last is None else f"; what comes after line {tally.last} was not tried"
    count = counted(len(bad), "line", "was not published", "were not published")
    say(f"core: {count}{rest}{end}; {_remedy(tally)}", err=True)
    sys.exit(1)


def _remedy(tally: Tally) -> str:
    them, lines = ("it", "that line") if len(tally.bad) == 1 else ("them", "those lines")
    if tally.last is not None:
        return f"mend {them} and publish {them} again"
    no_json = all(isinstance(error, msgspec.DecodeError | UnicodeDecodeError) for _, error in tally.bad)
    return f"mend {them}, or use --raw" if no_json else f"mend {them} and publish {lines}"


def _header(text: str) -> tuple[str, bytes]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--header {text!r} is not NAME=VALUE")
    return name, os.fsencode(value)


def _key_of(key: str | None, key_field: str | None) -> Callable[[Any], Key]:
    if key_field is None:
        typed = None if key is None else os.fsencode(key)  # the bytes that were typed, in any encoding
        return lambda _message: typed

    def from_field(message: Any) -> Key:
        if not isinstance(message, dict) or message.get(key_field) is None:
            raise ValueError(f"it has no field {key_field!r} for the key")
        value = message[key_field]
        return value if isinstance(value, str) else msgspec.json.encode(value)

    return from_field


async def _at_once(lines: Iterator[Line]) -> AsyncIterator[list[Line]]:
    """Yield the lines of a file in full chunks."""
    while chunk := list(islice(lines, CHUNK)):
        yield chunk


async def _at_leisure(lines: Iterator[Line]) -> AsyncIterator[list[Line]]:
    """Yield the lines of a pipe as they come. A chunk is as large as what has come by then."""
    ahead = ReadAhead(lines, CHUNK)
    while not ahead.over:
        if chunk := await asyncio.to_thread(ahead.take, CHUNK, PATIENCE):
            yield chunk


async def _publish(
    settings: Settings,
    chunks: AsyncIterator[list[Line]],
    record_of: Callable[[Line], Outgoing],
    tally: Tally,
    advance: Callable[[int], None],
) -> None:
    """Publish until a line is refused. The lines that were sent together with it are still counted."""
    async with get_producer("kafka", settings=settings) as producer:
        async for chunk in chunks:
            await _count_answers(
                asyncio.ensure_future(producer.send_records(map(record_of, chunk))), chunk, tally
            )
            if tally.last is not None:
                return
            advance(sum(line.size for line in chunk))


async def _count_answers(sending: asyncio.Task[list[Receipt]], lines: Sequence[Line], tally: Tally) -> None:
    """Count what the broker acknowledges of *lines*.

    A first Ctrl-C cancels this, often between the storing of a line and its acknowledgement: the answers that are
    under way are waited for, so that the last line says what is stored. A second Ctrl-C ends at once.
    """
    try:
        await asyncio.shield(sending)
    except ManyNotSent as error:
        tally.note_refused(lines, error)
    except asyncio.CancelledError:
        await asyncio.wait({sending}, timeout=LAST_ANSWERS)
        raise
    finally:
        if sending.done() and not sending.cancelled() and sending.exception() is None:
            tally.sent += len(sending.result())
        sending.cancel()


def _broker(settings: Settings) -> Broker:
    if not settings.kafka_enabled:
        raise KafkaDisabled("publishing")
    return broker_of(settings)


async def _require(broker: Broker, topic: str, settings: Settings, *, create: bool) -> None:
    """Check that the topic exists. Otherwise each message would end in a time-out."""
    topics = broker.topics()
    if not await topics.missing([topic]):
        return
    if not create:
        raise TopicMissing([topic], broker.address)
    await topics.create([topic], settings.kafka_topic_partitions, settings.kafka_topic_replication)
    say(f"created topic {topic} at broker {broker.address}", err=True)


def _waiting_for(given: Input) -> str:
    """Say at a terminal that the command waits for input."""
    return "; type one JSON message a line, Ctrl-D ends" if given.is_typed else ""
