"""``core kafka worker``: run workers until they are asked to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from core_messaging.concurrency.exit_containment import run_to_its_end
from core_messaging.discovery.catalog import Catalog, discover
from core_messaging.discovery.project import Project
from core_messaging.discovery.worker_file import is_file
from core_messaging.errors import (
    ConfigurationError,
    KafkaDisabled,
    MessagesGone,
    PluginError,
    RetriesExhausted,
)
from core_messaging.kafka.bootstrap_servers import checked_servers
from core_messaging.kafka.dead_members import report_dead_processes
from core_messaging.kafka.membership import AUTO
from core_messaging.plugins.manager import WRONG, PluginReport, Plugins, check_ports, load
from core_messaging.runtime.announcements import cause_is_logged
from core_messaging.runtime.event_loop import new_event_loop
from core_messaging.runtime.log_config import use_log_config
from core_messaging.runtime.logging import LOG_FORMATS, LogFormat, set_up_logging, tell_the_end
from core_messaging.runtime.process_exit import FOR_GOOD, leave_at_once, limit_the_exit
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.runtime.supervisor import Supervisor, pipe_from_supervisor
from core_messaging.settings import Settings
from core_messaging.worker import Worker, config_of, with_config
from core_messaging_cli.reloading import Reloader, folders_of
from core_messaging_cli.selection import check_selection, some_of, workers_named
from core_messaging_cli.standard_streams import forgive_output
from core_messaging_cli.worker_completion import complete_workers

logger = logging.getLogger("core_messaging.worker")

LEVELS = click.Choice(["debug", "info", "warning", "error"], case_sensitive=False)
# How this process waits for its work: ``_as_it_is``, or ``Reloader.until_changed``.
Around = Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, None]]
TO_BEGIN = 10.0  # seconds that a process may take to start, after it has found a broker


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_workers)
@click.option("--all", "everything", is_flag=True, help="Run every worker there is.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    help="How many messages to process at the same time, instead of the worker's own number.",
)
@click.option(
    "--skip-broken", is_flag=True, help="With --all: run the healthy workers, and report the others."
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Run this many processes in one group; each has its share of the partitions. For handlers that need the CPU.",
)
@click.option(
    "--reload",
    is_flag=True,
    help="Finish what runs and start again when a file of the project changes.",
)
@click.option("--create-topics", is_flag=True, help="Create topics that do not exist.")
@click.option("--disable-plugin", multiple=True, metavar="NAME", help="Do not load this plugin; repeatable.")
@click.option("--trace-plugins", is_flag=True, help="Log every hook call with its time.")
@click.option(
    "--log-level",
    type=LEVELS,
    help="How much is logged.  [default: what src/settings.py sets up, or info]",
)
@click.option(
    "--client-log-level",
    type=LEVELS,
    help="How much the Kafka client logs; debug: each request.  [default: warning, an outage once]",
)
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    help="json: one object for each line.  [default: text]",
)
@click.option(
    "--log-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Log as this file says (logging.config.dictConfig, in JSON or TOML), and in no other way.",
)
def worker(**given: Any) -> None:
    """Run workers until SIGTERM, Ctrl-C or SIGHUP.

    The first signal stops taking messages, finishes what runs, commits and leaves the group; the second leaves
    at once. NAME is a worker's name, package:NAME where two packages use the same one, or a file
    (path/to/file.py for all its workers, path/to/file.py:NAME for one).

    \b
    core kafka worker EmailWorker
    core kafka worker hello.py
    core kafka worker EmailWorker --reload
    core kafka worker EmailWorker --concurrency 8
    core kafka worker --all --create-topics
    core kafka worker ReportWorker --processes 4
    """
    forgive_output()
    wanted = Wanted(**given)
    wanted.check()
    if wanted.reload:
        reloader = Reloader(folders_of(filter(is_file, wanted.names)))
        reloader.run(lambda: _start(wanted, reloader.until_changed))
    else:
        _start(wanted, _as_it_is)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The command line of ``core kafka worker``; a field has the name of its option."""

    names: tuple[str, ...]
    everything: bool
    concurrency: int | None
    skip_broken: bool
    processes: int
    reload: bool
    create_topics: bool
    disable_plugin: tuple[str, ...]
    trace_plugins: bool
    log_level: str | None
    client_log_level: str | None
    log_format: LogFormat | None
    log_config: Path | None

    def check(self) -> None:
        """Check the options. Raises click.UsageError for options that exclude each other."""
        if self.log_config is not None and (self.log_level or self.client_log_level or self.log_format):
            raise click.UsageError(
                "--log-config says how to log, and nothing is added to it; leave out --log-level, --client-log-level "
                "and --log-format"
            )
        if self.reload and self.processes > 1:
            raise click.UsageError("--reload is for one process; leave out --processes")


def _start(wanted: Wanted, around: Around) -> None:
    project = Project(Path.cwd())
    settings = project.settings()
    orders = pipe_from_supervisor() if settings.core_process is not None else None
    if wanted.log_config is not None:
        project.importable()  # it may name a handler of the project
        use_log_config(wanted.log_config)
    else:
        set_up_logging(wanted.log_level, wanted.log_format, settings.core_process, wanted.client_log_level)
    chosen, degraded = _choose(
        discover(), wanted.names, everything=wanted.everything, skip_broken=wanted.skip_broken
    )
    if wanted.processes > 1:
        check_ports(settings, wanted.processes, disable=wanted.disable_plugin)
        sys.exit(_supervise(wanted.processes, settings, chosen))
    if wanted.concurrency is not None:
        chosen = [with_config(w, replace(config_of(w), concurrency=wanted.concurrency)) for w in chosen]
    options = RunOptions(
        settings=settings,
        create_topics=wanted.create_topics,
        plugins=_plugins(settings, wanted.disable_plugin, trace=wanted.trace_plugins),
        degraded=degraded,
        exit_now=leave_at_once,
        orders=orders,
    )
    try:
        _run(lambda: around(run_workers(chosen, options)))
    except (RetriesExhausted, MessagesGone, ConfigurationError) as error:
        # A restart may help a plugin: a port may be free a moment later.
        if orders is None or isinstance(error, PluginError):
            raise
        if not cause_is_logged(error):
            tell_the_end(f"core: {error}")
        leave_at_once(FOR_GOOD)


async def _as_it_is(work: Coroutine[Any, Any, None]) -> None:
    """Work, and bound the time of the exit, also after an error."""
    code = 1
    try:
        await work
        code = 0
    finally:
        limit_the_exit(code)


def _supervise(processes: int, settings: Settings, workers: Sequence[type[Worker]]) -> int:
    """Start the processes. Errors in the workers are reported before, so each is reported once."""
    if not settings.kafka_enabled:
        raise KafkaDisabled("running workers")
    if settings.kafka_broker == "kafka":
        checked_servers(settings.kafka_bootstrap_servers)

    def environment(place: int) -> dict[str, str]:
        added = {"CORE_PROCESS": str(place)}
        if settings.kafka_group_instance_id not in (None, AUTO):
            # Two members with one identity would fence each other.
            added["KAFKA_GROUP_INSTANCE_ID"] = f"{settings.kafka_group_instance_id}-{place}"
        return added

    groups = sorted({config_of(worker).group_id for worker in workers})

    async def report_death() -> None:
        if settings.kafka_broker == "kafka" and settings.kafka_report_dead_members:
            await report_dead_processes(settings, groups)

    # Without -P, ``-m`` puts the current folder before the standard library, and a project may have an email.py.
    command = [sys.executable, "-P", "-m", "core_messaging_cli", "kafka", "worker"]
    command += _given_without("processes")
    soon = settings.kafka_start_timeout + TO_BEGIN  # the start includes the wait for a broker
    return asyncio.run(Supervisor(command, processes, environment, soon, report_death).run())


def _given_without(name: str) -> list[str]:
    """Build the command line again from the parsed options, without the option *name*."""
    context = click.get_current_context()
    words: list[str] = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name != name and value not in (None, False, ()):
            words += _words(parameter, value)
    return words


def _words(parameter: click.Parameter, value: Any) -> list[str]:
    if isinstance(parameter, click.Argument):
        return list(value)
    if value is True:
        return [parameter.opts[0]]
    values = value if isinstance(value, tuple) else (value,)
    return [word for each in values for word in (parameter.opts[0], str(each))]


def _plugins(settings: Settings, disable: Sequence[str], *, trace: bool) -> Plugins:
    plugins = load(settings, disable=disable)
    if trace:
        plugins.trace()
    for report in plugins.report():
        if report.state in WRONG:
            _log_broken(report)
    return plugins


def _log_broken(report: PluginReport) -> None:
    logger.error(
        "plugin %s (%s) is %s: %s; %s. Mend or upgrade %s, or start with --disable-plugin %s",
        report.name,
        report.label,
        report.said_state,
        report.cause,
        "its other hooks are used" if report.usable else "it is not used",
        report.distribution or report.name,
        report.name,
        extra={"plugin": report.name, "action": "plugin broken"},
    )


def _choose(
    catalog: Catalog, names: Sequence[str], *, everything: bool, skip_broken: bool
) -> tuple[list[type[Worker]], tuple[str, ...]]:
    """Return the workers to run, and what should run and cannot."""
    check_selection(names, everything=everything)
    if skip_broken and not everything:
        raise click.UsageError("--skip-broken goes with --all: a worker that is asked for by name has to run")
    if names:
        return workers_named(catalog, names), ()
    if not skip_broken:
        return some_of(catalog.all()), ()
    degraded = tuple(f"{who}: {cause}" for who, cause in catalog.culprits().items())
    for culprit in degraded:
        logger.error("not run: %s", culprit, extra={"action": "skipped broken"})
    return some_of(catalog.healthy()), degraded


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    # What is imported by now stays. If each full garbage collection walked over it, that would cost as much for each
    # message as publishing one.
    gc.collect()
    gc.freeze()
    run_to_its_end(main(), new_event_loop)
