"""Who watches what is published: tracing, say. Every publisher of this process passes here once, when it is made."""

from __future__ import annotations

from collections.abc import Callable

from core_messaging.broker import Publisher

Watched = Callable[[Publisher], Publisher]

_watched: list[Watched] = []


def watch_publishers(watched: Watched) -> Callable[[], None]:
    """Let each publisher that is made from now on be ``watched(publisher)``. Returns a function that ends that."""
    _watched.append(watched)
    return lambda: _watched.remove(watched) if watched in _watched else None


def watched(publisher: Publisher) -> Publisher:
    """*publisher*, as those who watch see it; itself where nobody does, so that it costs nothing."""
    for each in _watched:
        publisher = each(publisher)
    return publisher
