"""The ``core`` command: its groups, and how an error becomes one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise

import click

from core_messaging.errors import CoreMessagingError
from core_messaging.runtime.logging import LOG_FORMATS, LogFormat, begin_to_log, tell_the_end
from core_messaging_cli import standard_streams
from core_messaging_cli.lazy import LazyGroup
from core_messaging_cli.plugin_commands import PluginGroup

_COMMANDS = "core_messaging_cli.commands"
# What a shell reports for a command that SIGPIPE ends: `core plugins | head -1`.
_READER_LEFT = 128 + signal.SIGPIPE

KAFKA = {
    "up": (f"{_COMMANDS}.up:up", "Start a broker to try things on."),
    "worker": (f"{_COMMANDS}.worker:worker", "Run workers: NAME..., or --all."),
    "publish": (f"{_COMMANDS}.publish:publish", "Publish messages from the command line, a file or a pipe."),
    "offsets": (
        f"{_COMMANDS}.offsets:offsets",
        "Show offsets, lag and unfinished messages of each partition.",
    ),
    "lag": (f"{_COMMANDS}.lag:lag", "Show how far the groups of workers are behind."),
    "topics": (f"{_COMMANDS}.topics:topics", "Compare declared topics with those of the cluster."),
    "fleet": (f"{_COMMANDS}.fleet:fleet", "Show the processes that run workers, and what is paused."),
    "top": (f"{_COMMANDS}.top:top", "Watch all workers on the whole screen, and act on them."),
    "pause": (f"{_COMMANDS}.fleet:pause", "Pause a worker in every process."),
    "resume": (f"{_COMMANDS}.fleet:resume", "End the pause of a worker."),
    "drain": (f"{_COMMANDS}.process:drain", "End one process in order."),
    "dump": (f"{_COMMANDS}.process:dump", "Show what one process does at this moment."),
    "log-level": (f"{_COMMANDS}.process:log_level", "Let one process log more for a time."),
    "retry-now": (f"{_COMMANDS}.retry_now:retry", "Try now what waits for a retry."),
    "dlq": (f"{_COMMANDS}.dlq:dlq", "List, show, replay and drop dead letters."),
    "doctor": (f"{_COMMANDS}.doctor:doctor", "Check cluster, topics, groups, settings and plugins."),
    "reset-offsets": (
        f"{_COMMANDS}.reset_offsets:reset_offsets",
        "Move the offsets of a stopped worker by hand.",
    ),
    "workers": (f"{_COMMANDS}.workers:workers", "List the workers, and which are broken."),
}

TOP = {
    "new": (
        f"{_COMMANDS}.new:new",
        "Write a project, or a package with a worker or a plugin.",
    ),
    "completion": (f"{_COMMANDS}.completion:completion", "Print the completion script of bash, zsh or fish."),
    "plugins": (f"{_COMMANDS}.plugins:plugins", "List the installed plugins, with their state."),
    "kafka": ("core_messaging_cli.main:kafka", "Workers, topics and brokers."),
}


@click.group(cls=PluginGroup, table=TOP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="core-messaging")
def core() -> None:
    """Run the Kafka workers that installed packages and this project advertise.

    \b
    core kafka workers                     what there is
    core kafka worker EmailWorker          run one
    core kafka worker --all                run them all
    """


@click.group(cls=LazyGroup, table=KAFKA)
def kafka() -> None:
    """Workers, topics and brokers."""


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 something the user can mend (one line), 2 wrong usage, 130 Ctrl-C, 141 nobody reads the output.
    """
    standard_streams.prepare()
    log_format = _log_format(sys.argv[1:])
    begin_to_log(log_format)
    try:
        _run(log_format)
    except (OSError, SystemExit):  # click turns a broken pipe into SystemExit(1)
        if (lost := standard_streams.why_output_is_lost()) is None:
            raise
        standard_streams.drop_output()
        if isinstance(lost, BrokenPipeError):  # the reader has seen enough
            sys.exit(_READER_LEFT)
        _tell_error(f"standard output cannot be written: {lost.strerror}")
        sys.exit(1)


def _run(log_format: LogFormat) -> None:
    try:
        core(standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        _tell_wrong_usage(error, log_format)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _tell_error(error.format_message())
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except CoreMessagingError as error:
        _tell_error(str(error))
        _leave(1)


def _log_format(words: Sequence[str]) -> LogFormat:
    """The --log-format of the command line.

    It is read here, because errors in settings and options are reported before click has parsed the options.
    """
    given: LogFormat = "text"
    for word, following in pairwise([*words, ""]):
        if word in ("--log-format=json", "--log-format=text"):
            given = "json" if word.endswith("json") else "text"
        elif word == "--log-format" and following in LOG_FORMATS:
            given = "json" if following == "json" else "text"
    return given


def _tell_wrong_usage(error: click.UsageError, log_format: LogFormat) -> None:
    if isinstance(
        error, click.exceptions.NoArgsIsHelpError
    ):  # a group without a command: the message of the error is the help
        error.show()
        return
    if log_format == "text" and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try `{error.ctx.command_path} --help`.\n", err=True)
    _tell_error(error.format_message())


def _tell_error(text: str) -> None:
    """All errors of the command line look alike: ``core: what happened``."""
    tell_the_end(f"core: {text}")


def _leave(code: int) -> None:
    """Exit without waiting for handlers that hang in threads. They have had their shutdown_timeout."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
