"""``core kafka doctor``: checks what people check first when something is wrong. Each finding has a remedy."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from core_messaging.config import WorkerConfig
from core_messaging.discovery.catalog import Catalog, discover
from core_messaging.operations.doctor import examine
from core_messaging.plugins.manager import WRONG, find
from core_messaging.rules.diagnosis import Finding, Level
from core_messaging.settings import Settings
from core_messaging.text.wording import counted
from core_messaging.worker import config_of
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.selection import workers_named
from core_messaging_cli.tables import say, say_json


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
def doctor(names: tuple[str, ...], as_json: bool) -> None:
    """Check the cluster, topics, groups, settings, plugins and this machine.

    It checks what the workers called NAME need, or all workers. Each finding has a remedy. Exit code 0: no problem (there may
    be warnings). 1: at least one problem.

    The command only reads: it joins no group, commits nothing and creates no topic.

    \b
    core kafka doctor
    core kafka doctor OrderWorker --json
    """
    settings = kafka_settings("core kafka doctor", "looking at the cluster")
    catalog = discover()
    found = [*_of_workers(catalog), *_of_plugins(settings)]
    found += asyncio.run(examine(settings, _workers(catalog, names)))
    if as_json:
        say_json([_facts(finding) for finding in found])
    else:
        _show(found)
    sys.exit(1 if any(finding.level is Level.PROBLEM for finding in found) else 0)


def _workers(catalog: Catalog, names: Sequence[str]) -> list[WorkerConfig]:
    return [config_of(worker) for worker in (workers_named(catalog, names) if names else catalog.healthy())]


def _of_workers(catalog: Catalog) -> Iterator[Finding]:
    for who, cause in catalog.culprits().items():
        yield Finding(f"worker {who}", Level.PROBLEM, cause, "mend it; see `core kafka workers`")


def _of_plugins(settings: Settings) -> Iterator[Finding]:
    for report in find(settings):
        if report.state in WRONG:
            text = f"it is {report.said_state}: {report.cause}"
            remedy = "mend it, or disable it with the setting core_plugins_disable"
            yield Finding(f"plugin {report.name}", Level.PROBLEM, text, remedy)


def _show(found: Sequence[Finding]) -> None:
    for finding in found:
        say(f"{finding.level.value}: {finding.check}: {finding.text}")
        if finding.remedy:
            say(f"    {finding.remedy}")
    problems = sum(finding.level is Level.PROBLEM for finding in found)
    warnings = sum(finding.level is Level.WARNING for finding in found)
    say(f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}")


def _facts(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "text": finding.text,
        "remedy": finding.remedy or None,
    }
