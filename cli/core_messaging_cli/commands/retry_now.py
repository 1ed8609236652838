"""``core kafka retry-now``: what waits for a retry is tried now."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from core_messaging.discovery.catalog import discover
from core_messaging.operations.commands import PATIENCE
from core_messaging.operations.retry_now import Answered, retry_now
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.person import who_asks
from core_messaging_cli.selection import worker_named
from core_messaging_cli.tables import say
from core_messaging_cli.worker_completion import complete_workers


@click.command("retry-now")
@click.argument("name", shell_complete=complete_workers)
@click.option("--key", help="Only messages with this key.")
def retry(name: str, key: str | None) -> None:
    """Let every process of worker NAME try now what waits for a retry: after a mend, nobody has to wait for long delays.

    The attempt counts like any other. It needs a control topic (the setting kafka_control_topic).

    \b
    core kafka retry-now Orders
    core kafka retry-now Orders --key order-7
    """
    settings = kafka_settings("core kafka retry-now", "asking the processes of a worker")
    worker = worker_named(discover(), name)
    wanted = None if key is None else os.fsencode(key)
    answers = asyncio.run(retry_now(settings, worker.group_id, key=wanted, by=who_asks()))
    if not answers:
        raise click.ClickException(
            f"no process of group {worker.group_id} is in the fleet, so nothing was tried; what waits is tried when the worker "
            "starts and its time has come (see `core kafka fleet`)"
        )
    obeyed = [_told(each) for each in answers]
    if not all(obeyed):
        sys.exit(1)


def _told(answered: Answered) -> bool:
    """Show what one process said; whether it has obeyed."""
    answer, address = answered.answer, answered.process.address
    if answer is None:
        say(f"core: {address} has not answered within {PATIENCE:g} s; see whether its log says why", err=True)
        return False
    say(f"{'' if answer.done else 'core: '}{address}: {answer.text}", err=not answer.done)
    return answer.done
