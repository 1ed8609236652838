"""A click group that imports a command when it is called, not when it is listed."""

from __future__ import annotations

import difflib
import gc
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from core_messaging_cli.repeated_options import refusing_repeats


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: what is imported stays, and looking through it took a twelfth of the start."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class LazyGroup(click.Group):
    """``commands`` maps a name to ("module:attribute", one line of help).

    The table has the help, because ``core --help`` must not import the commands.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = dict(table)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the help text."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command *cmd_name*; None if there is none."""
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        with _no_collection():
            command: click.Command = getattr(import_module(module), attribute)
        return refusing_repeats(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name; a misspelt name is an error with a suggestion."""
        name = args[0]
        known = self.known(name)
        if name not in known and not name.startswith("-"):
            ctx.fail(f"no command is named {name!r}; {self.hint_for(ctx, args)}")
        return super().resolve_command(ctx, args)

    def hint_for(self, ctx: click.Context, words: Sequence[str]) -> str:
        """Suggest what to write instead of *words*. The first of them is no command."""
        known = self.known(words[0])
        nearest = difflib.get_close_matches(words[0], known, n=1)
        return f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}"

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. ``ctx.exit(code)`` ends the process with that code.

        With ``standalone_mode=False`` click would return the code as if the command had returned it.
        """
        try:
            return super().invoke(ctx)
        except click.exceptions.Exit as leaving:
            sys.exit(leaving.exit_code)

    def known(self, name: str) -> Collection[str]:
        """Return the names of commands to compare *name* with."""
        return self._table

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands in the help text without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._table.items()])
