"""Commands that plugins add to ``core``: listed from metadata, loaded when they are called.

``core --help`` imports no plugin. So a package announces its commands in the entry-point group ``core.commands``: the
name of the command, and the plugin whose ``register_commands`` returns it. Only that plugin is loaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core_messaging.discovery.entry_points import points_of
from core_messaging.errors import PluginError, RegisteredTwice, cause_of
from core_messaging.text.printable import printable
from core_messaging_cli.lazy import LazyGroup
from core_messaging_cli.repeated_options import refusing_repeats

if TYPE_CHECKING:
    from core_messaging.plugins.manager import PluginReport

GROUP = "core.commands"


@dataclass(frozen=True, slots=True)
class Announced:
    """``core NAME``, announced by the distribution *label* for the plugin at *value*."""

    name: str
    value: str
    dist: str
    label: str


@cache
def announced() -> tuple[Announced, ...]:
    """Return every command that an installed package announces, sorted by name."""
    points = points_of(GROUP)
    found = [Announced(point.name, point.value, point.distribution, point.label) for point in points]
    return tuple(sorted(found, key=lambda each: (each.name, each.label)))


class PluginGroup(LazyGroup):
    """A LazyGroup with the commands of plugins. Built-in names win."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the built-in commands, then those of plugins in alphabetical order."""
        others = {each.name for each in announced()} - set(self._table)
        return [*super().list_commands(ctx), *sorted(others)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command *cmd_name*, built in or of a plugin; None if there is none."""
        if cmd_name in self._table:
            return super().get_command(ctx, cmd_name)
        offers = [each for each in announced() if each.name == cmd_name]
        return refusing_repeats(load_command(offers)) if offers else None

    def known(self, name: str) -> Collection[str]:
        """Return the names of commands to compare *name* with."""
        # Entry points are read only for a name that is not built in.
        return self._table if name in self._table else self.list_commands(click.get_current_context())

    def hint_for(self, ctx: click.Context, words: Sequence[str]) -> str:
        """Suggest a subcommand too: ``core worker`` means ``core kafka worker``."""
        if not difflib.get_close_matches(words[0], self.known(words[0]), n=1):
            for group_name in reversed(self._table):
                if near := _near(self.get_command(ctx, group_name), words[0], ctx):
                    return f"did you mean `{ctx.command_path} {group_name} {' '.join([near, *words[1:]])}`?"
        return super().hint_for(ctx, words)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the built-in commands in the help text, then those of plugins."""
        super().format_commands(ctx, formatter)
        if announced():
            with formatter.section("Commands of plugins"):
                formatter.write_dl(_rows(self._table))


def _near(command: click.Command | None, word: str, ctx: click.Context) -> str | None:
    """Find the subcommand of *command* whose name is near *word*."""
    known = command.list_commands(ctx) if isinstance(command, click.Group) else []
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)


def _rows(built_in: Collection[str]) -> list[tuple[str, str]]:
    labels: dict[str, list[str]] = {}
    for each in announced():
        labels.setdefault(each.name, []).append(each.label)
    return [
        (printable(name, 60), printable(_says(name, offers, built_in))) for name, offers in labels.items()
    ]


def _says(name: str, labels: Sequence[str], built_in: Collection[str]) -> str:
    if name in built_in:
        return f"Not offered: {' and '.join(labels)} would hide the command that is built in."
    if len(labels) > 1:
        return f"Contested by {' and '.join(labels)}: disable one."
    return f"From {labels[0]}."


def load_command(offers: Sequence[Announced]) -> click.Command:
    """Load the command of the one plugin in *offers* that is not disabled.

    Raises PluginError, RegisteredTwice, ConfigurationError.
    """
    from core_messaging.discovery.project import Project  # noqa: PLC0415 - as above
    from core_messaging.plugins.manager import load  # noqa: PLC0415 - no plugin is read for --help

    names = {plugin_of(each) for each in offers}
    reports = {r.name: r for r in load(Project(Path.cwd()).settings(), only=names).report()}
    named = [(each, reports[plugin_of(each)]) for each in offers]
    enabled = [(each, report) for each, report in named if report.state != "disabled"]
    if len(enabled) > 1:
        raise RegisteredTwice("command", offers[0].name, [each.label for each, _ in enabled])
    each, report = (enabled or named)[0]
    if not report.usable:
        raise PluginError(
            f"`core {each.name}` belongs to plugin {report.name} ({report.label}), which is {report.said_state}: "
            f"{report.cause}; see `core plugins`"
        )
    return _command(each, commands_of(report))


def plugin_of(each: Announced) -> str:
    """Return the name of the plugin behind an announcement. Raises PluginError."""
    from core_messaging.plugins.manager import entry_points  # noqa: PLC0415 - no plugin is read for --help

    for point in entry_points():
        if point.value == each.value and point.distribution == each.dist:
            return point.name
    raise PluginError(
        f"{each.label} announces `core {each.name}` by {each.value!r}, which is none of its plugins; its author has to "
        f"add {each.value!r} to the entry points of core.plugins"
    )


def commands_of(report: PluginReport) -> dict[str, Any]:
    """Return the commands of the plugin's ``register_commands``. Raises PluginError, which names the plugin."""
    from core_messaging.plugins.call_timing import clocked  # noqa: PLC0415 - as above
    from core_messaging.plugins.registrations import mapping_of  # noqa: PLC0415 - no plugin is read for --help

    if "register_commands" not in report.hooks:
        return {}
    try:
        with clocked(report.took, "register_commands"):
            given = dict(mapping_of("register_commands", report.plugin.register_commands()))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(
            f"plugin {report.name} ({report.label}): register_commands raised {cause_of(error)}; "
            "its author has to mend it"
        ) from error
    wrong = [name for name, command in given.items() if not isinstance(command, click.Command)]
    if wrong:
        raise PluginError(
            f"plugin {report.name} ({report.label}): register_commands: {wrong[0]!r} is not a click command; "
            "its author has to mend it"
        )
    return given


def _command(each: Announced, given: dict[str, Any]) -> click.Command:
    if each.name not in given:
        raise PluginError(
            f"{each.label} announces `core {each.name}`, but register_commands returns "
            f"{', '.join(map(repr, given)) or 'nothing'}; its author has to mend one of the two"
        )
    command: click.Command = given[each.name]
    return command


def tell_problems(reports: list[PluginReport], built_in: Collection[str]) -> None:
    """Note problems with commands in *reports*, for ``core plugins``."""
    from core_messaging.plugins.manager import PluginReport  # noqa: PLC0415 - no plugin is read for --help

    mine: dict[str, list[Announced]] = {}
    for each in announced():
        try:
            mine.setdefault(plugin_of(each), []).append(each)
        except PluginError as error:
            reports.append(PluginReport(each.name, each.label, "broken", str(error)))
    enabled = {report.name for report in reports if report.usable}
    contested = [each for name in enabled for each in mine.get(name, ())]
    for report in reports:
        if report.name in enabled and report.state == "ok":
            _tell(report, mine.get(report.name, []), contested, built_in)


def _tell(
    report: PluginReport, mine: Sequence[Announced], every: Sequence[Announced], built_in: Collection[str]
) -> None:
    try:
        given = commands_of(report)
        for each in mine:
            _command(each, given)
    except PluginError as error:
        report.state, report.cause = "broken", str(error)
        return
    names = {each.name for each in mine}
    for name in sorted(given.keys() - names):
        report.state = "broken"
        report.cause = f"register_commands has {name!r}, which the entry points of {GROUP} do not announce"
    for name in sorted(names):
        others = [each.label for each in every if each.name == name and each not in mine]
        if name in built_in:
            report.state, report.cause = "conflict", f"`core {name}` is built in; its author has to rename it"
        elif others:
            report.state = "conflict"
            report.cause = (
                f"the command {name!r} is also registered by {', '.join(others)}; disable one of them"
            )
