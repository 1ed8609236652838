"""``core kafka reset-offsets``: moves the committed offsets of a worker's group by hand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import click

from core_messaging.discovery.catalog import discover
from core_messaging.operations.offset_reset import apply_resets, plan_for
from core_messaging.rules.offset_reset_plan import Reset, parse_target
from core_messaging.text.wording import counted
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.selection import worker_named
from core_messaging_cli.tables import say, show_table

COLUMNS = ("partition", "committed", "new", "processed again", "passed")


@click.command("reset-offsets")
@click.argument("name")
@click.option(
    "--to", "to", required=True, metavar="PLACE", help="Where the group goes on, as described above."
)
@click.option("--topic", help="Only this topic.")
@click.option(
    "--partition",
    "partitions",
    type=click.IntRange(min=0),
    multiple=True,
    help="Only this partition; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset_offsets(
    name: str, to: str, topic: str | None, partitions: tuple[int, ...], dry_run: bool, yes: bool
) -> None:
    """Move the committed offsets of worker NAME's group to PLACE. Its workers must be stopped.

    PLACE is `earliest`, `latest`, an offset (`1200`), `-N` for the last N messages of each partition, or a time
    (`2026-01-31T12:00:00Z`; without a zone it is local time): the first message at or after it. An offset that is not
    there is moved to the nearest one.

    All messages from PLACE on are processed, also those that were finished beyond the committed offset. Attempts start again
    at 1. Blocked keys stay blocked.

    \b
    core kafka reset-offsets Orders --to earliest --dry-run
    core kafka reset-offsets Orders --to 2026-01-31T12:00:00+00:00
    core kafka reset-offsets Orders --to=-100 --partition 3 --yes
    """
    target = parse_target(to)
    settings = kafka_settings("core kafka reset-offsets", "moving offsets")
    worker = worker_named(discover(), name)
    say(f"broker {settings.kafka_bootstrap_servers}, group {worker.group_id}")
    resets = asyncio.run(plan_for(settings, worker, target, topic, partitions))
    show_table(COLUMNS, [_cells(reset) for reset in resets])
    again, passed = sum(each.again for each in resets), sum(each.passed for each in resets)
    say(f"{counted(again, 'message')} to process again, {counted(passed, 'message')} to pass")
    if dry_run:
        say("nothing was changed (--dry-run)")
        return
    if not (yes or _agreed(resets)):
        say("nothing was changed", err=True)
        sys.exit(1)
    asyncio.run(apply_resets(settings, worker, resets))
    say(f"moved {counted(len(resets), 'partition')}")


def _agreed(resets: Sequence[Reset]) -> bool:
    if not sys.stdin.isatty():
        say("core: there is no terminal to ask at; give --yes", err=True)
        return False
    return click.confirm(f"move {counted(len(resets), 'partition')}?", err=True)


def _cells(reset: Reset) -> list[str]:
    before = "-" if reset.before is None else str(reset.before)
    numbers = [str(reset.after.offset), str(reset.again), str(reset.passed)]
    return [str(reset.source), before, *numbers]
