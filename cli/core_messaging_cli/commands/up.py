"""``core kafka up``: a broker to try things on, in the foreground."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import click

from core_messaging.definition.names import TOPIC_RULE, is_topic
from core_messaging.local_broker import artifacts, launcher
from core_messaging.local_broker.embedded import LIMITS
from core_messaging.local_broker.launcher import NewTopic, RunningBroker
from core_messaging_cli.tables import say

Engine = Literal["embedded", "apache"]

# The default port of every Kafka client, and of our settings.
KAFKA_PORT = 9092
_DEFAULT_DATA = Path(".core") / "kafka"


@click.command()
@click.option(
    "--engine",
    type=click.Choice(["embedded", "apache"]),
    default="embedded",
    show_default=True,
    help="embedded: in memory, starts at once. apache: Apache Kafka itself; needs Java and Maven.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=KAFKA_PORT,
    envvar="CORE_KAFKA_PORT",
    show_default=True,
    show_envvar=True,
    help="0 takes any free port.",
)
@click.option(
    "--topic", "topics", multiple=True, metavar="NAME[:PARTITIONS]", help="Create this topic; repeatable."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Folder of --engine apache for data and logs.  [default: {_DEFAULT_DATA}]",
)
@click.option(
    "--reset", is_flag=True, help="First delete what earlier runs of --engine apache left in the folder."
)
def up(engine: Engine, port: int, topics: tuple[str, ...], data: Path | None, reset: bool) -> None:
    """Start a Kafka broker to try things on; Ctrl-C stops it.

    \b
    core kafka up
    core kafka up --engine apache --topic emails:8 --topic emails-dlq
    core kafka up --port 0
    """
    wanted = _topics(topics)
    if engine == "embedded" and (data is not None or reset):
        raise click.UsageError(
            "the embedded broker keeps no data; --data and --reset go with --engine apache"
        )
    _stop_on_signals()
    try:
        if reset:
            launcher.delete_data(data or _DEFAULT_DATA)
        with _standing(engine, port, wanted, data or _DEFAULT_DATA) as broker:
            _announce(engine, broker.address)
            broker.wait()
    except KeyboardInterrupt:
        click.echo("stopped")


def _topics(texts: Sequence[str]) -> list[NewTopic]:
    wanted: dict[str, NewTopic] = {}
    for topic in map(_parse, texts):
        if wanted.setdefault(topic.name, topic) != topic:
            raise click.BadParameter(
                f"{topic.name} is given twice, with different numbers of partitions; give it once",
                param_hint="--topic",
            )
    return list(wanted.values())


def _parse(text: str) -> NewTopic:
    name, colon, number = text.partition(":")
    if not name or (colon and not (number.isdecimal() and int(number) > 0)):
        raise click.BadParameter(
            f"{text!r} is not NAME or NAME:PARTITIONS, as in emails:8", param_hint="--topic"
        )
    if not is_topic(name):
        raise click.BadParameter(
            f"{name!r} is not a topic name; a topic name has {TOPIC_RULE}", param_hint="--topic"
        )
    return NewTopic(name, int(number) if colon else None)


def _stop_on_signals() -> None:
    """Let SIGTERM and Ctrl-C stop the broker, also if a shell has started it with SIGINT ignored (`... &`)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _standing(
    engine: Engine, port: int, topics: list[NewTopic], folder: Path
) -> AbstractContextManager[RunningBroker]:
    if engine == "embedded":
        return launcher.embedded(port, topics)
    if not artifacts.kafka_folder().is_dir():
        click.echo(f"fetching Apache Kafka {artifacts.KAFKA_VERSION} by Maven, once (44 MB)")
    say(f"starting Apache Kafka {artifacts.KAFKA_VERSION}, data and log in {folder}")
    return launcher.apache(folder, port, topics)


def _announce(engine: Engine, address: str) -> None:
    title = "embedded Kafka broker" if engine == "embedded" else "Apache Kafka"
    click.echo(f"{title} at {address}; Ctrl-C stops it")
    if engine == "embedded":
        click.echo("its limits:")
        for limit in LIMITS:
            click.echo(f"  - {limit}")
        click.echo("without them: core kafka up --engine apache (needs Java and Maven)")
    # This line comes last, so a program that waits for it has everything.
    click.echo(f"\n  export KAFKA_BOOTSTRAP_SERVERS={address}\n")
