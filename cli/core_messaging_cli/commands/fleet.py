"""``core kafka fleet``, ``pause`` and ``resume``: the processes that run workers, seen and paused through Kafka."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator

import click
import msgspec

from core_messaging.discovery.catalog import discover
from core_messaging.operations.fleet import Obedience, control_topic, look_at_fleet
from core_messaging.operations.fleet import pause as pause_target
from core_messaging.operations.fleet import resume as resume_target
from core_messaging.rules.fleet_state import ProcessState, SilentProcess, WorkerState, facts_of
from core_messaging.rules.pauses import Pause, PauseTarget
from core_messaging.settings import Settings
from core_messaging.text.wording import counted, until
from core_messaging_cli.durations import seconds_in
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.person import who_asks
from core_messaging_cli.selection import worker_named
from core_messaging_cli.tables import say, say_json, show_table

COLUMNS = (
    "process",
    "worker",
    "condition",
    "lag",
    "useful",
    "running",
    "retries",
    "done",
    "failed",
    "reason",
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON value, for programs.")
def fleet(as_json: bool) -> None:
    """Show the processes that run workers, and what is paused.

    It needs a control topic (the setting kafka_control_topic). A process that was not heard of for three times its
    metrics_interval is named below the table if its partitions wait.
    """
    settings = kafka_settings("core kafka fleet", "looking at the fleet")
    found = asyncio.run(look_at_fleet(settings))
    if as_json:
        pauses = [
            msgspec.to_builtins(target) | msgspec.to_builtins(each) for target, each in found.pauses.items()
        ]
        silent = [{**facts_of(each.state), "waiting": each.waiting} for each in found.silent]
        processes = [facts_of(each) for each in found.processes]
        say_json({"processes": processes, "silent": silent, "pauses": pauses})
        return
    say(f"broker {settings.kafka_bootstrap_servers}, control topic {control_topic(settings)}")
    show_table(
        COLUMNS, [_cells(process, worker) for process in found.processes for worker in process.workers]
    )
    for quiet in found.silent:
        say(_silence(quiet, time.time()))
    for target, each in found.pauses.items():
        by = f" by {each.by}" if each.by else ""
        say(f"paused: {target}{by}{until(each.until)}")
    for text in _at_risk(found.processes):
        say(text)
    if found.unreadable:
        count = counted(found.unreadable, "record")
        say(f"{count} of the state topic cannot be read, and count for nothing", err=True)


def _at_risk(processes: Iterable[ProcessState]) -> Iterator[str]:
    """A line for each worker with paused partitions that lose messages soon."""
    for process in processes:
        for worker in process.workers:
            if worker.at_risk:
                where = f"{worker.name} at {process.address}: {', '.join(worker.at_risk)}"
                yield f"{where}: paused, and Kafka soon deletes the oldest unread message; resume it, or raise retention.ms"


def _cells(process: ProcessState, worker: WorkerState) -> list[str]:
    done, failed = worker.counters.get("succeeded", 0), worker.counters.get("failed", 0)
    numbers = [
        _number(worker.lag),
        _number(worker.useful_lag),
        str(worker.running),
        str(worker.waiting_retries),
    ]
    return [
        f"{process.host}:{process.pid}",
        worker.name,
        worker.condition,
        *numbers,
        f"{done:,}",
        f"{failed:,}",
        worker.reason,
    ]


def _silence(found: SilentProcess, now: float) -> str:
    waiting = "; ".join(f"{name} {', '.join(sources)}" for name, sources in found.waiting.items())
    return (
        f"not heard of for {now - found.state.at:.0f} s: {found.state.address}. No other process has its partitions yet: {waiting}. "
        "If it is dead, the group gives them to others when its session ends (kafka_session_timeout), or as soon as it is "
        "started again on its machine"
    )


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


@click.command()
@click.argument("name")
@click.option("--topic", help="Only this input topic.")
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition of --topic.")
@click.option("--for", "duration", metavar="TIME", help="Pause for this time only: 90s, 10m, 2h, 1d.")
def pause(name: str, topic: str | None, partition: int | None, duration: str | None) -> None:
    """Pause worker NAME in every process: it fetches nothing more, until it is resumed.

    What it has fetched already is processed. The pause lasts beyond restarts: a process that starts reads it first. It needs
    a control topic (the setting kafka_control_topic).

    \b
    core kafka pause Orders
    core kafka pause Orders --topic orders --partition 3 --for 10m
    """
    end = None if duration is None else time.time() + seconds_in("--for", duration)
    settings, target = _target(name, topic, partition)
    found = asyncio.run(pause_target(settings, target, Pause(until=end, by=who_asks())))
    say(f"paused: {target}{until(end)}")
    _say_obedience(found)


@click.command()
@click.argument("name")
@click.option("--topic", help="The topic that was given to pause.")
@click.option("--partition", type=click.IntRange(min=0), help="The partition that was given to pause.")
def resume(name: str, topic: str | None, partition: int | None) -> None:
    """End the pause of worker NAME. Name the topic and the partition as they were named to `core kafka pause`."""
    settings, target = _target(name, topic, partition)
    found = asyncio.run(resume_target(settings, target))
    say(f"resumed: {target}")
    _say_obedience(found)
    left = [str(each) for each in asyncio.run(look_at_fleet(settings)).pauses if each.group == target.group]
    if left:
        say(f"still paused: {'; '.join(left)}", err=True)


def _say_obedience(found: Obedience) -> None:
    many = len(found.obeyed) + len(found.silent)
    if not many:
        say("no process runs it now; one that starts obeys")
        return
    say(f"{len(found.obeyed)} of {counted(many, 'process')} obeyed")
    if found.silent:
        names = ", ".join(f"{each.host}:{each.pid}" for each in found.silent)
        say(f"core: not heard of: {names}; they obey as soon as they reach the broker", err=True)
        sys.exit(1)


def _target(name: str, topic: str | None, partition: int | None) -> tuple[Settings, PauseTarget]:
    if partition is not None and topic is None:
        raise click.UsageError("--partition needs --topic")
    settings = kafka_settings("core kafka fleet", "pausing workers")
    control_topic(settings)
    worker = worker_named(discover(), name)
    if topic is not None and not worker.reads(topic):
        raise click.UsageError(f"{worker.name} reads {worker.inputs}, and not {topic}")
    return settings, PauseTarget(group=worker.group_id, topic=topic, partition=partition)
