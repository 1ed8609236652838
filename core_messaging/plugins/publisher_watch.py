"""Lets a plugin wrap every publisher of this process when it is made, for example to trace published records."""

from __future__ import annotations

from collections.abc import Callable

from core_messaging.broker import Publisher

Wrapper = Callable[[Publisher], Publisher]

_wrappers: list[Wrapper] = []


def watch_publishers(wrapper: Wrapper) -> Callable[[], None]:
    """Replace each publisher that is made later with ``wrapper(publisher)``. Return a function that ends that."""
    _wrappers.append(wrapper)
    return lambda: _wrappers.remove(wrapper) if wrapper in _wrappers else None


def watched(publisher: Publisher) -> Publisher:
    """Return *publisher* inside all wrappers; unchanged if there are none, so it costs nothing."""
    for wrap in _wrappers:
        publisher = wrap(publisher)
    return publisher
