"""What installed packages advertise, read once: it means looking into every installed distribution.

One distribution at a time: what is wrong with one of them (of a stranger, perhaps) costs nobody else's entry points.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from core_messaging.errors import cause_of

logger = logging.getLogger("core_messaging.discovery")

OURS = "core."  # how the names of our groups begin


@dataclass(frozen=True, slots=True)
class Advertised:
    """One entry point: what is at *value* is offered as *name* by a distribution. ``version`` is empty where it is unknown."""

    group: str
    name: str
    value: str
    distribution: str
    version: str

    @property
    def label(self) -> str:
        """Distribution and version, as people know it."""
        return f"{self.distribution} {self.version}".strip()

    def load(self) -> Any:
        """Import what it names. Raises whatever that raises."""
        import importlib_metadata  # noqa: PLC0415 - only where entry points are read

        return importlib_metadata.EntryPoint(self.name, self.value, self.group).load()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A distribution whose entry points cannot all be read. ``groups``: those of ours that it has."""

    label: str
    cause: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """Everything that concerns us, of all distributions."""

    points: tuple[Advertised, ...]
    unreadable: tuple[Unreadable, ...]


def points_of(group: str) -> tuple[Advertised, ...]:
    """The entry points of *group*, in the order they are found."""
    return tuple(point for point in all_points().points if point.group == group)


def unreadable_of(group: str) -> tuple[Unreadable, ...]:
    """The distributions that may have more in *group* than could be read."""
    return tuple(each for each in all_points().unreadable if group in each.groups)


@cache
def warn_of_unreadable() -> None:
    """Name those that cannot be read and have nothing of ours: whoever misses something of theirs has a cause."""
    for each in all_points().unreadable:
        if not each.groups:
            logger.warning(
                "the entry points of %s are left out: %s; install it anew, or remove it",
                each.label,
                each.cause,
                extra={"action": "entry points unreadable"},
            )


@cache
def all_points() -> Installed:
    """All of ours, of every group. Of two distributions with one name, the first on the path is the installed one."""
    import importlib_metadata  # noqa: PLC0415 - only where entry points are read

    points: list[Advertised] = []
    unreadable: list[Unreadable] = []
    seen: set[str] = set()
    for distribution in importlib_metadata.distributions():
        key = _key_of(distribution)
        if key in seen:
            continue
        seen.add(key)
        try:
            points += _read(distribution)
        except Exception as error:
            name, version = _known_as(distribution)
            text = _text_of(distribution)
            read, groups = _line_by_line(text)
            cause = f"its entry_points.txt cannot be read ({_wrong_line(text) or cause_of(error)})"
            unreadable.append(Unreadable(f"{name} {version}".strip(), cause, groups))
            points += [Advertised(*each, name, version) for each in read]
    return Installed(tuple(points), tuple(unreadable))


def _read(distribution: Any) -> list[Advertised]:
    found = [point for point in distribution.entry_points if point.group.startswith(OURS)]
    name, version = _known_as(distribution) if found else ("", "")
    return [Advertised(point.group, point.name, point.value, name, version) for point in found]


def _line_by_line(text: str) -> tuple[list[tuple[str, str, str]], tuple[str, ...]]:
    """(group, name, value) of the lines that can be read, and all groups of ours."""
    found, groups, group = [], dict[str, None](), ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
            groups |= {group: None} if group.startswith(OURS) else {}
        elif group.startswith(OURS) and not line.startswith("#") and "=" in line:
            name, _, value = (part.strip() for part in line.partition("="))
            found += [(group, name, value)] if name and value else []
    return found, tuple(groups)


def _wrong_line(text: str) -> str:
    """The first line that is neither a group nor an entry point, in words; empty where it is something else."""
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line and "=" not in line and not line.startswith(("[", "#", ";")):
            return f"line {number} is {line[:80]!r}"
    return ""


def _text_of(distribution: Any) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except Exception:  # no text at all: another encoding, say
        return ""


def _known_as(distribution: Any) -> tuple[str, str]:
    """Name and version, from the folder's name where the metadata does not say it: an install that was interrupted."""
    folder = _folder_of(distribution)
    found = re.fullmatch(r"(.+?)(?:-(\d[^-]*))?(?:-.*)?\.(?:dist|egg)-info", folder)
    name, version = (found[1], found[2] or "") if found else (folder or "a package without a name", "")
    try:
        return str(distribution.metadata["Name"] or name), str(distribution.metadata["Version"] or version)
    except Exception:
        return name, version


def _key_of(distribution: Any) -> str:
    """As pip tells distributions apart; the folder's name costs less than reading the metadata of all."""
    folder = _folder_of(distribution)
    name = re.split(r"-\d", folder)[0] if folder.endswith((".dist-info", ".egg-info")) else ""
    return re.sub(r"[-_.]+", "-", name or _known_as(distribution)[0]).lower()


def _folder_of(distribution: Any) -> str:
    return str(getattr(getattr(distribution, "_path", None), "name", ""))
