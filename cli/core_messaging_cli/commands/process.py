"""``core kafka drain``, ``dump`` and ``log-level``: commands to one process, through the control topic."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

import click

from core_messaging.logs.secrecy import hidden
from core_messaging.operations.commands import PATIENCE, command
from core_messaging.operations.fleet import find_process
from core_messaging.rules.commands import Answer, Argument
from core_messaging.rules.fleet_state import ProcessState
from core_messaging.settings import Settings
from core_messaging.text.printable import printable
from core_messaging_cli.durations import seconds_in
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.person import who_asks
from core_messaging_cli.tables import say

LONGEST_LINE = 1_000  # characters of one line of an answer


@click.command()
@click.argument("process")
@click.option("--for-good", is_flag=True, help="Under --processes: do not start it again.")
def drain(process: str, for_good: bool) -> None:
    """End one process in order: it takes no more messages, finishes what runs, commits and leaves its groups.

    PROCESS is host:pid as `core kafka fleet` shows it, a pid that is unique in the fleet, or the beginning of an id. The
    other processes take its partitions over. Under `core kafka worker --processes` only this one ends, and it is started
    again at once; with --for-good it is not. It needs a control topic (the setting kafka_control_topic).

    \b
    core kafka drain web-1:4711
    core kafka drain 4711 --for-good
    """
    _send(process, "drain", {"for_good": for_good})


@click.command()
@click.argument("process")
def dump(process: str) -> None:
    """Show what one process does at this moment: what its workers hold, and where each task and thread stands.

    No key, no message and no value of a variable is shown. A process whose event loop is blocked does not answer; send
    SIGUSR1 to it (`kill -USR1 PID`): it writes the same to its standard error, also without a control topic. PROCESS is
    host:pid as `core kafka fleet` shows it, a pid that is unique in the fleet, or the beginning of an id.

    \b
    core kafka dump web-1:4711
    """
    _send(process, "dump", {})


@click.command("log-level")
@click.argument("process")
@click.argument("level", type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False))
@click.option(
    "--for",
    "lasting",
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Then the level goes back by itself: 90s, 10m, 2h; a day at most.",
)
def log_level(process: str, level: str, lasting: str) -> None:
    """Let one process log more or less for a time. Then its level goes back by itself.

    PROCESS is host:pid as `core kafka fleet` shows it, a pid that is unique in the fleet, or the beginning of an id. It
    needs a control topic (the setting kafka_control_topic).

    \b
    core kafka log-level web-1:4711 debug --for 5m
    """
    _send(process, "log-level", {"level": level.lower(), "seconds": seconds_in("--for", lasting)})


def _send(name: str, order: str, arguments: Mapping[str, Argument]) -> None:
    """Send the command, and show the answer. Exit code 1 where the process does not obey."""
    settings = kafka_settings(f"core kafka {order}", "asking a process")
    found, answer = asyncio.run(_ask(settings, name, order, arguments))
    if answer is None:
        say(
            f"core: {found.address} has not answered within {PATIENCE:g} s, and does not begin with it any more; see whether "
            "its log says why, and whether the clocks agree",
            err=True,
        )
    elif not answer.done:
        say(f"core: {found.address}: {answer.text}", err=True)
    else:
        _show(found, answer.text)
        return
    sys.exit(1)


async def _ask(
    settings: Settings, name: str, order: str, arguments: Mapping[str, Argument]
) -> tuple[ProcessState, Answer | None]:
    found = await find_process(settings, name)
    return found, await command(settings, found, order, arguments, who_asks())


def _show(process: ProcessState, text: str) -> None:
    first, *rest = hidden(text).split("\n")
    say(f"{process.address}: {first}")
    for line in rest:
        click.echo(printable(line, LONGEST_LINE))
