"""``core kafka dlq``: the commands about dead letters."""

from __future__ import annotations

import click

from core_messaging_cli.lazy import LazyGroup

_COMMANDS = "core_messaging_cli.commands"

TABLE = {
    "list": (f"{_COMMANDS}.dlq_view:list_letters", "Count dead letters by worker, topic and error."),
    "show": (f"{_COMMANDS}.dlq_view:show", "Show one dead letter whole."),
    "replay": (f"{_COMMANDS}.dlq_replay:replay", "Publish dead letters to their topics again."),
    "drop": (f"{_COMMANDS}.dlq_replay:drop", "Mark dead letters as dealt with."),
}


@click.group(cls=LazyGroup, table=TABLE)
def dlq() -> None:
    """List, show, replay and drop dead letters: messages that failed for good.

    \b
    core kafka dlq list                      how many, by worker, topic and error
    core kafka dlq show orders-dlq 0 17      one of them
    core kafka dlq replay Orders --dry-run   what a replay would do
    """
