"""Refuses an option that takes one value and is given twice.

click keeps the last value and ignores the others without a word. The check covers commands of plugins too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

_SEEN = "_core_refuses_repeats"


def refusing_repeats(command: click.Command) -> click.Command:
    """Let *command* and its subcommands raise click.UsageError for such an option; return *command*. Safe to repeat."""
    if not hasattr(command, _SEEN):
        setattr(command, _SEEN, True)
        # Replaced on the object, because a plugin may have a command class of its own.
        watched: Any = command
        watched.make_parser = _watched_parser(command.make_parser)
        if isinstance(command, click.Group):
            watched.get_command = _watched_commands(command.get_command)
    return command


def _watched_parser(make_parser: Callable[[click.Context], Any]) -> Callable[[click.Context], Any]:
    def watched(context: click.Context) -> Any:
        parser = make_parser(context)
        parse = parser.parse_args

        def parse_args(args: list[str]) -> tuple[Any, list[str], list[click.Parameter]]:
            values, rest, given = parse(args)
            if not context.resilient_parsing:  # completion parses half a line
                _refuse_repeats(given, context)
            return values, rest, given

        parser.parse_args = parse_args
        return parser

    return watched


def _watched_commands(
    get_command: Callable[[click.Context, str], click.Command | None],
) -> Callable[[click.Context, str], click.Command | None]:
    def watched(context: click.Context, name: str) -> click.Command | None:
        found = get_command(context, name)
        return None if found is None else refusing_repeats(found)

    return watched


def _refuse_repeats(given: Sequence[click.Parameter], context: click.Context) -> None:
    """*given*: the parameters in the order of the command line, one entry for each occurrence."""
    by_name: dict[str | None, list[click.Option]] = {}
    for parameter in given:
        if isinstance(parameter, click.Option) and not (parameter.multiple or parameter.count):
            by_name.setdefault(parameter.name, []).append(parameter)
    for options in by_name.values():
        if len(options) > 1 and not _is_same_flag(options):
            words = " and ".join(dict.fromkeys(_spelled(option) for option in options))
            raise click.UsageError(
                f"{words}: given {len(options)} times, but takes one value; give one", context
            )


def _is_same_flag(options: Sequence[click.Option]) -> bool:
    """Whether all *options* are one flag that can only be switched on."""
    first = options[0]
    return first.is_flag and not first.secondary_opts and all(option is first for option in options)


def _spelled(option: click.Option) -> str:
    return " / ".join([max(option.opts, key=len), *option.secondary_opts])
