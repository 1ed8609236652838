"""What commands print for people: tables and lines. Texts of others (keys, topics, errors) are made printable here."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import click

from core_messaging.logs.secrecy import hidden
from core_messaging.text.printable import printable

LONGEST_CELL = 1_000  # characters
_GAP, _INDENT = 2 * " ", 4 * " "
_NARROWEST = 20  # characters; a terminal that says it is narrower gets this width


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(printable(hidden(text)), err=err)


def say_json(facts: Any) -> None:
    """Print *facts* as one JSON value."""
    click.echo(hidden(json.dumps(facts, indent=2)))


def say_json_line(facts: Any) -> None:
    """Print *facts* as one JSON value on one line."""
    click.echo(hidden(json.dumps(facts)))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], optional: Collection[str] = ()) -> None:
    """Print *rows* under *columns*.

    On a terminal no line is wider than the terminal, as far as words allow. There, *optional* columns are left out where the
    table is too wide. A pipe gets everything, one line for each row.
    """
    rows = [[printable(hidden(cell), LONGEST_CELL) for cell in row] for row in rows]
    for line in laid_out(columns, rows, terminal_width(), optional):
        click.echo(line)


def terminal_width() -> int | None:
    """The width of the terminal that standard output is, in characters; None for a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def laid_out(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, optional: Collection[str] = ()
) -> Iterator[str]:
    """Yield the lines of a table.

    If the table is wider than *width*, the *optional* columns are left out. If it is still wider, its widest columns stand
    below their row, indented.
    """
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    inside, below = list(range(len(columns))), list[int]()
    if width is not None and _total(widths, inside) > width:
        inside = [i for i in inside if i == 0 or columns[i] not in optional]
    while width is not None and len(inside) > 1 and _total(widths, inside) > width:
        widest = max(inside[1:], key=lambda i: widths[i])
        inside.remove(widest)
        below.append(widest)
    for row in (columns, *rows):
        yield _GAP.join(row[i].ljust(widths[i]) for i in inside).rstrip()
        if row is not columns:
            for i in sorted(below):
                yield from _below(columns[i], row[i], width or 0)


def _total(widths: Sequence[int], inside: Sequence[int]) -> int:
    return sum(widths[i] for i in inside) + len(_GAP) * (len(inside) - 1)


def _below(column: str, cell: str, width: int) -> list[str]:
    if cell in ("", "-"):
        return []
    return textwrap.wrap(
        f"{column}: {cell}",
        max(width, _NARROWEST),
        initial_indent=_INDENT,
        subsequent_indent=2 * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
