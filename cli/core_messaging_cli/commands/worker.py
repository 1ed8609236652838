"""``core kafka worker``: run workers until they are asked to stop."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from core_messaging.discovery import Catalog, discover
from core_messaging.logs import LOG_FORMATS, LogFormat, set_up_logging
from core_messaging.plugins import WRONG, Plugins, load
from core_messaging.project import Project
from core_messaging.runtime import RunOptions, leave_at_once, run_workers
from core_messaging.settings import Settings
from core_messaging.worker import Worker, config_of, with_config

logger = logging.getLogger("core_messaging.worker")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Run every worker there is.")
@click.option(
    "--concurrency", type=click.IntRange(min=1), help="Messages at once, instead of the worker's own."
)
@click.option(
    "--skip-broken", is_flag=True, help="With --all: run the healthy workers, and report the others."
)
@click.option("--create-topics", is_flag=True, help="Create topics that do not exist.")
@click.option("--disable-plugin", multiple=True, metavar="NAME", help="Do not load this plugin; repeatable.")
@click.option("--trace-plugins", is_flag=True, help="Log every hook call with its time.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default="text",
    show_default=True,
    help="json: one object a line.",
)
def worker(
    names: tuple[str, ...],
    everything: bool,
    concurrency: int | None,
    skip_broken: bool,
    create_topics: bool,
    disable_plugin: tuple[str, ...],
    trace_plugins: bool,
    log_level: str,
    log_format: LogFormat,
) -> None:
    """Run workers until SIGTERM or Ctrl-C.

    The first signal stops taking messages, finishes what runs, commits and leaves the group; the second leaves
    at once. NAME is a worker's name, or package:Name where two packages use the same one.

    \b
    core kafka worker EmailWorker
    core kafka worker EmailWorker --concurrency 8
    core kafka worker --all --create-topics
    """
    set_up_logging(log_level, log_format)
    settings = Project(Path.cwd()).settings()
    chosen, degraded = _choose(discover(), names, everything=everything, skip_broken=skip_broken)
    if concurrency is not None:
        chosen = [with_config(w, replace(config_of(w), concurrency=concurrency)) for w in chosen]
    options = RunOptions(
        settings=settings,
        create_topics=create_topics,
        plugins=_plugins(settings, disable_plugin, trace=trace_plugins),
        degraded=degraded,
        exit_now=leave_at_once,
    )
    _run(lambda: run_workers(chosen, options))


def _plugins(settings: Settings, disable: Sequence[str], *, trace: bool) -> Plugins:
    plugins = load(settings, disable=disable)
    if trace:
        plugins.trace()
    for report in plugins.report():
        if report.state in WRONG:
            logger.error(
                "plugin %s (%s) is %s: %s; %s",
                report.name,
                report.label,
                report.state,
                report.cause,
                "the rest of it is used" if report.usable else "it is not used",
                extra={"plugin": report.name, "action": "plugin broken"},
            )
    return plugins


def _choose(
    catalog: Catalog, names: Sequence[str], *, everything: bool, skip_broken: bool
) -> tuple[list[type[Worker]], tuple[str, ...]]:
    """The workers to run, and what should run and does not."""
    if everything == bool(names):
        raise click.UsageError("give the NAME of one or more workers, or --all (see `core kafka workers`)")
    if skip_broken and not everything:
        raise click.UsageError("--skip-broken goes with --all: a worker that is asked for by name has to run")
    if names:
        return list(dict.fromkeys(catalog.find(name) for name in names)), ()
    if not skip_broken:
        return _some(catalog.all()), ()
    degraded = tuple(f"{who}: {cause}" for who, cause in catalog.culprits().items())
    for culprit in degraded:
        logger.error("not run: %s", culprit, extra={"action": "skipped broken"})
    return _some(catalog.healthy()), degraded


def _some(workers: list[type[Worker]]) -> list[type[Worker]]:
    if not workers:
        raise click.ClickException(
            "there is no worker to run: no installed package has an entry point in core.workers, and there is "
            "nothing under src/workers; see `core kafka workers`"
        )
    return workers


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On uvloop where it is installed (`pip install 'core-messaging[speed]'`)."""
    factory = None
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop  # noqa: PLC0415 - an extra

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
