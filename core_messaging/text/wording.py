"""Writes numbers in sentences."""

from __future__ import annotations

import time

DAY = 86_400  # seconds


def counted(count: int, noun: str, then: str = "", plural_then: str = "") -> str:
    """Return *count* and *noun*, followed by the words *then*; both in the plural unless *count* is 1.

    >>> counted(1, "message", "is running", "are running"), counted(2_500, "process")
    ('1 message is running', '2500 processes')
    """
    one = count == 1
    following = then if one else plural_then or then
    nouns = noun if one else noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")
    return f"{count} {nouns}{' ' + following if following else ''}"


def duration(seconds: float) -> str:
    """Return *seconds* in hours and minutes, in minutes and seconds, or in seconds.

    >>> duration(59.7), duration(61), duration(90_061)
    ('1 min 0 s', '1 min 1 s', '25 h 1 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def long_duration(seconds: float) -> str:
    """Return *seconds* as ``duration`` does, and in days and hours from one day on.

    >>> long_duration(61), long_duration(90_061)
    ('1 min 1 s', '1 d 1 h')
    """
    days, rest = divmod(round(seconds), DAY)
    return f"{days} d {rest // 3_600} h" if days else duration(rest)


def until(seconds: float | None) -> str:
    """Return `` until 2026-01-31 12:00:00`` for *seconds* since the epoch, in local time; nothing for None."""
    return "" if seconds is None else time.strftime(" until %Y-%m-%d %H:%M:%S", time.localtime(seconds))
