"""``core kafka lag``: the lag of each worker, and whether it catches up."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import click

from core_messaging.config import WorkerConfig
from core_messaging.discovery.catalog import discover
from core_messaging.operations.lag import WorkerLag, watch_lag
from core_messaging.rules.lag import GroupLag
from core_messaging.settings import Settings
from core_messaging.text.wording import long_duration
from core_messaging.worker import config_of
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.selection import check_selection, chosen
from core_messaging_cli.tables import say, say_json, say_json_line, show_table
from core_messaging_cli.worker_completion import complete_workers

COLUMNS = ("worker", "lag", "useful", "in/s", "out/s", "behind", "catch up")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_workers)
@click.option("--all", "everything", is_flag=True, help="Show every worker there is.")
@click.option("--watch", is_flag=True, help="Show it again every --interval seconds, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    help="Seconds between two readings; the rates come from both.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON list, for programs; with --watch, one for each reading, on one line.",
)
def lag(names: tuple[str, ...], everything: bool, watch: bool, interval: float, as_json: bool) -> None:
    """Show how far the group of worker NAME is behind.

    The command only reads. So it is safe beside running workers, and it works while they are stopped. `core kafka offsets`
    shows each partition.

    \b
    lag       messages after the committed offsets
    useful    the lag without what is finished or waits for a retry
    in/s      messages per second that are added
    out/s     messages per second that are finished
    behind    the age of the oldest message that is not finished
    catch up  the time until the lag is 0 at these rates

    \b
    core kafka lag --all
    core kafka lag EmailWorker --watch
    core kafka lag --all --json
    """
    check_selection(names, everything=everything)
    settings = kafka_settings("core kafka lag", "looking at the lag")
    workers = [config_of(worker) for worker in chosen(discover(), names)]
    say(f"broker {settings.kafka_bootstrap_servers}", err=as_json)
    asyncio.run(_look(settings, workers, interval, watch=watch, as_json=as_json))


async def _look(
    settings: Settings, workers: Sequence[WorkerConfig], interval: float, *, watch: bool, as_json: bool
) -> None:
    """Show the lag. Without --watch the second reading is shown, because the first one has no rates."""
    async with aclosing(watch_lag(settings, workers, interval)) as looks:
        for number in itertools.count():
            rows = await anext(looks)
            if watch or number:
                _show(rows, watch=watch, as_json=as_json)
            if not watch and number:
                return


def _show(rows: Sequence[WorkerLag], *, watch: bool, as_json: bool) -> None:
    if as_json:
        (say_json_line if watch else say_json)([_facts(row) for row in rows])
        return
    if watch:
        if sys.stdout.isatty():
            click.clear()
        say(time.strftime("%H:%M:%S"))
    show_table(COLUMNS, [_cells(row) for row in rows])
    sys.stdout.flush()


def _cells(row: WorkerLag) -> list[str]:
    if row.lag is None:
        return [row.worker.name, f"no topic {', '.join(row.missing)}", *["-"] * 5]
    lag = row.lag
    counts = [f"{lag.lag:,}", f"{lag.useful_lag:,}", _rate(lag.rate_in), _rate(lag.rate_out)]
    return [row.worker.name, *counts, _span(lag.behind), _catch_up(lag)]


def _rate(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or not value else f"{value:.1f}"


def _catch_up(lag: GroupLag) -> str:
    if lag.catch_up is None:
        return "-" if lag.rate_in is None else "never"
    return _span(lag.catch_up)


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else long_duration(seconds)


def _facts(row: WorkerLag) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "worker": row.worker.name,
        "group_id": row.worker.group_id,
        "topics": list(row.worker.input_topics),
        "pattern": None if row.worker.input_pattern is None else row.worker.input_pattern.pattern,
        "missing_topics": list(row.missing),
    }
    if row.lag is None:
        return facts
    lag = row.lag
    return facts | {
        "partitions": lag.partitions,
        "committed": lag.committed,
        "end": lag.end,
        "lag": lag.lag,
        "useful_lag": lag.useful_lag,
        "rate_in": lag.rate_in,
        "rate_out": lag.rate_out,
        "behind_seconds": lag.behind,
        "catch_up_seconds": lag.catch_up,
    }
