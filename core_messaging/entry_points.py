"""What installed packages advertise, read once: it means looking into every installed distribution."""

from __future__ import annotations

from functools import cache
from typing import Any


def points_of(group: str) -> tuple[Any, ...]:
    """The entry points of *group*, in the order they are found."""
    return tuple(all_points().select(group=group))


@cache
def all_points() -> Any:
    """All of them, of every group."""
    import importlib_metadata  # noqa: PLC0415 - only where entry points are read

    return importlib_metadata.entry_points()
