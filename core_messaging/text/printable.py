"""Makes texts from outside (errors, keys, topics, names) safe to print on a terminal.

No such text starts a new line, moves the cursor or fills the screen.
"""

from __future__ import annotations

import unicodedata

from core_messaging.text.wording import counted

LONGEST = 2_000  # characters of one text; nobody reads more of it


def printable(text: str, longest: int = LONGEST) -> str:
    r"""Return *text* as one line: at most *longest* of its characters, control characters as escapes (``\n``, ``\x1b``).

    >>> printable("order 7\n\x1b[2J")
    'order 7\\n\\x1b[2J'
    """
    kept = text[:longest]
    if not kept.isprintable():
        kept = "".join(map(_visible, kept))
    return kept + _rest(text, longest)


def printable_lines(text: str, longest: int = LONGEST) -> str:
    """Return *text* as ``printable`` does, but keep its lines.

    Each line after the first starts with ``| ``, so none of them looks like a log line of its own.
    """
    lines = text[:longest].splitlines() or [""]
    return "\n  | ".join(printable(line, longest) for line in lines) + _rest(text, longest)


def short(text: str, longest: int = LONGEST) -> str:
    """Return at most *longest* characters of *text*, unchanged. For texts that a program reads or that ``printable`` gets."""
    return text[:longest] + _rest(text, longest)


def _rest(text: str, longest: int) -> str:
    left = len(text) - longest
    return f"... ({counted(left, 'more character')})" if left > 0 else ""


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    # A space of another width becomes a space. All others are invisible or control the terminal.
    return " " if unicodedata.category(character) == "Zs" else repr(character)[1:-1]
