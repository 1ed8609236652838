"""``core kafka topics``: compares the topics that workers need and declare with those of the cluster."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import click

from core_messaging.discovery.catalog import discover
from core_messaging.operations.topics import TopicPlan, TopicUse, apply_changes, plan_of
from core_messaging.options import Topic
from core_messaging.rules.topic_plan import Change, Kind
from core_messaging.settings import Settings
from core_messaging.text.wording import counted
from core_messaging.worker import config_of
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.selection import chosen
from core_messaging_cli.tables import say, say_json, show_table
from core_messaging_cli.worker_completion import complete_workers

COLUMNS = ("topic", "partitions", "replication", "declared", "workers")

_names = click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_workers)
_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON value, for programs.")


@click.group()
def topics() -> None:
    """Compare the topics that workers need and declare with those of the cluster. Nothing is ever deleted.

    \b
    core kafka topics list      each topic, as it is and as it is declared
    core kafka topics plan      what would change; exit code 1 if anything would
    core kafka topics apply     carry it out
    """


@topics.command("list")
@_names
@_as_json
def list_topics(names: tuple[str, ...], as_json: bool) -> None:
    """Show the topics of the workers called NAME, or of all workers."""
    _settings, plan = _plan(names, err=as_json)
    if as_json:
        say_json([_facts(use) for use in plan.uses])
        return
    show_table(COLUMNS, [_cells(use) for use in plan.uses])
    for words in plan.patterns:
        say(words, err=True)
    if plan.changes:
        count = counted(len(plan.changes), "difference")
        say(f"{count}; see `core kafka topics plan`", err=True)


@topics.command()
@_names
@_as_json
def plan(names: tuple[str, ...], as_json: bool) -> None:
    """Show what has to change so that topics are as declared.

    It concerns the topics of the workers called NAME, or of all workers. Exit code 0: nothing has to change. 1: something has to.
    """
    _, found = _plan(names, err=as_json)
    if as_json:
        say_json([_change_facts(change) for change in found.changes])
    else:
        _show_changes(found.changes)
    sys.exit(1 if found.changes else 0)


@topics.command()
@_names
@click.option("--yes", is_flag=True, help="Add partitions without asking.")
def apply(names: tuple[str, ...], yes: bool) -> None:
    """Create and change topics so that they are as declared.

    It concerns the topics of the workers called NAME, or of all workers. It creates topics, adds partitions after a
    question, and changes configurations. It never deletes. Added partitions move keys: two messages of one key may then be
    in two partitions, and their order is not kept.

    \b
    core kafka topics apply
    core kafka topics apply OrderWorker --yes
    """
    settings, found = _plan(names)
    _show_changes(found.changes)
    steps = [change for change in found.changes if change.kind is not Kind.IMPOSSIBLE]
    growing = [change.topic for change in steps if change.kind is Kind.ADD_PARTITIONS]
    if growing and not yes and not _agreed(growing):
        steps = [change for change in steps if change.kind is not Kind.ADD_PARTITIONS]
    asyncio.run(apply_changes(settings, steps))
    if steps:
        say(f"done: {counted(len(steps), 'change')}")
    if left := len(found.changes) - len(steps):
        say(f"core: {counted(left, 'difference')} left", err=True)
        sys.exit(1)


def _agreed(growing: Sequence[str]) -> bool:
    if not sys.stdin.isatty():
        say("not added: there is no terminal to ask at, and --yes is not given", err=True)
        return False
    return click.confirm(f"add partitions to {', '.join(growing)}?", err=True)


def _plan(names: Sequence[str], *, err: bool = False) -> tuple[Settings, TopicPlan]:
    settings = kafka_settings("core kafka topics", "looking at topics")
    workers = [config_of(worker) for worker in chosen(discover(), names)]
    say(f"broker {settings.kafka_bootstrap_servers}", err=err)
    return settings, asyncio.run(plan_of(settings, workers))


def _show_changes(changes: Sequence[Change]) -> None:
    if not changes:
        say("every topic is as declared")
    for change in changes:
        say(f"{change.kind.value}: {change.topic}: {change.text}")


def _cells(use: TopicUse) -> list[str]:
    users = ", ".join(dict.fromkeys(use.workers))
    if use.actual is None:
        return [str(use.topic), "missing", "-", _declared(use.topic), users]
    numbers = [str(use.actual.partitions), str(use.actual.replication)]
    return [str(use.topic), *numbers, _declared(use.topic), users]


def _declared(topic: str) -> str:
    if not isinstance(topic, Topic):
        return "-"
    facts = {"partitions": topic.partitions, "replication": topic.replication, **topic.config}
    return ", ".join(f"{name}={value}" for name, value in facts.items() if value is not None)


def _facts(use: TopicUse) -> dict[str, Any]:
    declared = use.topic if isinstance(use.topic, Topic) else Topic(use.topic)
    return {
        "topic": str(use.topic),
        "workers": list(dict.fromkeys(use.workers)),
        "exists": use.actual is not None,
        "partitions": use.actual.partitions if use.actual else None,
        "replication": use.actual.replication if use.actual else None,
        "config": {name: use.actual.config.get(name) for name in declared.config} if use.actual else {},
        "declared": {
            "partitions": declared.partitions,
            "replication": declared.replication,
            "config": dict(declared.config),
        },
    }


def _change_facts(change: Change) -> dict[str, Any]:
    return {"topic": change.topic, "change": change.kind.value, "text": change.text}
