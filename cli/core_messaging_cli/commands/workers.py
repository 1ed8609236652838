"""``core kafka workers``: the workers, where they come from, and which are broken."""

from __future__ import annotations

import sys
from typing import Any

import click

from core_messaging.discovery.catalog import Listed, discover
from core_messaging.worker import config_of
from core_messaging_cli.selection import nothing_found
from core_messaging_cli.tables import say, say_json, show_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.option("--check", is_flag=True, help="Exit with 1 if a worker is broken or shares its group.")
def workers(as_json: bool, check: bool) -> None:
    """List the workers of installed packages and of the project in this folder.

    The command imports all of them. A file that cannot be imported is listed with the cause.
    """
    rows = discover().listing()
    if as_json:
        say_json([_facts(row) for row in rows])
    elif not rows:
        say(f"no workers: {nothing_found()}")
    else:
        show_table(COLUMNS, [_cells(row) for row in rows])
    if check and any(row.state != "ok" for row in rows):
        sys.exit(1)


COLUMNS = ("name", "source", "topics", "group", "concurrency", "retries", "dlq", "state")


def _cells(row: Listed) -> list[str]:
    state = f"{row.state}: {row.cause}" if row.cause else row.state
    if row.worker is None:
        return [row.name, row.label, "-", "-", "-", "-", "-", state]
    config = config_of(row.worker)
    topics = config.inputs + (f" -> {config.output_topic}" if config.output_topic else "")
    numbers = [str(config.concurrency), str(config.max_retries)]
    return [
        row.name,
        row.label,
        topics,
        config.group_id,
        *numbers,
        ", ".join(config.dlq_topics) or "-",
        state,
    ]


def _facts(row: Listed) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": row.name,
        "source": row.label,
        "state": row.state,
        "cause": row.cause or None,
    }
    if row.worker is None:
        return facts
    config = config_of(row.worker)
    return facts | {
        "input_topics": list(config.input_topics),
        "input_pattern": None if config.input_pattern is None else config.input_pattern.pattern,
        "output_topic": config.output_topic,
        "group_id": config.group_id,
        "concurrency": config.concurrency,
        "ordering": config.ordering,
        "max_retries": config.max_retries,
        "batch_size": config.batch_size,
        "dlq_topic": config.dlq_topic,
        "dlq_topics": list(config.dlq_topics),
    }
