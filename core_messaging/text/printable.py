"""Texts of strangers (errors, keys, topics, names) on a terminal: nothing in them starts a line, moves the cursor or fills
the screen. Pure."""

from __future__ import annotations

import unicodedata

from core_messaging.text.wording import counted

LONGEST = 2_000  # characters of one text; a person reads no more of it


def printable(text: str, longest: int = LONGEST) -> str:
    """*text* on one line: at most *longest* of its characters, control characters as escapes (``\\n``, ``\\x1b``).

    >>> printable("order 7\\n\\x1b[2J")
    'order 7\\\\n\\\\x1b[2J'
    """
    kept = text[:longest]
    if not kept.isprintable():
        kept = "".join(map(_visible, kept))
    return kept + _rest(text, longest)


def printable_lines(text: str, longest: int = LONGEST) -> str:
    """As ``printable``, but the lines of *text* stay lines. Those after the first begin with ``| ``, so that none of them looks
    like a line of somebody else."""
    lines = text[:longest].splitlines() or [""]
    return "\n  | ".join(printable(line, longest) for line in lines) + _rest(text, longest)


def short(text: str, longest: int = LONGEST) -> str:
    """At most *longest* characters of *text*, as they are; for texts that a program reads or another function makes printable."""
    return text[:longest] + _rest(text, longest)


def _rest(text: str, longest: int) -> str:
    left = len(text) - longest
    return f"... ({counted(left, 'more character')})" if left > 0 else ""


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    # A space of another width is a space. All else here is unseen, or does something.
    return " " if unicodedata.category(character) == "Zs" else repr(character)[1:-1]
