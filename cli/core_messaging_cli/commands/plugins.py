"""``core plugins``: the installed plugins, with hooks, state and import time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from core_messaging.discovery.project import Project
from core_messaging.plugins.manager import WRONG, PluginReport, find
from core_messaging_cli.main import TOP
from core_messaging_cli.plugin_commands import tell_problems
from core_messaging_cli.tables import say, say_json, show_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.option("--check", is_flag=True, help="Exit with 1 if a plugin is broken, for CI.")
@click.option(
    "--disable-plugin",
    multiple=True,
    metavar="NAME",
    help="List this plugin as disabled, as `core kafka worker` takes it; repeatable.",
)
@click.option("--trace", is_flag=True, help="Print every hook call that this command makes, with its time.")
def plugins(as_json: bool, check: bool, disable_plugin: tuple[str, ...], trace: bool) -> None:
    """List the plugins that are installed, with their state.

    Disable one with --disable-plugin, the setting core_plugins_disable, or CORE_PLUGINS_DISABLE=name,name. With
    CORE_PLUGINS=name,name no other plugin is loaded.

    This command calls the hooks that register something. Workers call all others: core kafka worker NAME
    --trace-plugins.
    """
    reports = find(Project(Path.cwd()).settings(), disable=disable_plugin)
    tell_problems(reports, TOP)
    reports.sort(key=lambda report: report.name)
    if as_json:
        say_json([_facts(report) for report in reports])
    elif not reports:
        click.echo("no plugins: no installed package has an entry point in core.plugins")
    else:
        show_table(COLUMNS, [_cells(report) for report in reports], optional=["file"])
    if trace:
        _trace(reports)
    wrong = [report for report in reports if report.state in WRONG]
    if wrong and not as_json:
        _say_remedy(wrong)
    if check and wrong:
        sys.exit(1)


def _say_remedy(wrong: Sequence[PluginReport]) -> None:
    names = ",".join(dict.fromkeys(report.name for report in wrong))
    say(f"to run without: --disable-plugin NAME, or CORE_PLUGINS_DISABLE={names}", err=True)


def _trace(reports: Sequence[PluginReport]) -> None:
    """Write the hook calls to stderr, so that --json stays JSON."""
    for report in reports:
        for hook, seconds in report.took.items():
            say(f"plugin {report.name}: {hook}() took {1000 * seconds:.3f} ms", err=True)
    click.echo("the other hooks are called by workers: core kafka worker NAME --trace-plugins", err=True)


COLUMNS = ("name", "from", "hooks", "import", "state", "file")


def _cells(report: PluginReport) -> list[str]:
    state = f"{report.state}: {report.cause}" if report.cause else report.state
    hooks = ", ".join(report.hooks) or "-"
    return [report.name, report.label, hooks, f"{1000 * report.seconds:.0f} ms", state, report.file or "-"]


def _facts(report: PluginReport) -> dict[str, object]:
    return {
        "name": report.name,
        "from": report.label,
        "distribution": report.distribution or None,
        "version": report.version or None,
        "state": report.state,
        "cause": report.cause or None,
        "hooks": list(report.hooks),
        "import_seconds": round(report.seconds, 4),
        "call_seconds": {hook: round(seconds, 6) for hook, seconds in report.took.items()},
        "file": report.file or None,
    }
