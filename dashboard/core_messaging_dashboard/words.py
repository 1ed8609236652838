"""Numbers, times and payloads as the pages show them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from core_messaging.rules.letters import readable
from core_messaging.text.printable import printable
from core_messaging.text.wording import long_duration

LONGEST = 64 * 1024  # characters of a payload that are shown
LONGEST_HEX = 4 * 1024  # bytes
UNKNOWN = "-"
FEW = 10  # from here on, a rate has no decimals
LEAST_POINTS = 2


def number(value: float | None) -> str:
    """A count or a rate."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f}" if 0 < value < FEW and value != int(value) else f"{value:,.0f}"


def span(seconds: float | None) -> str:
    """A duration."""
    return UNKNOWN if seconds is None else long_duration(seconds)


def moment(seconds: float | None) -> str:
    """A time in UTC."""
    if seconds is None:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return UNKNOWN


def size(count: int) -> str:
    """A number of bytes."""
    return f"{count / 1024 / 1024:,.0f} MiB" if count >= 1024 * 1024 else f"{count / 1024:,.0f} KiB"


def payload(value: bytes | None) -> tuple[str, str]:
    """The kind of *value* and its text: JSON, text or hex digits. Control characters are shown as escapes."""
    if value is None:
        return "none", "no value (a tombstone)"
    found = readable(value)
    if found is None:
        return "hex", value[:LONGEST_HEX].hex(" ")
    kind, text = found
    return kind, "\n".join(printable(line, LONGEST) for line in text[:LONGEST].split("\n"))


def points(values: Sequence[float | None], width: float = 300.0, height: float = 60.0) -> str:
    """The points of an SVG polyline. A value that is not known leaves no point."""
    known = [(index, value) for index, value in enumerate(values) if value is not None]
    if len(known) < LEAST_POINTS:
        return ""
    most = max(value for _, value in known) or 1.0
    step = width / (len(values) - 1)
    return " ".join(f"{index * step:.1f},{height - value / most * height:.1f}" for index, value in known)
