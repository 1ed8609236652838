"""The screen of ``core kafka top`` as lines: what is shown in, lines of at most the width of the terminal out. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from core_messaging.rules.fleet_selection import Selection
from core_messaging.rules.fleet_view import ASCII_SPARKS, SPARKS, Row, sparkline
from core_messaging.rules.letter_groups import LetterGroup
from core_messaging.text.printable import printable
from core_messaging.text.wording import counted, duration

MARK = "> "
NAME_AT_LEAST = 12  # columns are left out where the name of a worker has less room
MESSAGE_LINES = 3
AROUND = 8 + MESSAGE_LINES  # lines that are no rows of workers: head, columns, details, message, keys
KEYS = "up/down select  s sort  / filter  p pause  r resume  d dead letters  q quit"
LETTER_KEYS = "d or Esc: back to the workers  q quit"
STYLES = {
    "stuck": "bold red",
    "blocked": "red",
    "degraded": "red",
    "rebalancing": "yellow",
    "draining": "yellow",
    "starting": "yellow",
    "paused": "cyan",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen. ``style``: as rich writes it."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Letters:
    """The dead letters of one worker, instead of the rows."""

    worker: str
    groups: Sequence[LetterGroup]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All that the screen shows. ``open_letters``: of the rows whose dead letters were looked at. ``pauses``: in words."""

    title: str = ""
    rows: Sequence[Row] = ()
    selection: Selection = field(default_factory=Selection)
    open_letters: Mapping[tuple[str, str], int] = field(default_factory=dict)
    letters: Letters | None = None
    message: str = ""
    unicode: bool = True


@dataclass(frozen=True, slots=True)
class Column:
    """``needs``: the column is left out first where this is larger. ``cell``: its text in a row."""

    title: str
    width: int
    needs: int
    cell: Callable[[Shown, Row], str]
    right: bool = True


def number(value: float | None) -> str:
    """Return *value* in at most seven characters; ``-`` where it is not known."""
    if value is None:
        return "-"
    for limit, divisor, unit in ((1e6, 1.0, ""), (1e9, 1e6, "M"), (1e12, 1e9, "G")):
        if round(value) < limit:
            scaled = value / divisor
            return f"{scaled:.1f}{unit}" if scaled < 10 and scaled != int(scaled) else f"{scaled:,.0f}{unit}"
    return "many"


def _trend(shown: Shown, row: Row) -> str:
    return sparkline(row.trend, 8, SPARKS if shown.unicode else ASCII_SPARKS)


def _slowest(_shown: Shown, row: Row) -> str:
    return duration(row.slowest_seconds).replace(" ", "") if row.slowest else "-"


COLUMNS = (
    Column("condition", 11, 0, lambda _, row: row.condition, right=False),
    Column("lag", 7, 1, lambda _, row: number(row.lag)),
    Column("trend", 8, 5, _trend),
    Column("in/s", 7, 9, lambda _, row: number(row.rates.coming)),
    Column("out/s", 7, 3, lambda _, row: number(row.rates.finished)),
    Column("fail/s", 7, 8, lambda _, row: number(row.rates.failed)),
    Column("running", 7, 10, lambda _, row: number(row.running)),
    Column("retries", 7, 2, lambda _, row: number(row.waiting_retries)),
    Column("dlq", 6, 6, lambda shown, row: number(shown.open_letters.get(row.key))),
    Column("slowest", 9, 4, _slowest),
    Column("processes", 9, 11, lambda _, row: number(len(row.processes))),
)


def screen_lines(shown: Shown, width: int, height: int) -> list[Line]:
    """Return *height* lines; none is wider than *width*."""
    body = _letters(shown.letters) if shown.letters is not None else _workers(shown, width, height)
    keys = LETTER_KEYS if shown.letters is not None else KEYS
    foot = [*(Line(each, "bold") for each in _wrapped(shown.message, width)), Line(keys, "reverse")]
    room = max(0, height - 1 - len(foot))
    gap = [Line("")] * (room - len(body))
    lines = [Line(shown.title, "bold"), *body[:room], *gap, *foot][:height]
    return [Line(fitted(line.text, width), line.style) for line in lines]


def _wrapped(message: str, width: int) -> list[str]:
    """*message* on as many lines as it needs, MESSAGE_LINES at most; what is cut ends with ``~``."""
    lines = textwrap.wrap(printable(message), max(1, width))
    last = " ".join(lines[MESSAGE_LINES - 1 :])
    return [*lines[: MESSAGE_LINES - 1], *([last] if last else [])]


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """Return *text* in exactly *width* cells of the terminal, safe to print; what is cut ends with ``~``."""
    text = printable(text)
    missing = width - cell_len(text)
    if missing >= 0:
        return " " * missing + text if right else text + " " * missing
    return set_cell_size(text, width - 1) + "~" if width > 1 else set_cell_size(text, width)


def _workers(shown: Shown, width: int, height: int) -> list[Line]:
    columns, name = _fitting(width)
    rows, current = shown.selection.shown(shown.rows), shown.selection.current(shown.rows)
    heading = _cells([("worker", name, False), *((c.title, c.width, c.right) for c in columns)])
    lines = [Line(_order(shown, len(rows))), Line(" " * len(MARK) + heading, "bold")]
    for row in _window(rows, current, max(1, height - AROUND)):
        cells = _cells([(row.name, name, False), *((c.cell(shown, row), c.width, c.right) for c in columns)])
        style = STYLES.get(row.condition, "")
        lines.append(
            Line(
                (MARK if row is current else " " * len(MARK)) + cells,
                f"reverse {style}" if row is current else style,
            )
        )
    return lines + (_details(current) if current else [Line(_nothing(shown))])


def _fitting(width: int) -> tuple[list[Column], int]:
    """The columns for which there is room, and the width of the names."""
    columns = list(COLUMNS)
    while True:
        name = width - len(MARK) - sum(column.width + 1 for column in columns)
        if name >= NAME_AT_LEAST or not columns:
            return columns, max(1, name)
        columns.remove(max(columns, key=lambda column: column.needs))


def _cells(cells: Sequence[tuple[str, int, bool]]) -> str:
    return " ".join(fitted(text, width, right=right) for text, width, right in cells)


def _order(shown: Shown, count: int) -> str:
    selection = shown.selection
    cursor = "_" if selection.typing else ""
    wanted = f", filter: {selection.filter}{cursor}" if selection.filter or selection.typing else ""
    return f"{counted(count, 'worker')} by {selection.order}{wanted}"


def _nothing(shown: Shown) -> str:
    return (
        "nothing has this in its name, group, condition or process"
        if shown.rows
        else "no process has said yet that it runs a worker"
    )


def _window(rows: Sequence[Row], current: Row | None, most: int) -> Sequence[Row]:
    """At most *most* of *rows*, *current* among them."""
    at = rows.index(current) if current is not None else 0
    begin = max(0, min(at - most // 2, len(rows) - most))
    return rows[begin : begin + most]


def _details(row: Row) -> list[Line]:
    paused = f", {row.paused} of them paused" if row.paused else ""
    where = f"{counted(len(row.processes), 'process')}: {', '.join(row.processes)}"
    running = f"slowest: {row.slowest} for {duration(row.slowest_seconds)}; " if row.slowest else ""
    letters = counted(row.dead_lettered, "message", "was dead-lettered", "were dead-lettered")
    parts = f"{counted(row.partitions, 'partition')}{paused}; useful lag {number(row.useful_lag)}; {letters} since the start"
    return [
        Line(""),
        Line(f"{row.name}, group {row.group}, {where}"),
        Line(f"{running}{parts}"),
        Line("; ".join(row.reasons), STYLES.get(row.condition, "")),
    ]


def _letters(letters: Letters) -> list[Line]:
    groups = letters.groups
    if not groups:
        return [Line(f"{letters.worker} has no dead letters")]
    lines = [
        Line(f"dead letters of {letters.worker}: {sum(group.open for group in groups)} open", "bold"),
        Line(""),
    ]
    for group in groups:
        lines.append(Line(f"{group.open} open of {group.count}: {group.error_type} in {group.topic}", "bold"))
        lines.append(Line(f"    {group.example.error_message}"))
    return [*lines, Line(""), Line(f"`core kafka dlq list {letters.worker}` shows more")]
