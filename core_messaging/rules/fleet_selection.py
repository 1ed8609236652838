"""Which rows of the live view are shown, in which order, and which one is selected. Pure: keys in, a selection out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core_messaging.rules.fleet_view import Row, badness

LONGEST_FILTER = 60  # characters


def _known(value: float | None) -> float:
    return -1.0 if value is None else float(value)


# What rows are sorted by: the name of each order, and what comes first in it.
ORDERS: Mapping[str, Callable[[Row], Any]] = {
    "name": lambda row: row.key,
    "lag": lambda row: (-_known(row.lag), row.key),
    "condition": lambda row: (badness(row.condition), row.key),
    "rate": lambda row: (-_known(row.rates.finished), row.key),
    "retries": lambda row: (-row.waiting_retries, row.key),
    "slowest": lambda row: (-row.slowest_seconds, row.key),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """``order``: one of ORDERS. ``selected``: the key of a row. ``typing``: keys go into the filter."""

    order: str = "name"
    filter: str = ""
    selected: tuple[str, str] | None = None
    typing: bool = False

    def shown(self, rows: Sequence[Row]) -> list[Row]:
        """The *rows* that the filter leaves, in order."""
        wanted = self.filter.casefold()
        left = [row for row in rows if any(wanted in each.casefold() for each in _texts(row))]
        return sorted(left, key=ORDERS[self.order])

    def current(self, rows: Sequence[Row]) -> Row | None:
        """The selected one of the shown *rows*; the first where the selected one is not there."""
        shown = self.shown(rows)
        return next((row for row in shown if row.key == self.selected), shown[0] if shown else None)

    def pressed(self, key: str, rows: Sequence[Row]) -> Selection:
        """The selection after *key*: a character, or the name of a key."""
        if self.typing:
            return self._typed(key)
        if key in MOVES:
            return self._moved(MOVES[key], rows)
        if key == "s":
            names = list(ORDERS)
            return replace(self, order=names[(names.index(self.order) + 1) % len(names)])
        if key == "/":
            return replace(self, typing=True)
        return replace(self, filter="") if key == "escape" else self

    def _typed(self, key: str) -> Selection:
        if key == "enter":
            return replace(self, typing=False)
        if key == "escape":
            return replace(self, typing=False, filter="")
        if key == "backspace":
            return replace(self, filter=self.filter[:-1])
        if len(key) == 1 and key.isprintable() and len(self.filter) < LONGEST_FILTER:
            return replace(self, filter=self.filter + key)
        return self

    def _moved(self, by: int, rows: Sequence[Row]) -> Selection:
        shown, current = self.shown(rows), self.current(rows)
        if current is None:
            return self
        at = max(0, min(len(shown) - 1, shown.index(current) + by))
        return replace(self, selected=shown[at].key)


MOVES = {
    "up": -1,
    "k": -1,
    "down": 1,
    "j": 1,
    "page up": -10,
    "page down": 10,
    "home": -(10**9),
    "end": 10**9,
}


def _texts(row: Row) -> tuple[str, ...]:
    return (row.name, row.group, row.condition, *row.processes)


# What a terminal sends for keys that are no character.
_SEQUENCES = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down",
    "\x1b[5~": "page up", "\x1b[6~": "page down",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end",
    "\x7f": "backspace", "\x08": "backspace", "\r": "enter", "\n": "enter", "\x1b": "escape",
}  # fmt: skip


def keys_in(text: str) -> list[str]:
    """The keys in what a terminal has sent: characters, and names of other keys. Sequences that mean nothing are left out."""
    found = []
    while text:
        sequence = next((each for each in _BY_LENGTH if text.startswith(each)), None)
        if sequence == "\x1b" and text[1:2] in ("[", "O"):  # a key that nobody needs
            text = _after_sequence(text)
        elif sequence is not None:
            found.append(_SEQUENCES[sequence])
            text = text[len(sequence) :]
        else:
            found += [text[0]] if text[0].isprintable() else []
            text = text[1:]
    return found


_BY_LENGTH = sorted(_SEQUENCES, key=len, reverse=True)


def _after_sequence(text: str) -> str:
    for at, character in enumerate(text[2:], start=2):
        if "@" <= character <= "~":
            return text[at + 1 :]
    return ""
