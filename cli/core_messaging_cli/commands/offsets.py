"""``core kafka offsets``: the offsets of a worker's group, and its unfinished messages."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from core_messaging.config import WorkerConfig
from core_messaging.discovery.catalog import discover
from core_messaging.kafka.group_offsets import KafkaOffsets, reading
from core_messaging.operations.matching_topics import pattern_in_words, with_matching_topics
from core_messaging.records import Record
from core_messaging.rules.group_progress import Progress, progress_of
from core_messaging.settings import Settings
from core_messaging.text.wording import duration
from core_messaging.worker import config_of
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.selection import check_selection, chosen
from core_messaging_cli.tables import say, say_json, show_table, terminal_width
from core_messaging_cli.worker_completion import complete_workers


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_workers)
@click.option("--all", "everything", is_flag=True, help="Show every worker there is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.option(
    "--unfinished",
    "limit",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="How many unfinished messages to look up for each partition.",
)
def offsets(names: tuple[str, ...], everything: bool, as_json: bool, limit: int) -> None:
    """Show the committed offset, end offset and lag of each partition of worker NAME, and unfinished messages.

    The command only reads. It joins no group and commits nothing, so it is safe beside running workers. The metadata of
    each commit says what is finished beyond the committed offset.

    \b
    finished beyond  messages after the first unfinished one that are finished
    gaps             ranges of unfinished messages before finished ones
    crashes          processes in a row that ended without a last commit
    blocked keys     keys whose messages follow a dead letter

    \b
    core kafka offsets EmailWorker
    core kafka offsets EmailWorker --unfinished 50 --json
    core kafka offsets --all
    """
    check_selection(names, everything=everything)
    settings = kafka_settings("core kafka offsets", "looking at offsets")
    configs = [config_of(worker) for worker in chosen(discover(), names)]
    say(f"broker {settings.kafka_bootstrap_servers}", err=as_json)
    rows = asyncio.run(_look(settings, configs, limit))
    if as_json:
        say_json([_facts(row) for row in rows])
    else:
        _show(rows)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A message that is not finished although later ones are.

    ``age``: seconds since it was produced, None without a timestamp. ``gone``: the record does not exist (any more).
    """

    offset: int
    key: str | None
    age: float | None
    attempt: int
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One worker, where its group is, and the messages that it has not finished."""

    worker: WorkerConfig
    progress: Progress
    unfinished: tuple[Unfinished, ...]


async def _look(settings: Settings, configs: Sequence[WorkerConfig], limit: int) -> list[Row]:
    rows = []
    async with reading(settings) as kafka:
        for config in await with_matching_topics(settings, configs):
            if words := pattern_in_words(config):
                say(words, err=True)
            for offsets in await kafka.partition_offsets(config.group_id, config.input_topics):
                progress = progress_of(offsets)
                rows.append(Row(config, progress, await _unfinished(kafka, progress, limit)))
    return rows


async def _unfinished(kafka: KafkaOffsets, progress: Progress, limit: int) -> tuple[Unfinished, ...]:
    gaps = (range(first, last + 1) for first, last in progress.gaps)
    found = []
    for offset in itertools.islice(itertools.chain.from_iterable(gaps), limit):
        record = await kafka.record(progress.source, offset)
        attempt = progress.attempts.get(offset, 1)
        if record is None:
            found.append(Unfinished(offset, None, None, attempt, gone=True))
            continue
        key = None if record.key is None else record.key.decode(errors="backslashreplace")
        found.append(Unfinished(offset, key, _age_of(record), attempt))
    return tuple(found)


def _age_of(record: Record) -> float | None:
    """Seconds since *record* was produced; None without a timestamp (-1)."""
    return None if record.timestamp < 0 else max(0.0, time.time() - record.timestamp / 1000)


COLUMNS = (
    "worker",
    "partition",
    "committed",
    "end",
    "lag",
    "finished beyond",
    "gaps",
    "crashes",
    "blocked keys",
)
# The columns that need an explanation. A narrow terminal leaves out those that are 0 in every row.
MEANINGS = {
    "finished beyond": "messages after the first unfinished one that are finished",
    "gaps": "ranges of unfinished messages before finished ones",
    "crashes": "processes in a row that ended without a last commit",
    "blocked keys": "keys whose messages follow a dead letter to the dead-letter queue",
}
UNFINISHED = ("unfinished", "key", "age", "next attempt")


def _show(rows: Sequence[Row]) -> None:
    cells = [_cells(row) for row in rows]
    told = {name for i, name in enumerate(COLUMNS) if any(row[i] != "0" for row in cells)}
    show_table(COLUMNS, cells, optional=MEANINGS.keys() - told)
    if terminal_width() is not None:
        for name in (each for each in MEANINGS if each in told):
            click.echo(f"{name}: {MEANINGS[name]}")
    messages = [_message(row, message) for row in rows for message in row.unfinished]
    if messages:
        click.echo()
        show_table(UNFINISHED, messages)


def _cells(row: Row) -> list[str]:
    progress = row.progress
    committed = "-" if progress.committed is None else str(progress.committed)
    beyond = (
        "unknown (the metadata is not of this project)" if progress.foreign else str(progress.finished_beyond)
    )
    numbers = [committed, str(progress.end), str(progress.lag)]
    return [
        row.worker.name,
        str(progress.source),
        *numbers,
        beyond,
        str(len(progress.gaps)),
        str(progress.crashes),
        str(progress.blocked),
    ]


def _message(row: Row, message: Unfinished) -> list[str]:
    where = f"{row.progress.source}@{message.offset}"
    if message.gone:
        return [where, "-", "no record there any more", "-"]
    age = "unknown" if message.age is None else duration(message.age)
    return [where, message.key if message.key is not None else "-", age, str(message.attempt)]


def _facts(row: Row) -> dict[str, Any]:
    progress = row.progress
    return {
        "worker": row.worker.name,
        "group_id": row.worker.group_id,
        "topic": progress.source.topic,
        "partition": progress.source.partition,
        "committed": progress.committed,
        "end": progress.end,
        "lag": progress.lag,
        "finished_beyond": None if progress.foreign else progress.finished_beyond,
        "gaps": [list(gap) for gap in progress.gaps],
        "crashes": progress.crashes,
        "blocked_keys": progress.blocked,
        "unfinished": [
            {"offset": m.offset, "key": m.key, "age_seconds": m.age, "next_attempt": m.attempt}
            for m in row.unfinished
        ],
    }
