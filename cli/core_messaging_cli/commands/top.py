"""``core kafka top``: a live view of the fleet on the whole screen."""

from __future__ import annotations

import asyncio
import sys

import click

from core_messaging.errors import ConfigurationError
from core_messaging.operations.fleet import control_topic
from core_messaging_cli.kafka_settings import kafka_settings


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2),
    default=1.0,
    show_default=True,
    help="Seconds between two looks at the state topic.",
)
def top(interval: float) -> None:
    """Watch all workers of the fleet on the whole screen, and act on them.

    It needs a control topic (the setting kafka_control_topic). A process says how it is every metrics_interval (10 s), so
    the numbers change that often. One row is one worker, in all its processes.

    \b
    up, down   select a worker
    s          sort by name, lag, condition, rate, retries or the slowest message
    /          show only workers with a text in their name, group, condition or process; Esc shows all
    p, r       pause the worker in every process; end every pause of it
    d          show its dead letters
    q          leave

    \b
    core kafka top
    NO_COLOR=1 core kafka top --interval 5
    """
    settings = kafka_settings("core kafka top", "watching the fleet")
    control_topic(settings)
    from rich.console import Console  # noqa: PLC0415 - its import takes long, and an error above needs none

    from core_messaging_cli.live_fleet import LiveFleet  # noqa: PLC0415 - as above

    console = Console()
    if not (sys.stdin.isatty() and console.is_terminal) or console.is_dumb_terminal:
        raise ConfigurationError(
            "`core kafka top` draws on a terminal, and this is none; nothing was done. `core kafka fleet` prints the same once"
        )

    async def watch() -> None:
        await LiveFleet(settings, console, interval).run()

    asyncio.run(watch())
