"""What commands print for people: tables (boxes on a terminal, aligned columns in a pipe) and lines. What strangers have
written (keys, topics, errors) is made printable in here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from core_messaging.printable import printable
from core_messaging.secrecy import hidden

LONGEST_CELL = 1_000  # characters


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(printable(hidden(text)), err=err)


def say_json(facts: Any) -> None:
    """Print *facts* as one JSON value."""
    click.echo(hidden(json.dumps(facts, indent=2)))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* under *columns*."""
    rows = [[printable(hidden(cell), LONGEST_CELL) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich(columns, rows)
        return
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    for row in (columns, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only where a person looks
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns)
    for row in rows:
        # Text, not markup: a cause may hold [brackets].
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console().print(table)
