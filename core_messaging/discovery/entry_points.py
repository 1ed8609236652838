"""Reads the entry points of installed packages, once: it has to look into every installed distribution.

Each distribution is read on its own. If one cannot be read, the entry points of the others still count.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from core_messaging.errors import cause_of

logger = logging.getLogger("core_messaging.discovery")

OURS = "core."  # the prefix of the groups that this library reads


@dataclass(frozen=True, slots=True)
class Advertised:
    """One entry point: a distribution offers the object at ``value`` under ``name``. ``version``: "" if unknown."""

    group: str
    name: str
    value: str
    distribution: str
    version: str

    @property
    def label(self) -> str:
        """Distribution and version: ``email-worker 1.2``."""
        return f"{self.distribution} {self.version}".strip()

    def load(self) -> Any:
        """Import the object. Raises whatever the import raises."""
        import importlib_metadata  # noqa: PLC0415 - only where entry points are read

        return importlib_metadata.EntryPoint(self.name, self.value, self.group).load()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A distribution whose entry points cannot all be read. ``groups``: those that start with ``core.``."""

    label: str
    cause: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """All entry points in groups that start with ``core.``, and the distributions that cannot be read."""

    points: tuple[Advertised, ...]
    unreadable: tuple[Unreadable, ...]


def points_of(group: str) -> tuple[Advertised, ...]:
    """Return the entry points of *group*, in the order they are found."""
    return tuple(point for point in all_points().points if point.group == group)


def unreadable_of(group: str) -> tuple[Unreadable, ...]:
    """Return the distributions that may have further entry points in *group*, which could not be read."""
    return tuple(each for each in all_points().unreadable if group in each.groups)


@cache
def warn_of_unreadable() -> None:
    """Log each distribution that cannot be read and shows no group of ours: it may explain why a worker is missing."""
    for each in all_points().unreadable:
        if not each.groups:
            logger.warning(
                "the entry points of %s are left out: %s; install it again, or remove it",
                each.label,
                each.cause,
                extra={"action": "entry points unreadable"},
            )


@cache
def all_points() -> Installed:
    """Return the entry points of all groups. Of two distributions with one name, the first on ``sys.path`` counts."""
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
    """Return (group, name, value) of each line that can be read, and all groups that start with ``core.``."""
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
    """Describe the first line that is neither a group nor an entry point; "" if there is none."""
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line and "=" not in line and not line.startswith(("[", "#", ";")):
            return f"line {number} is {line[:80]!r}"
    return ""


def _text_of(distribution: Any) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except Exception:  # it is no text, for example because of its encoding
        return ""


def _known_as(distribution: Any) -> tuple[str, str]:
    """Return name and version; from the folder's name where the metadata lacks them, as after an interrupted install."""
    folder = _folder_of(distribution)
    found = re.fullmatch(r"(.+?)(?:-(\d[^-]*))?(?:-.*)?\.(?:dist|egg)-info", folder)
    name, version = (found[1], found[2] or "") if found else (folder or "a package without a name", "")
    try:
        return str(distribution.metadata["Name"] or name), str(distribution.metadata["Version"] or version)
    except Exception:
        return name, version


def _key_of(distribution: Any) -> str:
    """Return the name by which pip tells distributions apart. The folder's name is faster to read than the metadata."""
    folder = _folder_of(distribution)
    name = re.split(r"-\d", folder)[0] if folder.endswith((".dist-info", ".egg-info")) else ""
    return re.sub(r"[-_.]+", "-", name or _known_as(distribution)[0]).lower()


def _folder_of(distribution: Any) -> str:
    return str(getattr(getattr(distribution, "_path", None), "name", ""))
